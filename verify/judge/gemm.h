/* SPDX-License-Identifier: Apache-2.0 */
/* gemm.h - private to judge/: f32 matrix products in blocks that fit into caches. */
#ifndef FVLM_VERIFY_JUDGE_GEMM_H
#define FVLM_VERIFY_JUDGE_GEMM_H

#include "verify/judge/call.h"

/* A matrix in memory (data), or in its file (stored: FLOAT, FLOAT16 or BFLOAT16). Element (i, j) is at
 * first + i * row + j * column. */
typedef struct {
    const float *data;
    const fvlm_graph_tensor *stored;
    uint64_t first, row, column;
} fvlm_gemm_matrix;

/* Of a value that is a float, loaded or stored. */
fvlm_gemm_matrix fvlm_gemm_matrix_of(const fvlm_judge_value *v, uint64_t first, uint64_t row, uint64_t column);

typedef struct {
    size_t m, n, k;
    fvlm_gemm_matrix a, b; /* [m, k], [k, n] */
    float *c;              /* [m, n]: += a b */
    int32_t *integers;     /* instead of c, where a and b are integers of at most 8 bits less a zero point: exact */
    size_t ldc;            /* elements from row to row of c */
} fvlm_gemm;

/* n products on all threads. c's must not overlap. */
fvlm_status fvlm_gemm_run(const fvlm_judge_call *call, const fvlm_gemm *products, size_t n);

#endif
