/* SPDX-License-Identifier: Apache-2.0 */
/* remap.h - private to judge/: copying by one index map for each dimension. */
#ifndef FVLM_VERIFY_JUDGE_REMAP_H
#define FVLM_VERIFY_JUDGE_REMAP_H

#include "verify/judge/call.h"

/* out[i, j, ...] = in[map[0][i], map[1][j], ...], or 'fill' where a map says -1. */
typedef struct {
    const fvlm_judge_value *in;
    fvlm_judge_value *out;
    int64_t *map[FVLM_GRAPH_MAX_RANK];  /* of each dimension of out, which has as many as in */
    uint64_t step[FVLM_GRAPH_MAX_RANK]; /* of in, in elements */
    uint64_t fill;                      /* the bytes of one element */
} fvlm_remap;

/* Makes output 0 of the type and rank of 'in' and, unless it is empty, its maps, all zero, for the caller to fill in.
 * On failure nothing needs to be freed. */
fvlm_status fvlm_remap_begin(fvlm_remap *r, fvlm_judge_call *c, const fvlm_judge_value *in, const uint64_t *dims);
/* Copies on all threads, and frees the maps. */
void fvlm_remap_run(fvlm_remap *r, fvlm_judge_call *c);

#endif
