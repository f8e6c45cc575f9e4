/* SPDX-License-Identifier: Apache-2.0 */
/* vision.h - what the vision tower works in; the pass itself, fvlm_model_tower, is in reference.h. Private to
 * reference/. */
#ifndef FVLM_REFERENCE_VISION_H
#define FVLM_REFERENCE_VISION_H

#include "reference/reference.h"

/* Two buffers as large as the largest layer, used in turn, and one for what is wide but short-lived: bands of the
 * stem, qkv, squeeze-and-excitation. */
typedef struct {
    float *a, *b, *wide;
    size_t n_ab, n_wide; /* floats */
} fvlm_tower_memory;

/* The sizes for an image of that side; no buffers. */
fvlm_tower_memory fvlm_tower_memory_for(const fvlm_config *c, size_t side);
size_t fvlm_tower_memory_bytes(const fvlm_tower_memory *t);
void fvlm_tower_memory_free(fvlm_tower_memory *t);

#endif
