/* SPDX-License-Identifier: Apache-2.0 */
/* net_weight.c - constants that stay where they are stored: transposed, reshaped, or integers with scales. */
#include "convert/graph/net_internal.h"

#include <inttypes.h>
#include <string.h>

/* The dimensions other than 1. */
static unsigned core_of(uint64_t *core, unsigned rank, const uint64_t *dims)
{
    unsigned n = 0;
    for (unsigned d = 0; d < rank; d++)
        if (dims[d] != 1) core[n++] = dims[d];
    return n;
}

static bool same_core(const fvlm_net_value *a, const fvlm_net_value *b)
{
    uint64_t x[FVLM_GRAPH_MAX_RANK], y[FVLM_GRAPH_MAX_RANK];
    unsigned n = core_of(x, a->rank, a->dims);
    return n == core_of(y, b->rank, b->dims) && memcmp(x, y, n * sizeof *x) == 0;
}

static bool view_reshaped(const fvlm_net_value *x, fvlm_net_value *out)
{
    bool in_order = !x->weight.transposed &&
                    (x->weight.packed.kind == FVLM_PACKED_NONE || x->weight.packed.kind == FVLM_PACKED_LINEAR);
    if (!in_order && !same_core(x, out)) return false;
    out->weight = x->weight;
    return true;
}

static bool view_transposed(const fvlm_net_node *n, const fvlm_net_value *x, fvlm_net_value *out)
{
    unsigned order[FVLM_GRAPH_MAX_RANK], n_core = 0;
    for (unsigned d = 0; d < x->rank; d++)
        if (x->dims[n->perm[d]] != 1) order[n_core++] = n->perm[d];
    bool sorted = true;
    for (unsigned k = 1; k < n_core; k++) sorted &= order[k - 1] < order[k];
    if (sorted) return view_reshaped(x, out);
    uint64_t core[FVLM_GRAPH_MAX_RANK];
    const fvlm_graph_tensor *t = x->weight.tensor;
    bool plain = x->weight.packed.kind == FVLM_PACKED_NONE || x->weight.packed.kind == FVLM_PACKED_LINEAR;
    if (n_core != 2 || (plain && core_of(core, t->rank, t->dims) != 2)) return false;
    out->weight = x->weight;
    out->weight.transposed = !x->weight.transposed;
    return true;
}

bool fvlm_net_view_weight(const fvlm_net_node *n, fvlm_net_value *out)
{
    const fvlm_net_value *x = n->n_inputs ? n->inputs[0] : NULL;
    if (!x || !x->is_const || !x->weight.tensor) return false;
    if (strcmp(n->op, "Reshape") == 0) return view_reshaped(x, out);
    if (strcmp(n->op, "Transpose") == 0) return view_transposed(n, x, out);
    if (strcmp(n->op, "Cast") != 0 || !fvlm_net_is_float(x->type) || !fvlm_net_is_float(out->type)) return false;
    out->weight = x->weight;
    return true;
}

/* Computed numbers as a tensor: floats as FLOAT, small integers as they are. */
static const fvlm_graph_tensor *store(fvlm_net *net, const fvlm_net_value *v, fvlm_err *err)
{
    bool whole = fvlm_net_is_integer(v->type), negative = v->type == FVLM_ONNX_I8 || v->type == FVLM_ONNX_I4;
    if (whole && fvlm_onnx_type_bits(v->type) > 8) {
        fvlm_fail(err, FVLM_UNSUPPORTED, "zero points of type %s", fvlm_onnx_type_name(v->type));
        return NULL;
    }
    fvlm_graph_tensor *t = fvlm_net_take(net, 1, sizeof *t, err);
    size_t size = whole ? 1 : sizeof(float);
    uint8_t *bytes = t ? fvlm_net_take(net, (size_t)v->n_elems + 1, size, err) : NULL;
    if (!bytes) return NULL;
    *t = (fvlm_graph_tensor){.name = v->name, .rank = v->rank, .n_elems = v->n_elems, .bytes = bytes};
    t->type = !whole ? FVLM_ONNX_F32 : negative ? FVLM_ONNX_I8 : FVLM_ONNX_U8;
    t->n_bytes = v->n_elems * size;
    memcpy(t->dims, v->dims, sizeof t->dims);
    for (uint64_t i = 0; i < v->n_elems; i++) {
        if (whole)
            bytes[i] = (uint8_t)(int)v->numbers[i];
        else
            fvlm_store_u32(bytes + 4 * i, fvlm_f32_bits((float)v->numbers[i]));
    }
    return t;
}

const fvlm_graph_tensor *fvlm_net_tensor_of(fvlm_net *net, const fvlm_net_value *v, fvlm_err *err)
{
    const fvlm_net_weight *w = &v->weight;
    if (w->tensor && w->packed.kind == FVLM_PACKED_NONE && !w->transposed) return w->tensor;
    if (v->numbers) return store(net, v, err);
    fvlm_fail(err, FVLM_UNSUPPORTED, "\"%.200s\" must be a constant", v->name);
    return NULL;
}

/* ---- integers with scales ---- */

typedef struct {
    unsigned axis;
    uint64_t block;
    uint64_t inner, length, n_scales; /* elements behind the axis, along it, and scales along it */
} scaling;

static uint64_t scale_at(const scaling *s, uint64_t i)
{
    if (s->n_scales == 0) return 0; /* one for all */
    uint64_t along = i / s->inner % s->length;
    if (!s->block) return along;
    return (i / s->inner / s->length * s->n_scales + along / s->block) * s->inner + i % s->inner;
}

static fvlm_status check_scales(scaling *s, const fvlm_net_value *x, const fvlm_net_value *scale,
                                const fvlm_net_value *zero, fvlm_err *err)
{
    char a[200], b[200];
    if (zero && zero->n_elems != scale->n_elems)
        return fvlm_fail(err, FVLM_BAD_INPUT, "%" PRIu64 " zero points and %" PRIu64 " scales", zero->n_elems,
                         scale->n_elems);
    if (scale->n_elems == 1 && !s->block) return FVLM_OK;
    s->inner = fvlm_net_product(x, s->axis + 1, x->rank);
    s->length = x->rank ? x->dims[s->axis] : 0;
    s->n_scales = s->block ? s->length / s->block + (s->length % s->block != 0) : s->length;
    bool fits = s->block ? scale->rank == x->rank : scale->rank == 1 && scale->n_elems == s->length;
    for (unsigned d = 0; d < x->rank && s->block && fits; d++)
        fits = scale->dims[d] == (d == s->axis ? s->n_scales : x->dims[d]);
    if (!fits || !s->n_scales)
        return fvlm_fail(err, FVLM_BAD_INPUT, "scales of shape %s for integers of shape %s, axis %u, block %" PRIu64,
                         fvlm_net_shape_text(scale->rank, scale->dims, a), fvlm_net_shape_text(x->rank, x->dims, b),
                         s->axis, s->block);
    return FVLM_OK;
}

static fvlm_status pack(fvlm_net *net, fvlm_net_value *out, const fvlm_net_value *x, const fvlm_net_value *scale,
                        const fvlm_net_value *zero, const scaling *s, fvlm_err *err)
{
    const fvlm_graph_tensor *t = x->weight.tensor;
    unsigned bits = t ? fvlm_onnx_type_bits(t->type) : 0;
    bool swapped = x->weight.transposed && x->rank == 2 && t->rank == 2 && !s->block;
    bool as_stored = t && x->weight.packed.kind == FVLM_PACKED_NONE && t->rank == x->rank &&
                     (swapped || (!x->weight.transposed && memcmp(t->dims, x->dims, x->rank * sizeof *x->dims) == 0));
    if (!as_stored || !fvlm_net_is_integer(t->type) || (bits != 8 && bits != 4)) {
        if (out->numbers) return FVLM_OK;
        return fvlm_fail(err, FVLM_UNSUPPORTED,
                         "\"%.200s\" of type %s cannot be dequantized; 4 and 8 bit integers that are stored can",
                         x->name, fvlm_onnx_type_name(x->type));
    }
    fvlm_packed *p = &out->weight.packed;
    *p = (fvlm_packed){.kind = FVLM_PACKED_LINEAR, .bits = bits, .block = s->block, .axis = s->axis};
    if (swapped && s->n_scales) p->axis = 1 - s->axis;
    out->weight.transposed = swapped;
    p->scales = fvlm_net_tensor_of(net, scale, err);
    if (!p->scales) return err->code;
    if (zero && !(p->zero_points = fvlm_net_tensor_of(net, zero, err))) return err->code;
    out->weight.tensor = t;
    return FVLM_OK;
}

fvlm_status fvlm_net_new_linear(fvlm_net_value **out, fvlm_net *net, const fvlm_net_value *x,
                                const fvlm_net_value *scale, const fvlm_net_value *zero, unsigned axis, uint64_t block,
                                fvlm_err *err)
{
    fvlm_net_shape shape = fvlm_net_shape_of(x);
    scaling s = {.axis = axis, .block = block};
    fvlm_status st = check_scales(&s, x, scale, zero, err);
    if (st) return st;
    bool known = x->numbers && scale->numbers && (!zero || zero->numbers);
    double *numbers = NULL;
    st = known ? fvlm_net_new_const(out, &numbers, net, scale->type, &shape, err)
               : fvlm_net_new_value(out, net, scale->type, &shape, err);
    if (!st && known) st = fvlm_net_spend(net, x->n_elems, err);
    if (st) return st;
    (*out)->is_const = true;
    for (uint64_t i = 0; i < x->n_elems && known; i++) {
        uint64_t k = scale_at(&s, i);
        numbers[i] = (x->numbers[i] - (zero ? zero->numbers[k] : 0)) * scale->numbers[k];
        fvlm_net_round(&numbers[i], scale->type);
    }
    return pack(net, *out, x, scale, zero, &s, err);
}
