/* SPDX-License-Identifier: Apache-2.0 */
/* divergence.h - how far one set of numbers is from another: blocks, and predictions of the next token. */
#ifndef FVLM_VERIFY_DIVERGENCE_H
#define FVLM_VERIFY_DIVERGENCE_H

#include "format/base/base.h"

/* Of y against the truth x. Anything that is not finite counts as infinitely far. */
typedef struct {
    double relative_l2; /* |y - x| / |x|; of nothing against nothing 0 */
    double cosine;
    double max_error; /* largest |y - x| of one value */
} fvlm_distance;

/* Sums in f64, in 8 lanes by index mod 8 and then in order: the same figures on every machine. */
fvlm_distance fvlm_divergence_distance(const float *x, const float *y, size_t n);

/* Kullback-Leibler divergence of softmax(x) from softmax(y), sum p log(p/q), in nats and f64. */
double fvlm_divergence_kl(const float *x, const float *y, size_t n);

/* The five largest, in order; of equals the lower index, as greedy decoding picks. n >= 5 or the rest is repeated. */
void fvlm_divergence_top5(const float *x, size_t n, uint32_t top[5]);

/* Agreement of next-token predictions, added up over positions. */
typedef struct {
    size_t positions, top1; /* top1: positions where the likeliest token is the same */
    size_t compared;        /* positions of which both sides' logits are known; the rest is about these */
    size_t top5;            /* tokens common to both top fives, 5 a position at most */
    double kl_sum, kl_max;
} fvlm_agreement;

void fvlm_agreement_add(fvlm_agreement *a, const float *x, const float *y, size_t n);

/* A position of which only the truth's token is known. */
void fvlm_agreement_add_token(fvlm_agreement *a, uint32_t token, const float *y, size_t n);

#endif
