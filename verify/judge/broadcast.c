/* SPDX-License-Identifier: Apache-2.0 */
/* broadcast.c - shapes and strides of broadcast operands. */
#include "verify/judge/broadcast.h"

static fvlm_status result_shape(fvlm_broadcast *b, const fvlm_judge_call *c, const fvlm_judge_value *const *operands)
{
    char first[192], other[192];
    b->rank = 0;
    for (unsigned k = 0; k < b->n; k++)
        if (b->rank < operands[k]->rank) b->rank = operands[k]->rank;
    for (unsigned i = 0; i < b->rank; i++) b->dims[i] = 1;
    for (unsigned k = 0; k < b->n; k++)
        for (unsigned i = 0; i < operands[k]->rank; i++) {
            uint64_t *to = &b->dims[b->rank - operands[k]->rank + i];
            const uint64_t d = operands[k]->dims[i];
            if (*to == 1) *to = d;
            if (d != 1 && d != *to)
                return fvlm_judge_refuse(c, "shapes %s and %s do not broadcast",
                                         fvlm_judge_shape_text(operands[0], first),
                                         fvlm_judge_shape_text(operands[k], other));
        }
    if (!fvlm_judge_count(&b->n_elems, b->dims, b->rank))
        return fvlm_judge_refuse(c, "a result of more than 2^63 elements");
    return FVLM_OK;
}

/* Strides in elements; 0 along dimensions that are repeated. */
static void strides(const fvlm_broadcast *b, const fvlm_judge_value *v, uint64_t out[FVLM_GRAPH_MAX_RANK])
{
    uint64_t step = 1;
    const unsigned missing = b->rank - v->rank;
    for (unsigned i = b->rank; i-- > 0;) {
        const uint64_t d = i < missing ? 1 : v->dims[i - missing];
        out[i] = d == 1 ? 0 : step;
        step *= d;
    }
}

fvlm_status fvlm_broadcast_plan(fvlm_broadcast *b, const fvlm_judge_call *c, const fvlm_judge_value *const *operands,
                                unsigned n)
{
    uint64_t full[FVLM_BROADCAST_MAX][FVLM_GRAPH_MAX_RANK];
    *b = (fvlm_broadcast){.n = n, .loops = 1, .extent = {1}};
    fvlm_status st = result_shape(b, c, operands);
    if (st || !b->n_elems) return st;
    for (unsigned k = 0; k < n; k++) strides(b, operands[k], full[k]);
    bool first = true;
    for (unsigned i = 0; i < b->rank; i++) {
        if (b->dims[i] == 1) continue;
        const unsigned last = b->loops - 1;
        bool merge = !first;
        for (unsigned k = 0; k < n; k++) merge &= b->stride[k][last] == full[k][i] * b->dims[i];
        if (!merge && !first) b->loops++;
        const unsigned at = b->loops - 1;
        b->extent[at] = merge ? b->extent[at] * b->dims[i] : b->dims[i];
        for (unsigned k = 0; k < n; k++) b->stride[k][at] = full[k][i];
        first = false;
    }
    return FVLM_OK;
}

typedef struct {
    const fvlm_broadcast *b;
    fvlm_broadcast_run run;
    void *ctx;
} each;

static void each_range(void *ctx, uint64_t first, uint64_t end)
{
    const each *e = ctx;
    const fvlm_broadcast *b = e->b;
    const unsigned last = b->loops - 1;
    for (uint64_t at = first; at < end;) {
        uint64_t from[FVLM_BROADCAST_MAX] = {0}, rest = at, left = b->extent[last] - at % b->extent[last];
        for (unsigned i = b->loops; i-- > 0; rest /= b->extent[i])
            for (unsigned k = 0; k < b->n; k++) from[k] += rest % b->extent[i] * b->stride[k][i];
        if (left > end - at) left = end - at;
        if (left > FVLM_BROADCAST_RUN) left = FVLM_BROADCAST_RUN;
        e->run(e->ctx, at, from, (size_t)left);
        at += left;
    }
}

void fvlm_broadcast_each(const fvlm_broadcast *b, const fvlm_judge_call *c, fvlm_broadcast_run run, void *ctx)
{
    each e = {b, run, ctx};
    fvlm_judge_ranges(c, b->n_elems, 1 << 16, each_range, &e);
}
