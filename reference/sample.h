/* SPDX-License-Identifier: Apache-2.0 */
/* sample.h - from logits to the next token. Private to reference/. */
#ifndef FVLM_REFERENCE_SAMPLE_H
#define FVLM_REFERENCE_SAMPLE_H

#include "reference/reference.h"

typedef struct fvlm_sampler fvlm_sampler;

/* Refuses a temperature outside [0, 100] and a top_p outside (0, 1]. On failure *out is NULL. */
fvlm_status fvlm_sampler_create(fvlm_sampler **out, const fvlm_sampling *s, size_t vocab, fvlm_err *err);
void fvlm_sampler_destroy(fvlm_sampler **s); /* NULL is fine */

/* Greedy: the id of the highest logit, the lowest of several. Otherwise one draw from softmax(logits / temperature),
 * restricted to the smallest set of most likely tokens whose probabilities reach top_p. logits [vocab]. */
uint32_t fvlm_sampler_draw(fvlm_sampler *s, const float *logits);

/* exp(x) for x <= 0, within 2 ulp; 0 below -700. Only IEEE additions and multiplications in f64, so that a seed gives
 * the same answer with every libm. */
double fvlm_sampler_exp(double x);

#endif
