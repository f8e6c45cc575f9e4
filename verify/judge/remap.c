/* SPDX-License-Identifier: Apache-2.0 */
/* remap.c - see remap.h. */
#include "verify/judge/remap.h"

#include <stdlib.h>

static void copy_range(void *ctx, uint64_t first, uint64_t end)
{
    const fvlm_remap *r = ctx;
    const unsigned rank = r->out->rank;
    const size_t bytes = fvlm_judge_elem_bytes(r->out);
    const uint64_t row = rank ? r->out->dims[rank - 1] : 1;
    uint8_t *out = (uint8_t *)r->out->data + first * row * bytes;
    for (uint64_t i = first; i < end; i++) {
        uint64_t rest = i, from = 0;
        bool outside = false;
        for (unsigned d = rank ? rank - 1 : 0; d-- > 0; rest /= r->out->dims[d]) {
            const int64_t at = r->map[d][rest % r->out->dims[d]];
            outside |= at < 0;
            from += (uint64_t)at * r->step[d];
        }
        const uint8_t *in = (const uint8_t *)r->in->data;
        for (uint64_t k = 0; k < row; k++, out += bytes) {
            const int64_t at = rank ? r->map[rank - 1][k] : 0;
            memcpy(out, outside || at < 0 ? (const uint8_t *)&r->fill : in + (from + (uint64_t)at) * bytes, bytes);
        }
    }
}

static void free_maps(fvlm_remap *r)
{
    for (unsigned d = 0; d < FVLM_GRAPH_MAX_RANK; d++) free(r->map[d]);
}

fvlm_status fvlm_remap_begin(fvlm_remap *r, fvlm_judge_call *c, const fvlm_judge_value *in, const uint64_t *dims)
{
    *r = (fvlm_remap){.in = in, .out = &c->out[0]};
    fvlm_status st = fvlm_judge_make(c, 0, in->type, in->rank, dims);
    uint64_t step = 1;
    for (unsigned d = in->rank; d-- > 0 && !st;) {
        r->step[d] = step;
        step *= in->dims[d];
        if (!r->out->n) continue; /* its dimensions may be huge beside a 0 */
        r->map[d] = fvlm_alloc((size_t)dims[d], sizeof *r->map[d]);
        if (!r->map[d]) st = fvlm_fail_nomem(c->err);
    }
    if (st) free_maps(r);
    return st;
}

void fvlm_remap_run(fvlm_remap *r, fvlm_judge_call *c)
{
    const unsigned rank = r->out->rank;
    const uint64_t row = rank ? r->out->dims[rank - 1] : 1;
    if (r->out->n) fvlm_judge_ranges(c, r->out->n / row, 1 + (1 << 15) / row, copy_range, r);
    free_maps(r);
}
