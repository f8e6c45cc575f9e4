/* SPDX-License-Identifier: Apache-2.0 */
/* attention_layers.c - see attention_internal.h: the layers that compute queries, keys and values, heads and scale. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "convert/graph/attention_internal.h"

const char *const fvlm_tower_operand_names[3] = {"queries", "keys", "values"};

/* Whether v, in this order, is rows first_row ... of a map with 'out' channels. */
static bool is_rows(const fvlm_tower_operands *o, const fvlm_view *v, fvlm_tower_order order, uint64_t out,
                    bool channels_last, uint64_t *first_row)
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
static fvlm_status match_layer(fvlm_attention *out, const fvlm_tower_operands *o, unsigned k, fvlm_tower_order order,
                               fvlm_map *m)
{
    const fvlm_view *v = &o->view[k];
    fvlm_net_value *product = product_of(v->base);
    if (!fvlm_net_is(product, "MatMul") && !fvlm_net_is(product, "Conv"))
        return fvlm_match_expected(o->net, product, NULL, o->err, "a layer that computes the %s of %s",
                                   fvlm_tower_operand_names[k], o->what);
    const bool last = fvlm_net_is(product, "MatMul") && product->producer->inputs[1]->is_const;
    const uint64_t channels = v->base->n_elems / o->pixels;
    if (!is_rows(o, v, order, channels, last, &out->first_row[k]))
        return fvlm_match_expected(o->net, o->top, "another order", o->err,
                                   "%s of %s in the order [%" PRIu64 " heads][%" PRIu64
                                   " channels] of the rows of one layer",
                                   fvlm_tower_operand_names[k], o->what, o->heads, o->head_dim);
    *m = (fvlm_map){v->base, channels, o->pixels, last};
    return fvlm_linear_match(&out->linear[k], o->net, m, "the attention's qkv", o->err);
}

fvlm_status fvlm_tower_match_layers(fvlm_attention *out, const fvlm_tower_operands *o, const fvlm_tower_order order[3],
                                    fvlm_map *m)
{
    fvlm_map in[3];
    fvlm_status st = FVLM_OK;
    for (unsigned k = 0; k < 3 && !st; k++) {
        st = match_layer(out, o, k, order[k], &in[k]);
        if (!st) fvlm_map_back(&in[k]);
        if (!st && !fvlm_map_same(&in[k], &in[0]))
            st = fvlm_match_expected(o->net, out->linear[k].node->outputs[0], "one that reads another", o->err,
                                     "a layer for the %s of %s that reads the map that its %s do",
                                     fvlm_tower_operand_names[k], o->what, fvlm_tower_operand_names[0]);
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

fvlm_status fvlm_tower_check_heads(const fvlm_tower_operands *o, uint64_t channels, uint64_t head_dim)
{
    if (o->head_dim == head_dim && o->heads * o->head_dim == channels) return FVLM_OK;
    char found[96];
    snprintf(found, sizeof found, "%" PRIu64 " head%s of %" PRIu64, o->heads, o->heads == 1 ? "" : "s", o->head_dim);
    return fvlm_match_expected(o->net, o->top, found, o->err,
                               "%s to split its %" PRIu64 " channels into heads of %" PRIu64, o->what, channels,
                               head_dim);
}

fvlm_status fvlm_tower_check_scale(const fvlm_tower_operands *o, uint64_t head_dim, fvlm_scalar scale)
{
    if (fvlm_scalar_is(scale, 1 / sqrt((double)head_dim))) return FVLM_OK;
    char found[40];
    snprintf(found, sizeof found, "%.8g", scale.x);
    return fvlm_match_expected(o->net, o->top, found, o->err, "%s to scale its scores by 1 / sqrt(%" PRIu64 ")",
                               o->what, head_dim);
}
