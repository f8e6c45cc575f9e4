/* SPDX-License-Identifier: Apache-2.0 */
/* broadcast.h - private to judge/: loops over up to three operands whose shapes are broadcast to one
 * (https://onnx.ai/onnx/repo-docs/Broadcasting.html, multidirectional). */
#ifndef FVLM_VERIFY_JUDGE_BROADCAST_H
#define FVLM_VERIFY_JUDGE_BROADCAST_H

#include "verify/judge/call.h"

#define FVLM_BROADCAST_MAX 3

typedef struct {
    unsigned n; /* operands */
    unsigned rank;
    uint64_t dims[FVLM_GRAPH_MAX_RANK]; /* of the result */
    uint64_t n_elems;
    /* The same loop with as few dimensions as possible, at least one. The result is contiguous; along the last
     * dimension, an operand's stride is 0 or 1. */
    unsigned loops;
    uint64_t extent[FVLM_GRAPH_MAX_RANK];
    uint64_t stride[FVLM_BROADCAST_MAX][FVLM_GRAPH_MAX_RANK];
} fvlm_broadcast;

/* Refuses shapes that do not go together. */
fvlm_status fvlm_broadcast_plan(fvlm_broadcast *b, const fvlm_judge_call *c, const fvlm_judge_value *const *operands,
                                unsigned n);

/* A run of n consecutive results from index 'to'; operand i begins at from[i] and has stride b->stride[i][last]. */
typedef void (*fvlm_broadcast_run)(void *ctx, uint64_t to, const uint64_t *from, size_t n);
void fvlm_broadcast_each(const fvlm_broadcast *b, const fvlm_judge_call *c, fvlm_broadcast_run run, void *ctx);

#define FVLM_BROADCAST_RUN 1024 /* the longest run */

static inline bool fvlm_broadcast_is_scalar(const fvlm_broadcast *b, unsigned operand) /* along a run */
{
    return b->stride[operand][b->loops - 1] == 0;
}

#endif
