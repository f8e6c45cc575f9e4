/* SPDX-License-Identifier: Apache-2.0 */
/* map.c - see map.h: what a feature map is, and linear layers. */
#include "convert/graph/map.h"

#include <string.h>

/* How the order of a value and of its base differ, if they are maps of the same channels and pixels. */
typedef enum { MIXED, SAME, SWAPPED } order;

static order compare_order(const fvlm_view *v, uint64_t channels, uint64_t pixels, bool base_is_last)
{
    if (v->base->n_elems != channels * pixels || v->offset != 0) return MIXED;
    if (fvlm_view_is(v, &(fvlm_view_factor){.size = channels * pixels, .stride = 1}, 1)) return SAME;
    const uint64_t outer = base_is_last ? channels : pixels, inner = base_is_last ? pixels : channels;
    const fvlm_view_factor swapped[] = {{.size = outer, .stride = 1}, {.size = inner, .stride = outer}};
    return fvlm_view_is(v, swapped, 2) ? SWAPPED : MIXED;
}

void fvlm_map_back(fvlm_map *m)
{
    fvlm_view v;
    fvlm_view_trace(&v, m->v, NULL);
    if (v.base == m->v) return;
    /* The order of the base follows from that of m: either the same, or the other one. */
    if (compare_order(&v, m->channels, m->pixels, m->channels_last) == SAME)
        m->v = v.base;
    else if (compare_order(&v, m->channels, m->pixels, !m->channels_last) == SWAPPED)
        *m = (fvlm_map){v.base, m->channels, m->pixels, !m->channels_last};
}

bool fvlm_map_forward(fvlm_map *m, fvlm_net_value *v)
{
    fvlm_view view;
    fvlm_view_trace(&view, v, NULL);
    if (view.base != m->v) return false;
    const order found = compare_order(&view, m->channels, m->pixels, m->channels_last);
    if (found == SWAPPED) m->channels_last = !m->channels_last;
    m->v = v;
    return found != MIXED;
}

bool fvlm_map_has_order(const fvlm_map *m, bool channels_last)
{
    return m->channels_last == channels_last || m->channels == 1 || m->pixels == 1;
}

bool fvlm_map_same(const fvlm_map *a, const fvlm_map *b)
{
    return a->v == b->v && a->channels == b->channels && a->pixels == b->pixels &&
           fvlm_map_has_order(a, b->channels_last);
}

/* The dimension that counts channels; -1 if there is none. */
static int channel_axis(const fvlm_map *m)
{
    const fvlm_net_value *v = m->v;
    if (v->n_elems != m->channels * m->pixels) return -1;
    int axis = m->channels_last ? (int)v->rank - 1 : 0;
    while (axis >= 0 && axis < (int)v->rank && v->dims[axis] == 1 && m->channels != 1)
        axis += m->channels_last ? -1 : 1;
    return axis >= 0 && axis < (int)v->rank && v->dims[axis] == m->channels ? axis : -1;
}

bool fvlm_map_is_per_channel(const fvlm_map *m, const fvlm_net_value *v)
{
    const int axis = channel_axis(m);
    if (axis < 0 || v->n_elems != m->channels || v->rank > m->v->rank) return false;
    for (unsigned d = 0; d < v->rank; d++)
        if (v->dims[d] != 1 && (int)(d + m->v->rank - v->rank) != axis) return false;
    return true;
}

bool fvlm_map_pixel_axes(const fvlm_map *m, uint32_t *axes)
{
    const int axis = channel_axis(m);
    *axes = 0;
    for (unsigned d = 0; d < m->v->rank; d++)
        if ((int)d != axis && m->v->dims[d] != 1) *axes |= 1u << d;
    return axis >= 0;
}

fvlm_net_value *fvlm_map_pass_constant(fvlm_map *m, const char *op)
{
    fvlm_net_value *constant, *other;
    if (!fvlm_net_is(m->v, op) || !fvlm_net_split_const(m->v->producer, &constant, &other) ||
        other->n_elems != m->v->n_elems || !fvlm_map_is_per_channel(m, constant))
        return NULL;
    m->v = other;
    fvlm_map_back(m);
    return constant;
}

/* A convolution that sees one pixel and all channels. */
static bool is_pointwise(const fvlm_net_node *n)
{
    const fvlm_net_window *w = n->window;
    bool ok = !strcmp(n->op, "Conv") && w && w->group == 1;
    for (unsigned i = 0; ok && i < w->n_spatial; i++)
        ok = w->kernel[i] == 1 && w->stride[i] == 1 && w->pad_before[i] == 0 && w->pad_after[i] == 0;
    return ok;
}

/* A matrix among dimensions of 1. */
static bool is_matrix(const fvlm_net_value *v, uint64_t *rows, uint64_t *columns)
{
    if (!v->is_const || v->rank < 2) return false;
    *rows = v->dims[v->rank - 2];
    *columns = v->dims[v->rank - 1];
    return v->n_elems == *rows * *columns;
}

/* The product itself: sets all of out but the bias, and m to the input. */
static bool match_product(fvlm_linear *out, fvlm_map *m)
{
    fvlm_net_node *n = m->v->producer;
    uint64_t rows, columns;
    *out = (fvlm_linear){.node = n, .out = m->channels};
    if (!n) return false;
    if (is_pointwise(n) && fvlm_map_has_order(m, false) && n->inputs[1]->is_const) {
        out->weight = n->inputs[1];
        out->in = out->weight->dims[1];
        if (n->n_inputs > 2) out->bias = n->inputs[2];
        *m = (fvlm_map){n->inputs[0], out->in, m->pixels, false};
    } else if (!strcmp(n->op, "MatMul") && fvlm_map_has_order(m, true) && is_matrix(n->inputs[1], &rows, &columns) &&
               columns == m->channels) {
        out->weight = n->inputs[1];
        out->transposed = true;
        out->in = rows;
        *m = (fvlm_map){n->inputs[0], rows, m->pixels, true};
    } else if (!strcmp(n->op, "MatMul") && fvlm_map_has_order(m, false) && is_matrix(n->inputs[0], &rows, &columns) &&
               rows == m->channels && n->inputs[1]->rank >= 2 &&
               n->inputs[1]->dims[n->inputs[1]->rank - 1] == m->pixels) {
        out->weight = n->inputs[0];
        out->in = columns;
        *m = (fvlm_map){n->inputs[1], columns, m->pixels, false};
    } else {
        return false;
    }
    return !m->v->is_const && m->v->n_elems == m->channels * m->pixels && out->weight->n_elems == out->in * out->out;
}

fvlm_status fvlm_linear_match(fvlm_linear *out, const fvlm_net *net, fvlm_map *m, const char *what, fvlm_err *err)
{
    fvlm_map_back(m);
    fvlm_net_value *bias = NULL, *c, *other, *top = m->v;
    if (fvlm_net_is(m->v, "Add") && fvlm_net_split_const(m->v->producer, &c, &other)) {
        if (!fvlm_map_is_per_channel(m, c) || other->n_elems != m->v->n_elems)
            return fvlm_match_expected(net, m->v, "another constant", err, "the bias of %s, a number for each channel",
                                       what);
        bias = c;
        m->v = other;
        fvlm_map_back(m);
    }
    fvlm_net_value *product = m->v;
    if (!match_product(out, m))
        return fvlm_match_expected(net, product, NULL, err, "%s, a 1x1 convolution or a product with a constant matrix",
                                   what);
    if (bias && out->bias) return fvlm_match_expected(net, top, "two", err, "one bias of %s", what);
    if (bias) out->bias = bias;
    return FVLM_OK;
}
