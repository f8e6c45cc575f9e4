/* SPDX-License-Identifier: Apache-2.0 */
/* quantized.h - private to judge/: what quantized operators share. Defined in op_quantized.c. */
#ifndef FVLM_VERIFY_JUDGE_QUANTIZED_H
#define FVLM_VERIFY_JUDGE_QUANTIZED_H

#include "verify/judge/call.h"

/* DynamicQuantizeLinear. */
void fvlm_quantize_dynamically(const float *x, uint64_t n, uint8_t *y, float *scale, uint8_t *zero);

#endif
