/* SPDX-License-Identifier: Apache-2.0 */
/* llm.h - what the language model works in; the passes themselves are in reference.h. Private to reference/. */
#ifndef FVLM_REFERENCE_LLM_H
#define FVLM_REFERENCE_LLM_H

#include "reference/reference.h"

typedef struct {
    size_t capacity, position; /* positions that fit, and that are filled */
    float *keys, *values;      /* [layers][capacity][kv_heads * head_dim] */
    float *cos_sin;            /* [capacity][head_dim] */
    size_t rows;               /* that go through the layers together */
    float *x, *narrow, *q;     /* [rows][hidden]: the residual stream, norms and attention, queries */
    float *gate, *up;          /* [rows][intermediate] */
    size_t n_cache, n_rows;    /* floats in the buffers of capacity and of rows */
} fvlm_llm_memory;

size_t fvlm_llm_memory_bytes(const fvlm_llm_memory *l);
void fvlm_llm_memory_free(fvlm_llm_memory *l);

#endif
