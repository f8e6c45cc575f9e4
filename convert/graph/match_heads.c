/* SPDX-License-Identifier: Apache-2.0 */
/* match_heads.c - see match_heads.h. */
#include "convert/graph/match_heads.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_ELEMENTS (1u << 21) /* of all heads and positions */

/* ---- layouts ---- */

bool fvlm_heads_lay_columns(fvlm_heads_layout *out, const fvlm_net_value *v, uint64_t from, uint64_t heads,
                            uint64_t dim)
{
    if (!heads || heads > FVLM_MAX_HEADS || !dim || dim > FVLM_MAX_WIDTH || v->rank != 3 || v->dims[0] != 1)
        return false;
    if (from > v->dims[2] || heads * dim > v->dims[2] - from) return false;
    *out = (fvlm_heads_layout){.heads = heads, .positions = v->dims[1], .dim = dim, .position_step = v->dims[2]};
    out->element_step = 1;
    for (uint64_t h = 0; h < heads; h++) out->first[h] = from + h * dim;
    return true;
}

bool fvlm_heads_lay_apart(fvlm_heads_layout *out, const fvlm_net_value *v)
{
    const unsigned r = v->rank;
    if (r < 3 || r > 4 || (r == 4 && v->dims[0] != 1)) return false;
    const uint64_t heads = v->dims[r - 3], positions = v->dims[r - 2], dim = v->dims[r - 1];
    if (!heads || heads > FVLM_MAX_HEADS) return false;
    *out = (fvlm_heads_layout){
        .heads = heads, .positions = positions, .dim = dim, .position_step = dim, .element_step = 1};
    for (uint64_t h = 0; h < heads; h++) out->first[h] = h * positions * dim;
    return true;
}

bool fvlm_heads_lay_operand(fvlm_heads_layout *out, const fvlm_net_value *operand, const fvlm_net_value *result,
                            bool turned)
{
    if (operand->rank < 2 || operand->rank > result->rank) return false;
    uint64_t stride[FVLM_GRAPH_MAX_RANK] = {0}, heads = 1;
    const uint64_t rows = operand->dims[operand->rank - 2], columns = operand->dims[operand->rank - 1];
    uint64_t n = rows * columns; /* part of a value whose size was checked */
    for (unsigned i = operand->rank - 2; i-- > 0; n *= operand->dims[i]) {
        const unsigned k = i + result->rank - operand->rank;
        if (operand->dims[i] != 1 && operand->dims[i] != result->dims[k]) return false;
        if (operand->dims[i] != 1) stride[k] = n;
    }
    for (unsigned k = 0; k + 2 < result->rank; k++)
        if ((heads *= result->dims[k]) > FVLM_MAX_HEADS) return false;
    *out = (fvlm_heads_layout){.heads = heads, .positions = turned ? columns : rows, .dim = turned ? rows : columns};
    out->position_step = turned ? 1 : columns;
    out->element_step = turned ? columns : 1;
    for (uint64_t h = 0; h < heads; h++) {
        uint64_t left = h;
        for (unsigned k = result->rank - 2; k-- > 0; left /= result->dims[k])
            out->first[h] += left % result->dims[k] * stride[k];
    }
    return heads > 0;
}

fvlm_status fvlm_heads_trace(fvlm_heads *out, const fvlm_net *net, const fvlm_net_value *v, const fvlm_heads_layout *l,
                             fvlm_err *err)
{
    *out = (fvlm_heads){.value = v, .heads = l->heads, .positions = l->positions, .dim = l->dim, .start = l->start};
    fvlm_status st = fvlm_origins_trace(&out->origins, net, v, err);
    if (st) return st;
    fvlm_origin *e = NULL;
    const uint64_t n = l->heads * l->positions * l->dim;
    if (n > MAX_ELEMENTS)
        st = fvlm_fail(err, FVLM_LIMIT,
                       "value \"%.200s\": too many positions; export the decoder with a dynamic sequence "
                       "length",
                       v->name);
    else if (!(e = fvlm_alloc(n ? n : 1, sizeof *e)))
        st = fvlm_fail_nomem(err);
    fvlm_origin *at = e;
    for (uint64_t h = 0; h < l->heads && !st; h++)
        for (uint64_t p = 0; p < l->positions; p++)
            for (uint64_t i = 0; i < l->dim; i++)
                *at++ = out->origins.elems[l->first[h] + p * l->position_step + i * l->element_step];
    free(out->origins.elems);
    out->origins.elems = e;
    out->origins.n_elems = n;
    if (st) fvlm_heads_free(out);
    return st;
}

void fvlm_heads_free(fvlm_heads *h)
{
    fvlm_origins_free(&h->origins);
    *h = (fvlm_heads){0};
}

/* ---- what they must be ---- */

static const char *many(const char *what)
{
    return what[0] == 'q' ? "queries" : what[0] == 'k' ? "keys" : "values";
}

static const fvlm_origin *element(const fvlm_heads *h, uint64_t head, uint64_t position, uint64_t i)
{
    return &h->origins.elems[(head * h->positions + position) * h->dim + i];
}

/* The column at which a head begins: the lowest that its element 0 comes from, at the first new token. */
static bool begin_of(uint64_t *out, const fvlm_heads *h, uint64_t head, uint64_t from)
{
    const fvlm_origin *e = element(h, head, from, 0);
    if (!e->n) return false;
    *out = e->n == 2 && e->index[1] < e->index[0] ? e->index[1] : e->index[0];
    return true;
}

/* Finds first and group, and checks that heads begin where they must. */
static bool find_groups(fvlm_heads_columns *out, const fvlm_heads *h, uint64_t from)
{
    uint64_t begin = 0;
    if (!begin_of(&out->first, h, 0, from)) return false;
    for (out->group = 1; out->group < h->heads; out->group++)
        if (!begin_of(&begin, h, out->group, from) || begin != out->first) break;
    if (h->heads % out->group) return false;
    for (uint64_t k = 0; k < h->heads; k++)
        if (!begin_of(&begin, h, k, from) || begin != out->first + k / out->group * h->dim) return false;
    return true;
}

static fvlm_status check_unrotated(fvlm_heads_columns *out, const fvlm_heads *h, const fvlm_net *net, uint64_t from,
                                   const char *what, fvlm_err *err)
{
    const uint64_t width = out->source->dims[out->source->rank - 1];
    out->scale = element(h, 0, from, 0)->factor[0];
    for (uint64_t k = 0; k < h->heads; k++)
        for (uint64_t p = from; p < h->positions; p++)
            for (uint64_t i = 0; i < h->dim; i++) {
                const fvlm_origin *e = element(h, k, p, i);
                const uint64_t want = (p - from) * width + out->first + k / out->group * h->dim + i;
                if (e->n != 1 || e->index[0] != want || e->factor[0] != out->scale)
                    return fvlm_match_expected(net, h->value, "another order", err,
                                               "the %s of each head in the order of their projection", many(what));
            }
    return FVLM_OK;
}

static fvlm_status check_rotated(fvlm_heads_columns *out, const fvlm_heads *h, const fvlm_net *net, uint64_t from,
                                 fvlm_rope *rope, const char *what, fvlm_err *err)
{
    const uint64_t width = out->source->dims[out->source->rank - 1], half = h->dim / 2;
    const fvlm_origin *e = element(h, 0, from, 0);
    out->scale = e->n == 2 ? hypot(e->factor[0], e->factor[1]) : fabs(e->factor[0]);
    for (uint64_t k = 0; k < h->heads; k++)
        for (uint64_t p = from; p < h->positions; p++)
            for (uint64_t i = 0; i < half; i++) {
                const uint64_t index = (p - from) * width + out->first + k / out->group * h->dim + i;
                const fvlm_rope_pair pair = {.first = element(h, k, p, i),
                                             .second = element(h, k, p, i + half),
                                             .position = h->start + p,
                                             .i = i,
                                             .dim = h->dim,
                                             .index = (uint32_t)index,
                                             .coarse = h->origins.coarse};
                double angle, wanted;
                char found[160];
                if (fvlm_rope_check(rope, &pair, out->scale, &angle, &wanted)) continue;
                rope->refuted = true;
                snprintf(found, sizeof found,
                         "a rotation by %.6g instead of %.6g at pair %" PRIu64 " of position %" PRIu64, angle, wanted,
                         i, h->start + p);
                return fvlm_match_expected(net, h->value, isnan(angle) ? "no rotation of these pairs" : found, err,
                                           "each %s head rotated by its position in pairs (i, i + %" PRIu64
                                           "), theta %g",
                                           what, half, rope->theta);
            }
    return FVLM_OK;
}

fvlm_status fvlm_heads_check_columns(fvlm_heads_columns *out, const fvlm_heads *h, const fvlm_net *net, uint64_t from,
                                     fvlm_rope *rope, const char *what, fvlm_err *err)
{
    *out = (fvlm_heads_columns){0};
    if (from >= h->positions || !h->dim || !h->heads)
        return fvlm_match_expected(net, h->value, "none", err, "%s of the new tokens", many(what));
    const unsigned source = element(h, 0, from, 0)->source[0];
    out->source = h->origins.source[source];
    for (uint64_t k = 0; k < h->heads; k++)
        for (uint64_t j = from * h->dim; j < h->positions * h->dim; j++) {
            const fvlm_origin *e = &h->origins.elems[k * h->positions * h->dim + j];
            if (!e->n || e->source[0] != source || (e->n == 2 && e->source[1] != source))
                return fvlm_match_expected(net, h->value, "something else", err, "%s that come from one projection",
                                           many(what));
        }
    if (!out->source->rank || !find_groups(out, h, from))
        return fvlm_match_expected(net, h->value, "another order", err,
                                   "the %s of each head in the order of their projection", many(what));
    if (!rope) return check_unrotated(out, h, net, from, what, err);
    if (h->dim % 2 || h->dim < 4)
        return fvlm_match_expected(net, h->value, "another", err, "an even size of heads, at least 4");
    fvlm_status st = rope->theta > 0 ? FVLM_OK : fvlm_rope_estimate(rope, h, from, net, err);
    return st ? st : check_rotated(out, h, net, from, rope, what, err);
}

fvlm_status fvlm_heads_check_cache(const fvlm_net_value **out, const fvlm_heads *h, const fvlm_net *net, uint64_t n,
                                   const fvlm_heads_columns *columns, const char *what, fvlm_err *err)
{
    const double allowed =
        h->origins.coarse ? 2e-3 : 2e-6; /* the scale of rotated elements is that of rounded numbers */
    *out = NULL;
    for (uint64_t k = 0; k < h->heads; k++)
        for (uint64_t p = 0; p < n; p++)
            for (uint64_t i = 0; i < h->dim; i++) {
                const fvlm_origin *e = element(h, k, p, i);
                const fvlm_net_value *from = e->n == 1 ? h->origins.source[e->source[0]] : NULL;
                if (!*out && from && from->is_input) *out = from;
                if (!from || from != *out)
                    return fvlm_match_expected(net, h->value, "something else", err,
                                               "%s of past tokens that come from a cache, an input of the graph",
                                               many(what));
                if (e->index[0] != (k / columns->group * n + p) * h->dim + i ||
                    fabs(e->factor[0] - columns->scale) > allowed * fabs(columns->scale))
                    return fvlm_match_expected(net, h->value, "another order", err,
                                               "%s of past tokens as the cache has them: [1, heads, positions, %" PRIu64
                                               "]",
                                               many(what), h->dim);
            }
    return FVLM_OK;
}
