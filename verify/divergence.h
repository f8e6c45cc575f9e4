/* SPDX-License-Identifier: Apache-2.0 */
/* divergence.h - how far one output is from another: of a block, and of the predictions of the next token. */
#ifndef FVLM_VERIFY_DIVERGENCE_H
#define FVLM_VERIFY_DIVERGENCE_H

#include "format/base/base.h"

/* Of y from x, the truth. A value that is not finite is infinitely far. */
typedef struct {
    double relative_l2; /* |y - x| / |x|; 0 if both are 0 */
    double cosine;
    double max_error; /* largest |y - x| of any value */
} fvlm_distance;

/* Sums in f64, in 8 lanes by index mod 8, then the lanes in order: the same figures on every machine. */
fvlm_distance fvlm_divergence_distance(const float *x, const float *y, size_t n);

/* Kullback-Leibler divergence of softmax(x) from softmax(y), sum p log(p/q), in nats and f64. */
double fvlm_divergence_kl(const float *x, const float *y, size_t n);

/* Indices of the five largest, in order; of equals the lower index, as greedy decoding picks. With n < 5, the rest of
 * top repeats the first. */
void fvlm_divergence_top5(const float *x, size_t n, uint32_t top[5]);

/* Agreement of predictions, added up over positions. */
typedef struct {
    size_t positions, top1; /* top1: positions at which the likeliest token is the same */
    size_t compared;        /* positions at which both logits are known; what follows is about these */
    size_t top5;            /* tokens common to both top fives, at most 5 per position */
    double kl_sum, kl_max;
} fvlm_agreement;

double fvlm_agreement_mean_kl(const fvlm_agreement *a); /* 0 if nothing was compared */

void fvlm_agreement_add(fvlm_agreement *a, const float *x, const float *y, size_t n);

/* A position at which only the true token is known. */
void fvlm_agreement_add_token(fvlm_agreement *a, uint32_t token, const float *y, size_t n);

#endif
