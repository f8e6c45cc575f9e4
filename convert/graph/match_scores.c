/* SPDX-License-Identifier: Apache-2.0 */
/* match_scores.c - softmax over masked scores: what is done to q k^T before the softmax is reduced to a factor and a
 * number that is added to each score, which must be a causal mask. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "convert/graph/match_attention.h"

#define MASKED (-1e4) /* what is added to a masked score at most; exporters use -1e4 to -infinity */
#define STEPS 16
#define MAX_SCORES (1u << 22)

typedef struct {
    fvlm_attention_frame *f;
    double scale;
    double *added; /* to each score */
    uint64_t n;
    fvlm_err *err;
} scores;

static fvlm_status number(double *out, const scores *s, const fvlm_net_value *c, const fvlm_net_value *v, uint64_t i)
{
    if (fvlm_origin_number(out, c, fvlm_origin_broadcast_index(c, v, i))) return FVLM_OK;
    return fvlm_match_expected(s->f->net, v, "a larger one", s->err,
                               "a mask of at most %d elements; export the decoder "
                               "with a dynamic sequence length",
                               FVLM_NET_COMPUTED);
}

static fvlm_status add_mask(scores *s, const fvlm_net_value *c, const fvlm_net_value *v, double sign)
{
    fvlm_status st = FVLM_OK;
    for (uint64_t i = 0; i < s->n && !st; i++) {
        double x = 0;
        st = number(&x, s, c, v, i);
        if (!st && x != 0) s->added[i] += sign * s->scale * x;
    }
    return st;
}

/* Where a constant condition is 'on', the score is replaced by the constant c. */
static fvlm_status replace(scores *s, const fvlm_net_node *n, bool on, const fvlm_net_value *c)
{
    const fvlm_net_value *v = n->outputs[0];
    fvlm_status st = FVLM_OK;
    for (uint64_t i = 0; i < s->n && !st; i++) {
        double x = 0, chosen = 0;
        st = number(&chosen, s, n->inputs[0], v, i);
        if (!st) st = number(&x, s, c, v, i);
        if (st || (chosen != 0) != on) continue;
        if (s->scale * x > MASKED) {
            char found[40];
            snprintf(found, sizeof found, "%g", s->scale * x);
            return fvlm_match_expected(s->f->net, v, found, s->err, "masked scores below %g", MASKED);
        }
        s->added[i] = -INFINITY;
    }
    return st;
}

static bool one_number(double *out, const fvlm_net_value *c)
{
    return c && c->is_const && fvlm_origin_number(out, c, 0) && isfinite(*out) && fvlm_net_all(c, *out);
}

/* Undoes the operation that computes v. *next: what it was done to. */
static fvlm_status step(fvlm_net_value **next, scores *s, fvlm_net_value *v)
{
    const fvlm_net_node *n = v->producer;
    fvlm_net_value *c = NULL;
    double x = 0;
    *next = NULL;
    if (v->is_const || !n || v->n_elems != s->n) return FVLM_OK;
    if (!strcmp(n->op, "Mul") && fvlm_net_split_const(n, &c, next) && one_number(&x, c)) {
        s->scale *= x;
    } else if (!strcmp(n->op, "Div") && one_number(&x, n->inputs[1]) && x != 0) {
        s->scale /= x;
        *next = n->inputs[0];
    } else if (!strcmp(n->op, "Add") && fvlm_net_split_const(n, &c, next)) {
        return add_mask(s, c, v, 1);
    } else if (!strcmp(n->op, "Sub") && n->inputs[1]->is_const) {
        *next = n->inputs[0];
        return add_mask(s, n->inputs[1], v, -1);
    } else if (!strcmp(n->op, "Where") && n->inputs[0]->is_const && n->inputs[1]->is_const != n->inputs[2]->is_const) {
        const bool on = n->inputs[1]->is_const;
        *next = n->inputs[on ? 2 : 1];
        return replace(s, n, on, n->inputs[on ? 1 : 2]);
    } else {
        *next = NULL;
    }
    return FVLM_OK;
}

static fvlm_status check_causal(fvlm_attention_frame *f, const double *added, uint64_t n, const fvlm_net_value *v,
                                fvlm_err *err)
{
    const uint64_t keys = f->n_past + f->n_new;
    for (uint64_t i = 0; i < n; i++) {
        const uint64_t key = i % keys, query = i / keys % f->n_new;
        const bool seen = key <= f->n_past + query;
        if (seen ? added[i] == 0 : added[i] <= MASKED) continue;
        char found[96];
        f->not_causal = true;
        snprintf(found, sizeof found, "%g at query %" PRIu64 ", key %" PRIu64, added[i], f->n_past + query, key);
        return fvlm_match_expected(f->net, v, found, err, "a causal mask (%s there)", seen ? "0" : "-1e4 or less");
    }
    return FVLM_OK;
}

fvlm_status fvlm_scores_check_mask(fvlm_attention_frame *f, const fvlm_net_value *mask, bool causal_already,
                                   const fvlm_net_value *user, fvlm_err *err)
{
    const uint64_t keys = f->n_past + f->n_new;
    if (!mask->is_const || mask->rank < 2 || mask->dims[mask->rank - 1] != keys ||
        (mask->dims[mask->rank - 2] != f->n_new && !(causal_already && mask->dims[mask->rank - 2] == 1)))
        return fvlm_match_expected(f->net, user, "another", err, "a constant mask [.., %" PRIu64 ", %" PRIu64 "]",
                                   f->n_new, keys);
    const uint64_t rows = mask->dims[mask->rank - 2];
    const uint64_t n = mask->n_elems * (f->n_new / rows);
    double *added = fvlm_alloc(n, sizeof *added);
    if (!added) return fvlm_fail_nomem(err);
    fvlm_status st = FVLM_OK;
    for (uint64_t i = 0; i < n && !st; i++) {
        const uint64_t key = i % keys, query = i / keys % f->n_new, plane = i / keys / f->n_new;
        if (!fvlm_origin_number(&added[i], mask, (plane * rows + query % rows) * keys + key))
            st = fvlm_match_expected(f->net, user, "a larger one", err, "a mask of at most %d elements",
                                     FVLM_NET_COMPUTED);
        if (mask->type == FVLM_ONNX_BOOL) added[i] = added[i] != 0 ? 0 : -INFINITY;
        if (causal_already && key > f->n_past + query) added[i] = -INFINITY;
    }
    if (!st) st = check_causal(f, added, n, user, err);
    free(added);
    return st;
}

fvlm_status fvlm_scores_find(const fvlm_net_node **matmul, double *scale, fvlm_attention_frame *f, fvlm_net_value *v,
                             fvlm_err *err)
{
    fvlm_net_value *at = fvlm_net_skip_reshapes(v), *next;
    const uint64_t keys = f->n_past + f->n_new;
    if (!fvlm_net_is(at, "Softmax") || at->producer->axis + 1 != at->rank || at->rank < 3 ||
        at->dims[at->rank - 1] != keys || at->dims[at->rank - 2] != f->n_new || at->n_elems > MAX_SCORES)
        return fvlm_match_expected(f->net, at, fvlm_net_is(at, "Softmax") ? "one of another axis or shape" : NULL, err,
                                   "a softmax over %" PRIu64 " keys for each of %" PRIu64 " queries", keys, f->n_new);
    scores s = {.f = f, .scale = 1, .n = at->n_elems, .err = err};
    const fvlm_net_value *softmax = at;
    s.added = fvlm_alloc(s.n, sizeof *s.added);
    if (!s.added) return fvlm_fail_nomem(err);
    fvlm_status st = FVLM_OK;
    at = fvlm_net_skip_reshapes(at->producer->inputs[0]);
    for (int i = 0; i < STEPS && !st && !fvlm_net_is(at, "MatMul"); i++) {
        st = step(&next, &s, at);
        if (!st && !next) st = fvlm_match_expected(f->net, at, NULL, err, "scores that are only scaled and masked");
        if (!st) at = fvlm_net_skip_reshapes(next);
    }
    if (!st && (!fvlm_net_is(at, "MatMul") || at->rank < 3 || at->n_elems != s.n || at->dims[at->rank - 1] != keys ||
                at->dims[at->rank - 2] != f->n_new))
        st = fvlm_match_expected(f->net, at, NULL, err, "the product of queries and keys");
    if (!st) st = check_causal(f, s.added, s.n, softmax, err);
    free(s.added);
    *matmul = at->producer;
    *scale = s.scale;
    return st;
}
