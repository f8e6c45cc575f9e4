/* SPDX-License-Identifier: Apache-2.0 */
/* arithmetic.h - private to judge/: functions of two numbers. */
#ifndef FVLM_VERIFY_JUDGE_ARITHMETIC_H
#define FVLM_VERIFY_JUDGE_ARITHMETIC_H

#include "convert/graph/graph.h"

/* FVLM_ARITHMETIC_MOD: the remainder has the divisor's sign; FVLM_ARITHMETIC_FMOD: the dividend's. FVLM_ARITHMETIC_MEAN
 * and FVLM_ARITHMETIC_CLIP are for op_binary.c only. */
typedef enum {
    FVLM_ARITHMETIC_ADD,
    FVLM_ARITHMETIC_SUB,
    FVLM_ARITHMETIC_MUL,
    FVLM_ARITHMETIC_DIV,
    FVLM_ARITHMETIC_POW,
    FVLM_ARITHMETIC_MIN,
    FVLM_ARITHMETIC_MAX,
    FVLM_ARITHMETIC_MOD,
    FVLM_ARITHMETIC_FMOD,
    FVLM_ARITHMETIC_PRELU,
    FVLM_ARITHMETIC_AND,
    FVLM_ARITHMETIC_OR,
    FVLM_ARITHMETIC_XOR,
    FVLM_ARITHMETIC_MEAN,
    FVLM_ARITHMETIC_CLIP
} fvlm_arithmetic;

/* out[i] = a[i] op b[i] for n elements of one type: FLOAT, DOUBLE, UINT64, else INT64. Integers wrap; division by 0
 * gives 0; a NaN operand gives NaN. */
void fvlm_arithmetic_run(fvlm_arithmetic k, int32_t type, size_t n, const void *a, const void *b, void *out);

#endif
