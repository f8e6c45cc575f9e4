/* SPDX-License-Identifier: Apache-2.0 */
/* origin_move.c - elements of one value as elements of another; see origin.h. */
#include <string.h>

#include "convert/graph/origin_internal.h"

bool fvlm_origin_number(double *out, const fvlm_net_value *v, uint64_t i)
{
    const fvlm_graph_tensor *t = v->weight.tensor;
    if (!v->is_const || i >= v->n_elems) return false;
    if (v->numbers || v->uniform) {
        *out = v->numbers ? v->numbers[i] : *v->uniform;
        return true;
    }
    if (!t || v->weight.packed.kind || v->weight.transposed || t->n_elems != v->n_elems) return false;
    const uint8_t *p = t->bytes;
    switch (t->type) {
    case FVLM_ONNX_F32:
        *out = fvlm_f32_from_bits(fvlm_load_u32(p + 4 * i));
        return true;
    case FVLM_ONNX_F16:
        *out = fvlm_f16_to_f32(fvlm_load_u16(p + 2 * i));
        return true;
    case FVLM_ONNX_BF16:
        *out = fvlm_bf16_to_f32(fvlm_load_u16(p + 2 * i));
        return true;
    default:
        return false;
    }
}

bool fvlm_origin_combine(fvlm_origin *out, double a, const fvlm_origin *x, double b, const fvlm_origin *y)
{
    fvlm_origin r = *x;
    for (unsigned i = 0; i < r.n; i++) r.factor[i] *= a;
    for (unsigned k = 0; k < y->n; k++) {
        unsigned i = 0;
        while (i < r.n && (r.source[i] != y->source[k] || r.index[i] != y->index[k])) i++;
        if (i == 2) return false;
        if (i == r.n) {
            r.source[i] = y->source[k];
            r.index[i] = y->index[k];
            r.factor[i] = 0;
            r.n++;
        }
        r.factor[i] += b * y->factor[k];
    }
    *out = r;
    return true;
}

uint64_t fvlm_origin_broadcast_index(const fvlm_net_value *from, const fvlm_net_value *to, uint64_t i)
{
    uint64_t at = 0, stride = 1;
    for (unsigned k = to->rank, j = from->rank; k-- > 0 && j-- > 0; i /= to->dims[k], stride *= from->dims[j])
        if (from->dims[j] != 1) at += i % to->dims[k] * stride;
    return at;
}

/* Of a dimension of the output: the input's index is start + step * i, or wraps around. */
typedef struct {
    int64_t start, step; /* in elements of the input */
    uint64_t wrap;       /* Tile: the input's size there; 0: none */
} axis_map;

static void strides_of(uint64_t out[FVLM_GRAPH_MAX_RANK], const fvlm_net_value *v)
{
    uint64_t n = 1;
    for (unsigned i = v->rank; i-- > 0; n *= v->dims[i]) out[i] = n;
}

static void move_map(axis_map map[FVLM_GRAPH_MAX_RANK], const fvlm_net_node *n, const fvlm_net_value *out)
{
    const fvlm_net_value *in = n->inputs[0];
    uint64_t stride[FVLM_GRAPH_MAX_RANK];
    strides_of(stride, in);
    for (unsigned i = 0; i < out->rank; i++) {
        map[i] = (axis_map){0, (int64_t)stride[i], 0};
        if (!strcmp(n->op, "Transpose")) map[i].step = (int64_t)stride[n->perm[i]];
        if (!strcmp(n->op, "Tile")) map[i].wrap = in->dims[i];
        if (!strcmp(n->op, "Slice")) {
            map[i].start = n->start[i] * (int64_t)stride[i];
            map[i].step = n->step[i] * (int64_t)stride[i];
        }
    }
}

static void fill(fvlm_origin *out, const fvlm_net_value *shape, const axis_map *map, const fvlm_origin *in)
{
    uint64_t at[FVLM_GRAPH_MAX_RANK] = {0};
    for (uint64_t i = 0; i < shape->n_elems; i++) {
        int64_t from = 0;
        for (unsigned k = 0; k < shape->rank; k++) {
            const uint64_t x = map[k].wrap ? at[k] % map[k].wrap : at[k];
            from += map[k].start + map[k].step * (int64_t)x;
        }
        out[i] = in[from];
        for (unsigned k = shape->rank; k-- > 0 && ++at[k] == shape->dims[k];) at[k] = 0;
    }
}

/* out = [outer, picked, inner] from in = [outer, n, inner]. */
static bool fill_gathered(fvlm_origin *out, const fvlm_net_node *n, const fvlm_origin *in)
{
    const fvlm_net_value *data = n->inputs[0], *ids = n->inputs[1];
    uint64_t outer = 1, inner = 1;
    for (unsigned i = 0; i < n->axis; i++) outer *= data->dims[i];
    for (unsigned i = n->axis + 1; i < data->rank; i++) inner *= data->dims[i];
    const int64_t size = (int64_t)data->dims[n->axis];
    for (uint64_t o = 0; o < outer; o++)
        for (uint64_t k = 0; k < ids->n_elems; k++) {
            const int64_t id =
                (int64_t)ids->numbers[k] < 0 ? (int64_t)ids->numbers[k] + size : (int64_t)ids->numbers[k];
            if (id < 0 || id >= size) return false;
            memcpy(out, in + (o * (uint64_t)size + (uint64_t)id) * inner, inner * sizeof *out);
            out += inner;
        }
    return true;
}

bool fvlm_origin_fill_moved(fvlm_origin *out, const fvlm_net_node *n, const fvlm_net_value *v, const fvlm_origin *in)
{
    axis_map map[FVLM_GRAPH_MAX_RANK];
    if (!strcmp(n->op, "Gather")) return fill_gathered(out, n, in);
    if (!strcmp(n->op, "Reshape")) {
        memcpy(out, in, v->n_elems * sizeof *out);
    } else if (!strcmp(n->op, "Expand")) {
        for (uint64_t i = 0; i < v->n_elems; i++) out[i] = in[fvlm_origin_broadcast_index(n->inputs[0], v, i)];
    } else {
        move_map(map, n, v);
        fill(out, v, map, in);
    }
    return true;
}
