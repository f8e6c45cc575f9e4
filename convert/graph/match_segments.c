/* SPDX-License-Identifier: Apache-2.0 */
/* match_segments.c - see match_tower.h: what lies between two links of the chain. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "convert/graph/match_tower.h"

#define MAX_STEPS 256 /* values that one guess visits */

/* The map that v is, by the layer that computes it. A wrong guess can only lead to a refusal: the matchers verify
 * every layer themselves. */
static bool guess_map(fvlm_map *out, fvlm_net_value *v, const fvlm_map *x, unsigned *steps)
{
    fvlm_map m = *x;
    fvlm_view view;
    if (fvlm_map_forward(&m, v)) return *out = m, true;
    if (!v->producer || *steps == MAX_STEPS || v->rank < 2) return false;
    ++*steps;
    fvlm_view_trace(&view, v, NULL);
    if (view.base != v) {
        if (!guess_map(&m, view.base, x, steps) || !fvlm_map_forward(&m, v)) return false;
        return *out = m, true;
    }
    const fvlm_net_node *n = v->producer;
    if (!strcmp(n->op, "Conv")) {
        *out = (fvlm_map){v, v->dims[1], v->dims[1] ? v->n_elems / v->dims[1] : 0, false};
        return v->dims[0] == 1 && v->dims[1] > 0;
    }
    if (!strcmp(n->op, "MatMul") && n->inputs[1]->is_const) {
        const uint64_t channels = v->dims[v->rank - 1];
        *out = (fvlm_map){v, channels, channels ? v->n_elems / channels : 0, true};
        return channels > 0;
    }
    for (size_t i = 0; i < n->n_inputs; i++) {
        if (!n->inputs[i] || n->inputs[i]->is_const || n->inputs[i]->n_elems != v->n_elems) continue;
        if (!guess_map(out, n->inputs[i], x, steps)) continue;
        out->v = v;
        return true;
    }
    return false;
}

static bool map_of_link(fvlm_map *out, const fvlm_tower *t, size_t link, const fvlm_map *x)
{
    unsigned steps = 0;
    return guess_map(out, t->chain.link[link], x, &steps);
}

/* The first link after 'at' that is not x in another shape or order; chain.n if there is none. */
static size_t next_computed(const fvlm_tower *t, const fvlm_map *x, size_t at)
{
    for (at++; at < t->chain.n; at++) {
        fvlm_map m = *x;
        if (!fvlm_map_forward(&m, t->chain.link[at])) break;
    }
    return at;
}

/* BatchNorm, or a constant that is added or multiplied: they belong to the layer before. */
static bool is_affine(const fvlm_net_value *v)
{
    fvlm_net_value *constant, *other;
    if (fvlm_net_is(v, "BatchNormalization")) return true;
    return (fvlm_net_is(v, "Add") || fvlm_net_is(v, "Mul")) && fvlm_net_split_const(v->producer, &constant, &other) &&
           other->n_elems == v->n_elems;
}

static size_t end_of_layer(const fvlm_tower *t, size_t first)
{
    size_t end = first;
    for (size_t i = first + 1; i < t->chain.n; i++) {
        fvlm_view view;
        fvlm_view_trace(&view, t->chain.link[i], NULL);
        if (is_affine(t->chain.link[i]))
            end = i;
        else if (view.base == t->chain.link[i])
            break;
    }
    return end;
}

fvlm_segment fvlm_tower_segment(const fvlm_tower *t, const fvlm_map *x, size_t at)
{
    fvlm_segment s = {.kind = FVLM_SEGMENT_END, .end = t->chain.n - 1};
    const size_t first = next_computed(t, x, at);
    if (first == t->chain.n) return s;
    s.kind = FVLM_SEGMENT_OTHER;
    s.first = t->chain.link[first];
    s.end = end_of_layer(t, first);
    if (!map_of_link(&s.y, t, s.end, x)) {
        s.y.v = NULL;
        return s;
    }
    if (fvlm_net_sum_match(&s.sum, t->net, s.y, x, NULL)) return s;
    unsigned identities = 0, convs = 0, others = 0;
    for (unsigned i = 0; i < s.sum.n; i++) {
        identities += fvlm_net_branch_is_input(&s.sum.branch[i]);
        convs += s.sum.branch[i].kind == FVLM_BRANCH_CONV;
        others += s.sum.branch[i].kind == FVLM_BRANCH_OTHER;
    }
    if (convs && !others) s.kind = FVLM_SEGMENT_CONV;
    if (!convs && others == 1 && identities == 1 && s.sum.n == 2) s.kind = FVLM_SEGMENT_RESIDUAL;
    return s;
}

void fvlm_tower_advance(fvlm_tower *t, const fvlm_segment *s)
{
    t->at = s->end;
    t->x = s->y;
    t->twice = false;
}

fvlm_status fvlm_tower_refuse_twice(const fvlm_tower *t)
{
    return fvlm_match_expected(t->net, t->x.v, "another use of it", t->err,
                               "x * (1 + erf(x / sqrt 2)), twice a GELU, to be read by convolutions or by one linear "
                               "layer, whose weights hold the half");
}

fvlm_status fvlm_segment_expected(const fvlm_tower *t, const fvlm_segment *s, const char *what)
{
    char found[160];
    if (!s->first) return fvlm_match_expected(t->net, t->x.v, "the output", t->err, "%s after it", what);
    fvlm_net_value *odd = s->first;
    bool conv = false;
    for (unsigned i = s->y.v ? s->sum.n : 0; i-- > 0;) { /* one branch among convolutions is at fault */
        conv |= s->sum.branch[i].kind == FVLM_BRANCH_CONV;
        if (s->sum.branch[i].kind == FVLM_BRANCH_OTHER) odd = s->sum.branch[i].top.v;
    }
    if (!conv) odd = s->first;
    return fvlm_match_expected(t->net, odd, odd->producer ? fvlm_net_layer_text(odd->producer, found) : NULL, t->err,
                               "%s", what);
}

fvlm_status fvlm_tower_check_conv(const fvlm_tower *t, const fvlm_segment *s, fvlm_wanted_conv want)
{
    char expected[256], found[160], side[48] = "";
    if (want.k) snprintf(side, sizeof side, "%" PRIu64 "x%" PRIu64 ", ", want.k, want.k);
    snprintf(expected, sizeof expected, "%s (%s%sstride %" PRIu64 ", padding half its side%s)", want.what,
             want.depthwise ? "depthwise, " : "", side, want.stride, want.same ? ", as many channels out as in" : "");
    if (s->kind != FVLM_SEGMENT_CONV) return fvlm_segment_expected(t, s, expected);
    const uint64_t k = fvlm_net_sum_widest(&s->sum);
    for (unsigned i = 0; i < s->sum.n; i++) {
        const fvlm_net_branch *b = &s->sum.branch[i];
        if (b->kind != FVLM_BRANCH_CONV) {
            if (t->twice) return fvlm_tower_refuse_twice(t);
            continue;
        }
        const bool ok = (!want.k || k == want.k) && b->stride == want.stride && b->in == t->x.channels &&
                        b->groups == (want.depthwise ? b->in : 1) && b->out == s->y.channels &&
                        b->out % b->groups == 0 && (!want.same || b->out == b->in);
        if (!ok)
            return fvlm_match_expected(t->net, b->conv->outputs[0], fvlm_net_layer_text(b->conv, found), t->err, "%s",
                                       expected);
    }
    return FVLM_OK;
}

fvlm_status fvlm_tower_pass_gelu(fvlm_tower *t, const char *what)
{
    const size_t first = next_computed(t, &t->x, t->at);
    if (first == t->chain.n)
        return fvlm_match_expected(t->net, t->x.v, "the output", t->err, "the exact GELU %s", what);
    size_t end = first; /* the input of a final Mul by 0.5 is a link, too */
    fvlm_net_value *other;
    for (fvlm_scalar any = {.x = 1}; end + 1 < t->chain.n; end++)
        if (!fvlm_scalar_step(&any, t->chain.link[end + 1]->producer, &other)) break;
    fvlm_map y, m;
    if (!map_of_link(&y, t, end, &t->x))
        y = (fvlm_map){t->chain.link[end], t->x.channels, t->x.pixels, t->x.channels_last};
    m = y;
    bool twice;
    fvlm_status st = fvlm_gelu_match(&twice, t->net, &m, what, t->err);
    if (st) return st;
    fvlm_map_back(&m);
    if (!fvlm_map_same(&m, &t->x))
        return fvlm_match_expected(t->net, y.v, "the GELU of another value", t->err, "the exact GELU %s", what);
    t->at = end;
    t->x = y;
    t->twice = twice;
    return FVLM_OK;
}
