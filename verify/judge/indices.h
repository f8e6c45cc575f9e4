/* SPDX-License-Identifier: Apache-2.0 */
/* indices.h - private to judge/: input 1 of an operator as INT64 or INT32 indices into input 0. Negative indices count
 * from the end; all are checked. */
#ifndef FVLM_VERIFY_JUDGE_INDICES_H
#define FVLM_VERIFY_JUDGE_INDICES_H

#include "verify/judge/call.h"

/* Copies n elements of a value that may still be stored. */
void fvlm_indices_fetch(uint8_t *to, const fvlm_judge_value *v, uint64_t first, uint64_t n);

/* Element i of the indices, as an index into dimension 'axis' of input 0, counted from 0. */
fvlm_status fvlm_indices_at(const fvlm_judge_call *c, unsigned axis, uint64_t i, uint64_t *out);

/* Checks the type of the indices and reads the attribute "axis". */
fvlm_status fvlm_indices_read_axis(const fvlm_judge_call *c, unsigned *axis);

/* ---- one index for each element: GatherElements, ScatterElements ---- */

/* Reads the axis, and refuses indices that exceed input 0 in another dimension. */
fvlm_status fvlm_indices_read_elements(const fvlm_judge_call *c, unsigned *axis);
/* The element of input 0 that element i of the indices refers to. */
fvlm_status fvlm_indices_element(const fvlm_judge_call *c, unsigned axis, uint64_t i, uint64_t *out);

/* ---- one index for each of several dimensions: GatherND, ScatterND ---- */

/* Refuses indices that do not fit input 0 (x): the last dimension of the indices [batch..., ..., n] is a tuple of n
 * indices into the n dimensions of x after the first 'batch', which the indices share. */
fvlm_status fvlm_indices_check_nd(const fvlm_judge_call *c, unsigned batch);
/* The block that tuple i refers to. A block is the dimensions of x after the first batch + n; *out counts blocks within
 * a batch. */
fvlm_status fvlm_indices_block(const fvlm_judge_call *c, unsigned batch, uint64_t i, uint64_t *out);

#endif
