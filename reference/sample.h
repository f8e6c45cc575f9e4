/* SPDX-License-Identifier: Apache-2.0 */
/* sample.h - from logits to the next token. Private to reference/. */
#ifndef FVLM_REFERENCE_SAMPLE_H
#define FVLM_REFERENCE_SAMPLE_H

#include "reference/reference.h"

typedef struct fvlm_sampler fvlm_sampler;

/* Memory for a vocabulary; refuses a temperature below 0 and a top_p outside (0, 1]. */
fvlm_status fvlm_sampler_create(fvlm_sampler **out, const fvlm_sampling *s, size_t vocab, fvlm_err *err);
void fvlm_sampler_destroy(fvlm_sampler **s); /* NULL is fine */

/* Greedy: the highest logit, the lowest id where several share it. Otherwise one draw from
 * softmax(logits / temperature), cut to the fewest most likely tokens whose probabilities reach top_p. */
uint32_t fvlm_sampler_draw(fvlm_sampler *s, const float *logits);

/* exp for x <= 0 in f64 with nothing but IEEE additions and multiplications, so that a seed means the
 * same answer on every machine, whatever its libm; within 2 ulp. 0 below -700. */
double fvlm_sampler_exp(double x);

#endif
