/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_pass.h - private to verify/: runs the graphs of a model (onnx_graphs.h) with the judge, as the executor's passes
 * run ours: picture to rows, ids to rows, rows to logits with caches. */
#ifndef FVLM_VERIFY_ONNX_PASS_H
#define FVLM_VERIFY_ONNX_PASS_H

#include "reference/reference.h"
#include "verify/judge/judge.h"
#include "verify/onnx_graphs.h"

typedef struct {
    const fvlm_onnx_graphs *graphs;
    fvlm_judge *vision, *embedding, *decoder; /* the last two NULL without a decoder */
    const fvlm_config *config;                /* of the model beside it */
    float **caches;      /* [n_caches][heads * capacity * dim]: as the decoder put them out, positions of them */
    size_t positions;    /* that the caches hold; without caches, rows in 'all' */
    float *all;          /* without caches: the rows of every position so far */
    size_t all_capacity; /* floats */
} fvlm_onnx_pass;

/* Borrows everything. Close it also after a failure. */
fvlm_status fvlm_onnx_pass_open(fvlm_onnx_pass *p, const fvlm_onnx_graphs *g, const fvlm_config *c,
                                const fvlm_judge_options *o, fvlm_err *err);
void fvlm_onnx_pass_close(fvlm_onnx_pass *p);

/* rows [n, cols], the caller's; refused if the graph puts out something else. observer may be NULL. */
fvlm_status fvlm_onnx_pass_encode(fvlm_onnx_pass *p, const fvlm_pixels *pixels, const fvlm_judge_observer *observer,
                                  size_t n, size_t cols, float *rows, fvlm_err *err);

/* How many numbers a picture of that side becomes: where a graph does not declare it. */
fvlm_status fvlm_onnx_pass_measure(fvlm_onnx_pass *p, uint32_t side, uint64_t *n_elems, fvlm_err *err);

/* rows [n, llm.hidden] */
fvlm_status fvlm_onnx_pass_embed(fvlm_onnx_pass *p, const uint32_t *ids, size_t n, float *rows, fvlm_err *err);

/* Appends n rows. logits: of the last position, the model's vocabulary of them. */
fvlm_status fvlm_onnx_pass_decode(fvlm_onnx_pass *p, const float *rows, size_t n, const fvlm_judge_observer *observer,
                                  float *logits, fvlm_err *err);
void fvlm_onnx_pass_rewind(fvlm_onnx_pass *p, size_t positions); /* keeps so many, at most what there is */

#endif
