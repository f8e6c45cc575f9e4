/* SPDX-License-Identifier: Apache-2.0 */
/* product.h - private to judge/: matrix products with broadcast batches, as numpy.matmul has them. */
#ifndef FVLM_VERIFY_JUDGE_PRODUCT_H
#define FVLM_VERIFY_JUDGE_PRODUCT_H

#include "verify/judge/broadcast.h"
#include "verify/judge/gemm.h"

typedef struct {
    bool trans_a, trans_b; /* the last two dimensions are exchanged; set before planning */
    uint64_t m, k, n;
    fvlm_broadcast batch; /* of all dimensions but the last two */
    bool vector_a, vector_b;
} fvlm_product;

/* Refuses shapes that cannot be multiplied. */
fvlm_status fvlm_product_plan(fvlm_product *p, const fvlm_judge_call *c, const fvlm_judge_value *a,
                              const fvlm_judge_value *b);

/* Makes output 0 with the product's shape, zeroed, and checks the work. */
fvlm_status fvlm_product_make(const fvlm_product *p, fvlm_judge_call *c, int32_t type);

/* out += a b, floats that may be stored; or integers += a b, exact (gemm.h). */
fvlm_status fvlm_product_run(const fvlm_product *p, const fvlm_judge_call *c, const fvlm_judge_value *a,
                             const fvlm_judge_value *b, float *out, int32_t *integers);

/* Index of the first element of matrix i of an operand (0: a, 1: b). */
uint64_t fvlm_product_first(const fvlm_product *p, unsigned operand, uint64_t i);

#endif
