/* SPDX-License-Identifier: Apache-2.0 */
/* branches.c - see branches.h. */
#include "convert/graph/branches.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define BATCH_NORM_EPS 1e-5 /* PyTorch's default */
#define MAX_DEPTH 24

const char *fvlm_net_layer_text(const fvlm_net_node *n, char out[160])
{
    const fvlm_net_window *w = n->window;
    if (!strcmp(n->op, "BatchNormalization")) {
        snprintf(out, 160, "BatchNormalization with eps %g", n->epsilon);
        return out;
    }
    const fvlm_net_value *weight = n->n_inputs > 1 ? n->inputs[1] : NULL;
    if (strcmp(n->op, "Conv") != 0 || !w || w->n_spatial != 2 || !weight || weight->rank != 4) return n->node->op;
    snprintf(out, 160,
             "a %" PRIu64 "x%" PRIu64 " convolution, stride %" PRIu64 "x%" PRIu64 ", padding %" PRIu64 ",%" PRIu64
             ",%" PRIu64 ",%" PRIu64 ", dilation %" PRIu64 "x%" PRIu64 ", %" PRIu64 " groups, %" PRIu64 " -> %" PRIu64
             " channels",
             w->kernel[0], w->kernel[1], w->stride[0], w->stride[1], w->pad_before[0], w->pad_before[1],
             w->pad_after[0], w->pad_after[1], w->dilation[0], w->dilation[1], w->group, weight->dims[1] * w->group,
             weight->dims[0]);
    return out;
}

/* A square convolution with an odd side, padded by half of it. */
static bool read_conv(fvlm_net_branch *b, const fvlm_net_node *n)
{
    const fvlm_net_window *w = n->window;
    const fvlm_net_value *weight = n->n_inputs > 1 ? n->inputs[1] : NULL;
    if (strcmp(n->op, "Conv") != 0 || !w || w->n_spatial != 2 || !weight || !weight->is_const || weight->rank != 4)
        return false;
    for (unsigned i = 0; i < 2; i++)
        if (w->kernel[i] != w->kernel[0] || w->stride[i] != w->stride[0] || (w->kernel[i] > 1 && w->dilation[i] != 1) ||
            w->pad_before[i] != w->kernel[i] / 2 || w->pad_after[i] != w->kernel[i] / 2)
            return false;
    b->k = w->kernel[0];
    b->stride = w->stride[0];
    b->groups = w->group;
    b->out = weight->dims[0];
    b->in = weight->dims[1] * w->group; /* the net checked it against the input */
    return b->k % 2 == 1 && weight->n_elems == b->out * weight->dims[1] * b->k * b->k &&
           !(weight->weight.transposed && b->k > 1);
}

static bool is_batch_norm(const fvlm_net_value *v, uint64_t channels)
{
    if (!fvlm_net_is(v, "BatchNormalization") || v->producer->n_inputs < 5) return false;
    const fvlm_net_node *n = v->producer;
    if (v->rank < 2 || v->dims[0] != 1 || v->dims[1] != channels) return false;
    for (unsigned i = 1; i < 5; i++)
        if (!n->inputs[i] || !n->inputs[i]->is_const || n->inputs[i]->n_elems != channels) return false;
    int64_t training = 0;
    return !fvlm_graph_attr_int(&training, n->node, "training_mode", 0, NULL) && training == 0 &&
           fvlm_scalar_is((fvlm_scalar){.x = n->epsilon}, BATCH_NORM_EPS);
}

static bool is_map(const fvlm_map *a, const fvlm_map *x)
{
    fvlm_map m = *a;
    if (fvlm_map_same(&m, x)) return true;
    fvlm_map_back(&m);
    return fvlm_map_same(&m, x);
}

/* [BatchNorm] [convolution] x. */
static fvlm_net_branch read_branch(const fvlm_map *top, const fvlm_map *x)
{
    fvlm_net_branch b = {.kind = FVLM_BRANCH_OTHER, .sign = 1, .top = *top};
    fvlm_map m = *top;
    if (is_map(&m, x)) { /* although x may be BatchNorm's output itself */
        b.kind = FVLM_BRANCH_IDENTITY;
        return b;
    }
    if (is_batch_norm(m.v, m.channels) && fvlm_map_has_order(&m, false)) {
        b.bn = m.v->producer;
        m.v = b.bn->inputs[0];
        fvlm_map_back(&m);
    } else if ((b.shift = fvlm_map_pass_constant(&m, "Add"))) {
        b.gain = fvlm_map_pass_constant(&m, "Mul");
    }
    if (is_map(&m, x)) {
        b.kind = FVLM_BRANCH_IDENTITY;
    } else if (m.v->producer && fvlm_map_has_order(&m, false) && read_conv(&b, m.v->producer) && b.out == m.channels) {
        fvlm_net_value *v = m.v->producer->inputs[0];
        const fvlm_map in = {v, b.in, v->n_elems / b.in, false};
        if (is_map(&in, x)) b.kind = FVLM_BRANCH_CONV, b.conv = m.v->producer;
    }
    return b;
}

typedef struct {
    const fvlm_net *net;
    const fvlm_map *x;
    fvlm_net_sum *out;
    fvlm_err *err;
} search;

static fvlm_status take_apart(search *s, fvlm_map m, int sign, fvlm_net_value *scale, unsigned depth)
{
    fvlm_net_value *constant, *other;
    const bool whole = is_map(&m, s->x);
    if (!whole) fvlm_map_back(&m);
    const bool sum = fvlm_net_is(m.v, "Add") || fvlm_net_is(m.v, "Sum"), difference = fvlm_net_is(m.v, "Sub");
    bool parts = !whole && (sum || difference);
    for (size_t i = 0; parts && i < m.v->producer->n_inputs; i++)
        parts = !m.v->producer->inputs[i]->is_const && m.v->producer->inputs[i]->n_elems == m.v->n_elems;
    if (depth == MAX_DEPTH || (!parts && s->out->n == FVLM_NET_BRANCHES))
        return fvlm_match_expected(s->net, m.v, "more", s->err, "at most %d branches of a block", FVLM_NET_BRANCHES);
    fvlm_status st = FVLM_OK;
    if (parts) {
        for (size_t i = 0; i < m.v->producer->n_inputs && !st; i++) {
            const fvlm_map part = {m.v->producer->inputs[i], m.channels, m.pixels, m.channels_last};
            st = take_apart(s, part, i && difference ? -sign : sign, scale, depth + 1);
        }
        return st;
    }
    fvlm_net_branch b = read_branch(&m, s->x);
    if (b.kind == FVLM_BRANCH_OTHER && !whole && !scale && fvlm_net_is(m.v, "Mul") &&
        fvlm_net_split_const(m.v->producer, &constant, &other) && other->n_elems == m.v->n_elems &&
        (constant->n_elems == 1 || fvlm_map_is_per_channel(&m, constant))) {
        m.v = other;
        return take_apart(s, m, sign, constant, depth + 1);
    }
    b.sign = sign;
    b.scale = scale;
    s->out->branch[s->out->n++] = b;
    return FVLM_OK;
}

fvlm_status fvlm_net_sum_match(fvlm_net_sum *out, const fvlm_net *net, fvlm_map y, const fvlm_map *x, fvlm_err *err)
{
    out->n = 0;
    search s = {net, x, out, err};
    return take_apart(&s, y, 1, NULL, 0);
}

bool fvlm_net_branch_is_normalized(const fvlm_net_branch *b)
{
    return b->bn || b->gain || b->shift;
}

bool fvlm_net_branch_is_input(const fvlm_net_branch *b)
{
    return b->kind == FVLM_BRANCH_IDENTITY && !fvlm_net_branch_is_normalized(b) && b->sign == 1 && !b->scale;
}

uint64_t fvlm_net_sum_widest(const fvlm_net_sum *s)
{
    uint64_t k = 0;
    for (unsigned i = 0; i < s->n; i++)
        if (s->branch[i].kind == FVLM_BRANCH_CONV && s->branch[i].k > k) k = s->branch[i].k;
    return k;
}
