/* SPDX-License-Identifier: Apache-2.0 */
/* indices.h - private to judge/: indices that input 1 of an operator holds into input 0, INT64 or INT32. Negative ones
 * count from the end; all are checked. */
#ifndef FVLM_VERIFY_JUDGE_INDICES_H
#define FVLM_VERIFY_JUDGE_INDICES_H

#include "verify/judge/call.h"

/* n elements of a value that may still be stored. */
void fvlm_indices_fetch(uint8_t *to, const fvlm_judge_value *v, uint64_t first, uint64_t n);

/* The index into dimension 'axis' of input 0 that element i of the indices holds. */
fvlm_status fvlm_indices_at(const fvlm_judge_call *c, unsigned axis, uint64_t i, uint64_t *out);

/* The type of the indices and the attribute "axis". */
fvlm_status fvlm_indices_read_axis(const fvlm_judge_call *c, unsigned *axis);

/* ---- one index for each element: GatherElements, ScatterElements ---- */

/* The axis too; every other dimension of the indices fits into x. */
fvlm_status fvlm_indices_read_elements(const fvlm_judge_call *c, unsigned *axis);
/* The element of x that element i of the indices stands for. */
fvlm_status fvlm_indices_element(const fvlm_judge_call *c, unsigned axis, uint64_t i, uint64_t *out);

/* ---- one index for each of several dimensions: GatherND, ScatterND ---- */

/* The last dimension of the indices goes into the dimensions of x after the first 'batch'. */
fvlm_status fvlm_indices_check_nd(const fvlm_judge_call *c, unsigned batch);
/* Row i of the indices [..., n]: *out counts blocks of the dimensions of x after the first batch + n. */
fvlm_status fvlm_indices_block(const fvlm_judge_call *c, unsigned batch, uint64_t i, uint64_t *out);

#endif
