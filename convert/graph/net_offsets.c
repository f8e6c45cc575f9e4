/* SPDX-License-Identifier: Apache-2.0 */
/* net_offsets.c - see net_internal.h: offsets of packed weights, which ONNX cannot hold beside scales. fvlm's own
 * exports (convert/export/onnx_layers.h) add them as a product with the sums of the inputs of each group:
 *
 *   x (scale q)^T + (x E) offset^T,     E[k, g] = 1 if input k is in group g, else 0
 *
 * which is x (scale q + offset)^T. In an embedding: Gather(scale q, ids) + Gather(offset, ids) E^T. */
#include "convert/graph/net_operators.h"

#include <string.h>

/* ---- shapes of the pattern ---- */

typedef struct {
    fvlm_net_node *node;              /* the product with the packed weight, or its Gather */
    fvlm_net_value *weight, *offsets; /* [k, n] and [groups, n]; Conv, Gather: [n, k, ..] and [n, groups, ..] */
    fvlm_net_value *members;          /* E, [k, groups]; Conv, Gather: [groups, k, ..] */
    bool turned;                      /* offsets is [groups, n] */
    uint64_t n, k, groups;
} sum;

static fvlm_net_node *layer_of(const fvlm_net_value *v, const char *op)
{
    const bool is = fvlm_net_is(v, op) && v->producer->n_inputs == 2 && v->producer->inputs[1]->is_const;
    return is ? v->producer : NULL;
}

static bool is_plain(const fvlm_net_value *v)
{
    const fvlm_graph_tensor *t = v->weight.tensor;
    return t && !v->weight.packed.kind && !v->weight.transposed && t->type == FVLM_ONNX_F32 && t->n_elems == v->n_elems;
}

static bool has_shape(const fvlm_net_value *v, unsigned rank, uint64_t a, uint64_t b)
{
    if (v->rank != rank || v->dims[0] != a || v->dims[1] != b) return false;
    return v->n_elems == a * b;
}

static bool is_pointwise(const fvlm_net_window *w)
{
    bool is = w->group == 1;
    for (unsigned d = 0; d < w->n_spatial; d++)
        is = is && w->kernel[d] == 1 && w->stride[d] == 1 && !w->pad_before[d] && !w->pad_after[d];
    return is;
}

static bool find_matmul(sum *s, const fvlm_net_value *a, const fvlm_net_value *b)
{
    fvlm_net_node *product = layer_of(a, "MatMul"), *last = layer_of(b, "MatMul"), *first;
    if (!product || !last || !(first = layer_of(last->inputs[0], "MatMul"))) return false;
    if (first->inputs[0] != product->inputs[0]) return false;
    *s = (sum){product, product->inputs[1], last->inputs[1], first->inputs[1], .turned = true};
    const unsigned rank = s->weight->rank;
    if (rank < 2 || s->members->rank != 2) return false;
    s->k = s->weight->dims[rank - 2];
    s->n = s->weight->dims[rank - 1];
    s->groups = s->members->dims[1];
    return s->n * s->k == s->weight->n_elems && has_shape(s->members, 2, s->k, s->groups) &&
           has_shape(s->offsets, 2, s->groups, s->n);
}

static bool find_conv(sum *s, const fvlm_net_value *a, const fvlm_net_value *b)
{
    fvlm_net_node *product = layer_of(a, "Conv"), *last = layer_of(b, "Conv"), *first;
    if (!product || !last || !(first = layer_of(last->inputs[0], "Conv"))) return false;
    if (first->inputs[0] != product->inputs[0] || !is_pointwise(last->window) || product->window->group != 1 ||
        memcmp(product->window, first->window, sizeof *first->window) != 0)
        return false;
    *s = (sum){product, product->inputs[1], last->inputs[1], first->inputs[1], .turned = false};
    s->n = s->weight->dims[0];
    s->k = s->weight->n_elems / (s->n ? s->n : 1);
    s->groups = s->members->dims[0];
    const bool same_kernel =
        memcmp(s->members->dims + 1, s->weight->dims + 1, (s->weight->rank - 1) * sizeof *s->weight->dims) == 0;
    return same_kernel && s->members->rank == s->weight->rank &&
           has_shape(s->offsets, s->weight->rank, s->n, s->groups) && (s->groups == 1 || s->k == s->weight->dims[1]);
}

static bool find_gather(sum *s, const fvlm_net_value *a, const fvlm_net_value *b)
{
    fvlm_net_node *spread = layer_of(b, "MatMul");
    if (!fvlm_net_is(a, "Gather") || !spread || !fvlm_net_is(spread->inputs[0], "Gather")) return false;
    fvlm_net_node *rows = a->producer, *first = spread->inputs[0]->producer;
    if (rows->axis || first->axis || rows->inputs[1] != first->inputs[1] || !rows->inputs[0]->is_const ||
        !first->inputs[0]->is_const)
        return false;
    *s = (sum){rows, rows->inputs[0], first->inputs[0], spread->inputs[1], .turned = false};
    if (s->weight->rank != 2 || s->members->rank != 2) return false;
    s->n = s->weight->dims[0];
    s->k = s->weight->dims[1];
    s->groups = s->members->dims[0];
    return has_shape(s->members, 2, s->groups, s->k) && has_shape(s->offsets, 2, s->n, s->groups);
}

/* ---- contents ---- */

/* Whether E has a 1 for each input in its group, in steps of 'size' inputs, else 0. Layers share it, so the last one is
 * remembered. */
static bool are_groups(fvlm_net *net, const sum *s, uint64_t size)
{
    const fvlm_graph_tensor *t = s->members->weight.tensor;
    if (net->members == t && net->members_size == size && net->members_turned == s->turned) return true;
    for (uint64_t k = 0; k < s->k; k++)
        for (uint64_t g = 0; g < s->groups; g++) {
            const uint64_t at = s->turned ? k * s->groups + g : g * s->k + k;
            if (fvlm_load_u32(t->bytes + 4 * at) != fvlm_f32_bits(k / size == g ? 1.0f : 0.0f)) return false;
        }
    net->members = t;
    net->members_size = size;
    net->members_turned = s->turned;
    return true;
}

static bool fits(fvlm_net *net, const sum *s)
{
    const fvlm_packed *p = &s->weight->weight.packed;
    if (!s->weight->weight.tensor || p->kind == FVLM_PACKED_NONE || p->kind == FVLM_PACKED_BNB4 || p->offsets)
        return false;
    const uint64_t size = p->block ? p->block : s->k;
    return size && s->groups == s->k / size + (s->k % size != 0) && p->scales->n_elems == s->n * s->groups &&
           is_plain(s->members) && is_plain(s->offsets) && are_groups(net, s, size);
}

fvlm_status fvlm_net_join_offsets(fvlm_net_value **out, fvlm_net *net, fvlm_net_value *a, fvlm_net_value *b,
                                  fvlm_err *err)
{
    sum s;
    *out = NULL;
    if (!(find_matmul(&s, a, b) || find_conv(&s, a, b) || find_gather(&s, a, b)) || !fits(net, &s)) return FVLM_OK;
    fvlm_net_shape shape = fvlm_net_shape_of(s.weight);
    fvlm_net_value *w;
    fvlm_status st = fvlm_net_new_value(&w, net, s.weight->type, &shape, err);
    if (st) return st;
    w->is_const = true;
    w->name = s.weight->name;
    w->weight = s.weight->weight;
    w->weight.packed.offsets = s.offsets->weight.tensor;
    w->weight.packed.offsets_turned = s.turned;
    const bool gather = s.node->inputs[0] == s.weight;
    fvlm_net_value *inputs[] = {gather ? w : s.node->inputs[0], gather ? s.node->inputs[1] : w};
    fvlm_net_node proto = *s.node;
    proto.inputs = inputs;
    proto.n_inputs = 2;
    shape = fvlm_net_shape_of(a);
    return fvlm_net_emit(out, net, &proto, a->type, &shape, err);
}
