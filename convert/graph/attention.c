/* SPDX-License-Identifier: Apache-2.0 */
/* attention.c - see map.h: softmax(q k^T / sqrt(head_dim)) v, spelled out or as an operator.
 *
 * Where q, k and v come from is followed element by element (view.h): each head must read head_dim consecutive channels
 * of its layer, the same heads of q, k and v in the same order. Any other order would need permuted weights and is
 * refused. */
#include <inttypes.h>

#include "convert/graph/attention_internal.h"

/* v is the same elements in the same order as what it is reshaped from. */
static fvlm_net_value *pass_reshape(fvlm_net_value *v)
{
    fvlm_view view;
    fvlm_view_trace(&view, v, NULL);
    const fvlm_view_factor whole = {v->n_elems, 1};
    return view.offset == 0 && view.base->n_elems == v->n_elems && fvlm_view_is(&view, &whole, 1) ? view.base : v;
}

/* MatMul of two activations [.., rows, inner] and [.., inner, columns] with as many matrices each. */
static bool is_product(const fvlm_net_value *v)
{
    if (!fvlm_net_is(v, "MatMul")) return false;
    const fvlm_net_value *a = v->producer->inputs[0], *b = v->producer->inputs[1];
    if (a->is_const || b->is_const || a->rank != b->rank || a->rank < 3) return false;
    for (unsigned d = 0; d + 2 < a->rank; d++)
        if (a->dims[d] != b->dims[d]) return false;
    return true;
}

/* Finds q, k and v around the scores, and the scale. */
static fvlm_status match_scores(fvlm_tower_operands *o, const fvlm_map *m, fvlm_scalar *scale)
{
    fvlm_net_node *last = o->top->producer;
    fvlm_net_value *weights = pass_reshape(last->inputs[0]), *values = last->inputs[1];
    if (!fvlm_net_is(weights, "Softmax") || weights->producer->axis + 1 != weights->rank)
        return fvlm_match_expected(o->net, weights, NULL, o->err, "the Softmax of %s, over its last dimension",
                                   o->what);
    fvlm_net_value *scores = pass_reshape(weights->producer->inputs[0]);
    while (scores->producer && fvlm_scalar_step(scale, scores->producer, &scores)) scores = pass_reshape(scores);
    if (!is_product(scores))
        return fvlm_match_expected(o->net, scores, NULL, o->err, "the scores of %s, a product of queries and keys",
                                   o->what);
    fvlm_net_value *q = scores->producer->inputs[0], *k = scores->producer->inputs[1];
    o->head_dim = q->dims[q->rank - 1];
    o->heads = o->head_dim ? q->n_elems / o->head_dim / m->pixels : 0;
    if (q->dims[q->rank - 2] != m->pixels || k->dims[k->rank - 1] != m->pixels ||
        values->dims[values->rank - 1] != o->head_dim || weights->dims[weights->rank - 1] != m->pixels ||
        last->inputs[0]->dims[values->rank - 1] != m->pixels || last->inputs[0]->dims[values->rank - 2] != m->pixels)
        return fvlm_match_expected(o->net, scores, "other shapes", o->err,
                                   "the scores of %s, %" PRIu64 " by %" PRIu64 " pixels", o->what, m->pixels,
                                   m->pixels);
    fvlm_view_trace(&o->view[0], q, scale);
    fvlm_view_trace(&o->view[1], k, scale);
    fvlm_view_trace(&o->view[2], values, NULL);
    return FVLM_OK;
}

/* Each head's result is head_dim neighbouring channels of the map: the base is [heads][pixels][head_dim], or, for
 * operators with three dimensions, already [pixels][channels]. */
static bool has_heads_side_by_side(const fvlm_view *result, const fvlm_map *m, const fvlm_tower_operands *o,
                                   bool heads_outside)
{
    const uint64_t row = heads_outside ? o->head_dim : m->channels;
    const fvlm_view_factor head = {o->heads, heads_outside ? m->pixels * o->head_dim : o->head_dim};
    const fvlm_view_factor pixel = {m->pixels, row}, channel = {o->head_dim, 1};
    const fvlm_view_factor last[] = {pixel, head, channel}, first[] = {head, channel, pixel};
    return result->offset == 0 && fvlm_view_is(result, m->channels_last ? last : first, 3);
}

fvlm_status fvlm_attention_match(fvlm_attention *out, const fvlm_net *net, fvlm_map *m, uint64_t head_dim,
                                 const char *what, fvlm_err *err)
{
    static const fvlm_tower_order order[] = {FVLM_HEAD_PIXEL_CHANNEL, FVLM_HEAD_CHANNEL_PIXEL, FVLM_HEAD_PIXEL_CHANNEL};
    const fvlm_map of_result = *m;
    *out = (fvlm_attention){0};
    fvlm_view result;
    fvlm_view_trace(&result, m->v, NULL);
    fvlm_tower_operands o = {.net = net, .what = what, .err = err, .top = result.base, .pixels = m->pixels};
    const bool spelled = is_product(o.top);
    if (!spelled && !fvlm_net_is(o.top, "Attention") && !fvlm_net_is(o.top, "MultiHeadAttention"))
        return fvlm_match_expected(net, o.top, NULL, err, "%s, the product of its weights with its values", what);
    fvlm_scalar scale = {.x = 1};
    fvlm_status st = spelled ? match_scores(&o, m, &scale) : fvlm_tower_match_operator(out, &o, m, head_dim);
    if (!st && spelled) st = fvlm_tower_check_heads(&o, m->channels, head_dim);
    if (!st && spelled) st = fvlm_tower_match_layers(out, &o, order, m);
    out->scaled_weights = spelled && scale.x == 1;
    if (!st && spelled && !out->scaled_weights) st = fvlm_tower_check_scale(&o, head_dim, scale);
    if (!st && !has_heads_side_by_side(&result, &of_result, &o, o.top->rank == 4 || spelled))
        st = fvlm_match_expected(net, o.top, "another order", err, "the result of %s to have its heads side by side",
                                 what);
    return st;
}
