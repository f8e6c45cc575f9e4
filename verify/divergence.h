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

/* log(sum exp(x)) in f64, with the largest x factored out: x[i] minus it is the log probability of token i. */
double fvlm_divergence_log_sum_exp(const float *x, size_t n);

/* Kullback-Leibler divergence of softmax(x) from softmax(y), sum p log(p/q), in nats and f64; infinite if a logit is
 * not finite. zx, zy: the log_sum_exp of each. */
double fvlm_divergence_kl(const float *x, double zx, const float *y, double zy, size_t n);

/* Indices of the five largest, in order; of equals the lower index, as greedy decoding picks. With n < 5, the rest of
 * top repeats the first. */
void fvlm_divergence_top5(const float *x, size_t n, uint32_t top[5]);

#endif
