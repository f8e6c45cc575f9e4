/* SPDX-License-Identifier: Apache-2.0 */
/* attention.c - see map.h: softmax(q k^T / sqrt(head_dim)) v, spelled out or as an operator.
 *
 * Where q, k and v come from is followed element by element (view.h): each head must read head_dim consecutive channels
 * of its layer, the same heads of q, k and v in the same order. Any other order would need permuted weights and is
 * refused. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "convert/graph/map.h"

/* The operands that are found, before the layers that compute them. */
typedef struct {
    const fvlm_net *net;
    const char *what;
    fvlm_err *err;
    fvlm_net_value *top; /* for refusals: the attention's last product, or its operator */
    fvlm_view view[3];
    uint64_t heads, head_dim, pixels; /* pixels: of the map */
} operands;

static const char *const letters[] = {"queries", "keys", "values"};

/* How operand k numbers its elements, from outside in. */
typedef enum { HEAD_PIXEL_CHANNEL, HEAD_CHANNEL_PIXEL, PIXEL_HEAD_CHANNEL } operand_order;

/* Whether v, in this order, is rows first_row ... of a map with 'out' channels. */
static bool is_rows(const operands *o, const fvlm_view *v, operand_order order, uint64_t out, bool channels_last,
                    uint64_t *first_row)
{
    const uint64_t row = channels_last ? 1 : o->pixels, pixel = channels_last ? out : 1;
    const fvlm_view_factor head = {o->heads, o->head_dim * row}, channel = {o->head_dim, row}, at = {o->pixels, pixel};
    const fvlm_view_factor want[][3] = {{head, at, channel}, {head, channel, at}, {at, head, channel}};
    if (!fvlm_view_is(v, want[order], 3) || v->offset % row != 0) return false;
    *first_row = v->offset / row;
    return *first_row <= out && o->heads * o->head_dim <= out - *first_row;
}

/* The product in a layer, without its bias. It puts out [pixels, channels] if the weight is on the right of a MatMul,
 * else [channels, pixels]. */
static fvlm_net_value *product_of(fvlm_net_value *v)
{
    fvlm_net_value *constant, *other;
    if (fvlm_net_is(v, "Add") && fvlm_net_split_const(v->producer, &constant, &other)) v = other;
    fvlm_view view;
    fvlm_view_trace(&view, v, NULL);
    return view.base;
}

/* The layer that operand k are rows of. m becomes the map that it reads. */
static fvlm_status match_layer(fvlm_attention *out, const operands *o, unsigned k, operand_order order, fvlm_map *m)
{
    const fvlm_view *v = &o->view[k];
    fvlm_net_value *product = product_of(v->base);
    if (!fvlm_net_is(product, "MatMul") && !fvlm_net_is(product, "Conv"))
        return fvlm_match_expected(o->net, product, NULL, o->err, "a layer that computes the %s of %s", letters[k],
                                   o->what);
    const bool last = fvlm_net_is(product, "MatMul") && product->producer->inputs[1]->is_const;
    const uint64_t channels = v->base->n_elems / o->pixels;
    if (!is_rows(o, v, order, channels, last, &out->first_row[k]))
        return fvlm_match_expected(o->net, o->top, "another order", o->err,
                                   "%s of %s in the order [%" PRIu64 " heads][%" PRIu64
                                   " channels] of the rows of one layer",
                                   letters[k], o->what, o->heads, o->head_dim);
    *m = (fvlm_map){v->base, channels, o->pixels, last};
    return fvlm_linear_match(&out->linear[k], o->net, m, "the attention's qkv", o->err);
}

static fvlm_status match_layers(fvlm_attention *out, const operands *o, const operand_order order[3], fvlm_map *m)
{
    fvlm_map in[3];
    fvlm_status st = FVLM_OK;
    for (unsigned k = 0; k < 3 && !st; k++) {
        st = match_layer(out, o, k, order[k], &in[k]);
        if (!st) fvlm_map_back(&in[k]);
        if (!st && !fvlm_map_same(&in[k], &in[0]))
            st = fvlm_match_expected(o->net, out->linear[k].node->outputs[0], "one that reads another", o->err,
                                     "a layer for the %s of %s that reads the map that its %s do", letters[k], o->what,
                                     letters[0]);
    }
    if (st) return st;
    out->channels = o->heads * o->head_dim;
    out->heads = o->heads;
    out->packed = out->linear[0].node == out->linear[1].node && out->linear[0].node == out->linear[2].node &&
                  out->linear[0].out == 3 * out->channels;
    for (unsigned k = 0; k < 3; k++) out->packed = out->packed && out->first_row[k] == k * out->channels;
    *m = in[0];
    return FVLM_OK;
}

static fvlm_status check_heads(const operands *o, uint64_t channels, uint64_t head_dim)
{
    if (o->head_dim == head_dim && o->heads * o->head_dim == channels) return FVLM_OK;
    char found[96];
    snprintf(found, sizeof found, "%" PRIu64 " head%s of %" PRIu64, o->heads, o->heads == 1 ? "" : "s", o->head_dim);
    return fvlm_match_expected(o->net, o->top, found, o->err,
                               "%s to split its %" PRIu64 " channels into heads of %" PRIu64, o->what, channels,
                               head_dim);
}

static fvlm_status check_scale(const operands *o, uint64_t head_dim, fvlm_scalar scale)
{
    if (fvlm_scalar_is(scale, 1 / sqrt((double)head_dim))) return FVLM_OK;
    char found[40];
    snprintf(found, sizeof found, "%.8g", scale.x);
    return fvlm_match_expected(o->net, o->top, found, o->err, "%s to scale its scores by 1 / sqrt(%" PRIu64 ")",
                               o->what, head_dim);
}

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
static fvlm_status match_scores(operands *o, const fvlm_map *m, fvlm_scalar *scale)
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

/* Inputs from 'first' on must be left out: masks, caches, position biases. */
static fvlm_status check_no_more(const operands *o, size_t first)
{
    const fvlm_net_node *n = o->top->producer;
    for (size_t i = first; i < n->n_inputs; i++)
        if (n->inputs[i])
            return fvlm_match_expected(o->net, o->top, "more inputs", o->err,
                                       "%s without mask, bias and cache (input %zu)", o->what, i);
    return FVLM_OK;
}

/* Attributes that change what is computed must have the value that is given. */
static fvlm_status check_attributes(const operands *o, const char *const names[], unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        int64_t value;
        fvlm_status st = fvlm_graph_attr_int(&value, o->top->producer->node, names[i], 0, o->err);
        if (!st && value != 0)
            st = fvlm_match_expected(o->net, o->top, "another value", o->err, "%s with %s = 0", o->what, names[i]);
        if (st) return st;
    }
    return FVLM_OK;
}

/* com.microsoft's Attention reads the map itself and has the layer's weight [in, 3 * channels] and bias as inputs. */
static fvlm_status match_own_layer(fvlm_attention *out, const operands *o, fvlm_map *m)
{
    fvlm_net_node *n = o->top->producer;
    const int64_t *sizes;
    size_t n_sizes;
    fvlm_status st = fvlm_graph_attr_ints(&sizes, &n_sizes, n->node, "qkv_hidden_sizes", o->err);
    if (st) return st;
    bool ok = n->n_inputs > 1 && n->inputs[1] && n->inputs[1]->is_const && n->inputs[1]->rank == 2 &&
              n->inputs[1]->dims[1] == 3 * m->channels;
    for (size_t i = 0; i < n_sizes; i++) ok = ok && sizes[i] == (int64_t)m->channels;
    const uint64_t in = ok ? n->inputs[1]->dims[0] : 1;
    if (!ok || n->inputs[0]->n_elems != in * m->pixels || n->inputs[0]->dims[n->inputs[0]->rank - 1] != in)
        return fvlm_match_expected(o->net, o->top, "other shapes", o->err,
                                   "%s with a constant weight [in, 3 * %" PRIu64 "]", o->what, m->channels);
    out->channels = m->channels;
    out->heads = o->heads;
    out->packed = true;
    for (unsigned k = 0; k < 3; k++) {
        out->linear[k] =
            (fvlm_linear){.node = n, .weight = n->inputs[1], .transposed = true, .in = in, .out = 3 * m->channels};
        out->first_row[k] = k * m->channels;
    }
    *m = (fvlm_map){n->inputs[0], in, m->pixels, true};
    return FVLM_OK;
}

/* The attributes of the three attention operators that matter here. */
static fvlm_status check_operator(operands *o, const fvlm_map *m, bool microsoft, uint64_t head_dim)
{
    static const char *const zeros[] = {"is_causal", "unidirectional", "do_rotary"};
    /* Those at the end concern masks, caches, rotation and further outputs, none of which is there. */
    static const char *const known[] = {"is_causal",
                                        "unidirectional",
                                        "do_rotary",
                                        "softcap",
                                        "scale",
                                        "num_heads",
                                        "q_num_heads",
                                        "kv_num_heads",
                                        "qkv_hidden_sizes",
                                        "softmax_precision",
                                        "mask_filter_value",
                                        "past_present_share_buffer",
                                        "rotary_embedding_dim",
                                        "qk_matmul_output_mode",
                                        NULL};
    const fvlm_net_node *n = o->top->producer;
    int64_t heads = 0, kv_heads = 0;
    float scale = 0, softcap = 0;
    fvlm_status st = fvlm_match_known_attrs(o->net, n, known, o->err);
    if (!st) st = check_attributes(o, zeros, sizeof zeros / sizeof *zeros);
    if (!st) st = fvlm_graph_attr_float(&softcap, n->node, "softcap", 0, o->err);
    if (!st) st = fvlm_graph_attr_float(&scale, n->node, "scale", 0, o->err);
    if (!st) st = fvlm_graph_attr_int(&heads, n->node, microsoft ? "num_heads" : "q_num_heads", 0, o->err);
    if (!st) st = fvlm_graph_attr_int(&kv_heads, n->node, "kv_num_heads", heads, o->err);
    if (st) return st;
    if (!microsoft && n->inputs[0]->rank == 4) heads = (int64_t)n->inputs[0]->dims[1];
    if (softcap != 0 || (n->inputs[0]->rank != 4 && heads != kv_heads) || heads < 1)
        return fvlm_match_expected(o->net, o->top, "another kind", o->err,
                                   "%s without softcap, with as many heads of keys as of queries", o->what);
    o->heads = (uint64_t)heads;
    o->head_dim = m->channels / o->heads;
    const fvlm_scalar of_scores = {.x = scale != 0 ? (double)scale : 1 / sqrt((double)o->head_dim), .slack = 1e-6};
    st = check_heads(o, m->channels, head_dim);
    return st ? st : check_scale(o, head_dim, of_scores);
}

static fvlm_status match_operator(fvlm_attention *out, operands *o, fvlm_map *m, uint64_t head_dim)
{
    fvlm_net_node *n = o->top->producer;
    const bool microsoft = strcmp(n->node->domain, "") != 0, own = microsoft && !strcmp(n->op, "Attention");
    const unsigned at = own ? 2 : 3; /* the bias, in com.microsoft's operators */
    operand_order order[3];
    fvlm_status st = check_no_more(o, microsoft ? at + 1 : 3);
    if (!st) st = check_operator(o, m, microsoft, head_dim);
    if (st) return st;
    out->packed_bias = microsoft && n->n_inputs > at ? n->inputs[at] : NULL;
    if (out->packed_bias && out->packed_bias->n_elems != 3 * m->channels)
        return fvlm_match_expected(o->net, o->top, "another size", o->err, "a bias of 3 * %" PRIu64, m->channels);
    if (own) return match_own_layer(out, o, m);
    for (unsigned k = 0; k < 3; k++) {
        fvlm_net_value *v = k < n->n_inputs ? n->inputs[k] : NULL;
        if (!v || v->is_const || v->n_elems != m->channels * m->pixels)
            return fvlm_match_expected(o->net, o->top, "other inputs", o->err,
                                       "%s with %s of its own, %" PRIu64 " by %" PRIu64, o->what, letters[k], m->pixels,
                                       m->channels);
        order[k] = v->rank == 4 ? HEAD_PIXEL_CHANNEL : PIXEL_HEAD_CHANNEL;
        fvlm_view_trace(&o->view[k], v, NULL);
    }
    return match_layers(out, o, order, m);
}

/* Each head's result is head_dim neighbouring channels of the map: the base is [heads][pixels][head_dim], or, for
 * operators with three dimensions, already [pixels][channels]. */
static bool has_heads_side_by_side(const fvlm_view *result, const fvlm_map *m, const operands *o, bool heads_outside)
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
    static const operand_order order[] = {HEAD_PIXEL_CHANNEL, HEAD_CHANNEL_PIXEL, HEAD_PIXEL_CHANNEL};
    const fvlm_map of_result = *m;
    *out = (fvlm_attention){0};
    fvlm_view result;
    fvlm_view_trace(&result, m->v, NULL);
    operands o = {.net = net, .what = what, .err = err, .top = result.base, .pixels = m->pixels};
    const bool spelled = is_product(o.top);
    if (!spelled && !fvlm_net_is(o.top, "Attention") && !fvlm_net_is(o.top, "MultiHeadAttention"))
        return fvlm_match_expected(net, o.top, NULL, err, "%s, the product of its weights with its values", what);
    fvlm_scalar scale = {.x = 1};
    fvlm_status st = spelled ? match_scores(&o, m, &scale) : match_operator(out, &o, m, head_dim);
    if (!st && spelled) st = check_heads(&o, m->channels, head_dim);
    if (!st && spelled) st = match_layers(out, &o, order, m);
    if (!st && spelled) st = check_scale(&o, head_dim, scale);
    if (!st && !has_heads_side_by_side(&result, &of_result, &o, o.top->rank == 4 || spelled))
        st = fvlm_match_expected(net, o.top, "another order", err, "the result of %s to have its heads side by side",
                                 what);
    return st;
}
