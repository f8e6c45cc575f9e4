/* SPDX-License-Identifier: Apache-2.0 */
/* projector.h - what the projector works in; the pass itself, fvlm_model_project, is in reference.h. Private to
 * reference/. */
#ifndef FVLM_REFERENCE_PROJECTOR_H
#define FVLM_REFERENCE_PROJECTOR_H

#include "reference/reference.h"

typedef struct {
    float *hidden; /* [tokens, projector.hidden] */
    size_t n_hidden;
} fvlm_projector_memory;

size_t fvlm_projector_memory_bytes(const fvlm_projector_memory *p);
void fvlm_projector_memory_free(fvlm_projector_memory *p);

#endif
