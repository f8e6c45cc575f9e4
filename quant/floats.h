/* SPDX-License-Identifier: Apache-2.0 */
/* floats.h - stored floats to f32 and back, in bulk, with a say about what does not fit. */
#ifndef FVLM_QUANT_FLOATS_H
#define FVLM_QUANT_FLOATS_H

#include "format/reader.h"

/* n stored floats of kind (fvlm_kind) to x. Returns the index of the first that is not finite, or n. */
size_t fvlm_floats_load(uint8_t kind, const uint8_t *stored, size_t n, float *x);

/* Stores x[n] as kind, and adds squared error and squared norm to sums. Returns the index of the first finite
 * value that the kind turns into infinity, or n. */
size_t fvlm_floats_store(uint8_t kind, const float *x, size_t n, uint8_t *stored, double sums[2]);

/* "llm.embed.weight[17,3]": where stored element 'at' (counted in storage order) lies logically. */
const char *fvlm_floats_element_name(const fvlm_tensor *t, uint64_t at, char out[FVLM_MAX_NAME + 96]);

#endif
