/* SPDX-License-Identifier: Apache-2.0 */
/* search.h - private to quant/: from floats to codes. A panel is 16 output rows side by side, x[k][16], as the source
 * file stores it. The 16 rows are independent lanes of one calculation, so every instruction set gives the bits of the
 * scalar definition, with no rule for the order of sums across lanes: there are none. */
#ifndef FVLM_QUANT_SEARCH_SEARCH_H
#define FVLM_QUANT_SEARCH_SEARCH_H

#include "format/base/cpu.h"
#include "format/types.h"

/* Largest magnitude that can be quantized: beyond it scale * q might round up to infinity. */
#define FVLM_ENCODE_MAX 0x1p126f
/* A group whose largest magnitude is below this is stored as zeros: its scale would be subnormal. */
#define FVLM_ENCODE_MIN 0x1p-90f

/* One group of 16 rows, a row to a lane. */
typedef struct {
    fvlm_type type;
    size_t n;                                    /* inputs */
    const float *x;                              /* [n][16] */
    float *scratch;                              /* [n][16] */
    uint8_t *q;                                  /* out: codes [n][16] */
    float scale[FVLM_PANEL], offset[FVLM_PANEL]; /* out: bf16 values; offset 0 for symmetric types */
    double error[FVLM_PANEL];                    /* out: squared error of each row */
} fvlm_encode_group;

/* Finds scales, offsets and codes; never worse than plain absmax or minmax. */
typedef void (*fvlm_encode_group_fn)(fvlm_encode_group *g);

void fvlm_encode_group__scalar(fvlm_encode_group *g);
void fvlm_encode_group__avx2(fvlm_encode_group *g);
void fvlm_encode_group__avx512(fvlm_encode_group *g);

/* The variant for a level of the CPU. NEON is what compilers make of the scalar definition. */
fvlm_encode_group_fn fvlm_encode_group_for(fvlm_cpu cpu);

#endif
