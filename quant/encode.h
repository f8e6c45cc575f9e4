/* SPDX-License-Identifier: Apache-2.0 */
/* encode.h - from floats to codes, inside quant/. A panel is 16 output rows side by side, exactly as
 * the source file stores it: x[k][16]. The 16 rows are 16 independent lanes of one calculation, so
 * every instruction set, and the scalar definition, gives the same bits without any rule about the
 * order of sums across lanes: there are none. */
#ifndef FVLM_QUANT_ENCODE_H
#define FVLM_QUANT_ENCODE_H

#include "format/base/cpu.h"
#include "format/types.h"

enum { FVLM_LANES = FVLM_PANEL };

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
    float scale[FVLM_LANES], offset[FVLM_LANES]; /* out: bf16 values; offset 0 for symmetric types */
    double error[FVLM_LANES];                    /* out: squared error of each row */
} fvlm_encode_group;

/* Finds scales, offsets and codes; never worse than plain absmax or minmax. */
typedef void (*fvlm_encode_group_fn)(fvlm_encode_group *g);

void fvlm_encode_group__scalar(fvlm_encode_group *g);
void fvlm_encode_group__avx2(fvlm_encode_group *g);
void fvlm_encode_group__avx512(fvlm_encode_group *g);

/* The variant for a level of the CPU. NEON is what compilers make of the scalar definition. */
fvlm_encode_group_fn fvlm_encode_group_for(fvlm_cpu cpu);

/* Memory a thread needs to encode panels of m. */
typedef struct {
    float *scratch; /* [group][16] */
    uint8_t *q;     /* [group][16] */
} fvlm_encode_scratch;
fvlm_status fvlm_encode_scratch_create(fvlm_encode_scratch *s, size_t max_group, fvlm_err *err);
void fvlm_encode_scratch_free(fvlm_encode_scratch *s);

/* Encodes a panel x[k][16], of which the first 'rows' lanes are real and the others zero, into
 * values[panel_bytes] (zeroed by the caller), scales[n_groups*16], offsets (NULL if symmetric).
 * Adds squared error and squared norm to sums[0] and sums[1]. */
void fvlm_encode_panel(fvlm_encode_group_fn encode, const fvlm_matrix *m, const float *x, size_t rows,
                       fvlm_encode_scratch *s, uint8_t *values, uint16_t *scales, uint16_t *offsets, double sums[2]);

#endif
