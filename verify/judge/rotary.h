/* SPDX-License-Identifier: Apache-2.0 */
/* rotary.h - private to judge/: rotary embeddings. Defined in op_rotary.c. */
#ifndef FVLM_VERIFY_JUDGE_ROTARY_H
#define FVLM_VERIFY_JUDGE_ROTARY_H

#include "verify/judge/call.h"

typedef struct {
    const float *cos, *sin; /* [rows, width / 2] */
    uint64_t rows, width;   /* width: of a head, how many elements are rotated */
    bool interleaved;       /* pairs are neighbours, not halves apart */
} fvlm_rotary;

/* The two tables: of one shape [rows, half] or [batch, positions, half]. Sets all but interleaved. */
fvlm_status fvlm_rotary_read(fvlm_rotary *r, const fvlm_judge_call *c, size_t cos_input, size_t sin_input);

/* y = x rotated by a row of the tables, r->width elements. y may be x. */
void fvlm_rotary_turn(const fvlm_rotary *r, uint64_t row, const float *x, float *y);

/* The rows of the tables for positions [batch, length], from a list of ids: as many, or a single first one. Refuses
 * those that are beyond the tables. The caller frees *out. */
fvlm_status fvlm_rotary_positions(const fvlm_rotary *r, const fvlm_judge_call *c, size_t input, uint64_t batch,
                                  uint64_t length, uint64_t **out);

#endif
