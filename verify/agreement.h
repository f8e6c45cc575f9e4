/* SPDX-License-Identifier: Apache-2.0 */
/* agreement.h - how well a model predicts what its source predicts: one record for each position of the text, and the
 * statistics of all of them.
 *
 * The right token of a position is the source's likeliest one, which is also the token that the text goes on with. Its
 * probability in the model minus that in the source is dp, as in llama-perplexity. */
#ifndef FVLM_VERIFY_AGREEMENT_H
#define FVLM_VERIFY_AGREEMENT_H

#include "format/base/base.h"

typedef struct {
    double kl; /* nats; infinite if a logit is not finite */
    double dp; /* -1 if the model's probability is not a number */
} fvlm_position;

/* Zero at first. */
typedef struct {
    size_t positions, top1; /* top1: positions at which both models have the same likeliest token */
    size_t compared;        /* positions at which the logits of both are known; what follows is about these */
    fvlm_position *at;      /* [compared], owned */
    size_t capacity;
    size_t top5;     /* tokens common to both top fives, at most 5 per position */
    double p_source; /* sum of the source's probabilities of its likeliest token */
} fvlm_agreement;

/* x, y [n]: logits of the source and of the model. *choice is the model's likeliest token. */
fvlm_status fvlm_agreement_add(fvlm_agreement *a, const float *x, const float *y, size_t n, uint32_t *choice,
                               fvlm_err *err);

/* A position at which only the right token is known. */
void fvlm_agreement_add_token(fvlm_agreement *a, uint32_t token, const float *y, size_t n, uint32_t *choice);
void fvlm_agreement_free(fvlm_agreement *a);

/* A value, and the ends of its interval of one standard error to each side. Positions count as independent. Those of
 * one answer are not quite, so the true error is somewhat larger. */
typedef struct {
    double value, low, high;
} fvlm_estimate;

/* Percentiles are by nearest rank: the smallest value that at least p % of the positions do not exceed. With n
 * positions everything above 100 - 100/n % is the largest. */
enum { FVLM_N_KL_PERCENTILES = 5, FVLM_N_DP_PERCENTILES = 7 };
extern const double fvlm_kl_percents[FVLM_N_KL_PERCENTILES]; /* 50 90 99 99.9 100 */
extern const double fvlm_dp_percents[FVLM_N_DP_PERCENTILES]; /* 0 (the smallest) 1 10 50 90 99 100 */

/* Everything is 0 if nothing was compared. */
typedef struct {
    fvlm_estimate kl;     /* mean +- s / sqrt(n) */
    fvlm_estimate top1;   /* share of all positions; Wilson's score interval for z = 1, which is not empty at 100 % */
    fvlm_estimate dp;     /* mean +- s / sqrt(n) */
    fvlm_estimate rms_dp; /* sqrt(mean dp^2), with the error of the mean square carried over to first order */
    double kl_percentile[FVLM_N_KL_PERCENTILES], dp_percentile[FVLM_N_DP_PERCENTILES];
    double p_source; /* mean probability that the source gives to its likeliest token */
} fvlm_statistics;

fvlm_status fvlm_agreement_summarize(const fvlm_agreement *a, fvlm_statistics *out, fvlm_err *err);

#endif
