/* SPDX-License-Identifier: Apache-2.0 */
/* agreement.c - see agreement.h. Wilson's interval: E. B. Wilson, J. Am. Stat. Assoc. 22 (1927), 209-212. */
#include <math.h>
#include <stdlib.h>

#include "format/base/grow.h"
#include "verify/agreement.h"
#include "verify/divergence.h"

const double fvlm_kl_percents[FVLM_N_KL_PERCENTILES] = {50, 90, 99, 99.9, 100};
const double fvlm_dp_percents[FVLM_N_DP_PERCENTILES] = {0, 1, 10, 50, 90, 99, 100};

fvlm_status fvlm_agreement_add(fvlm_agreement *a, const float *x, const float *y, size_t n, uint32_t *choice,
                               fvlm_err *err)
{
    uint32_t p[5], q[5];
    const size_t most = n < 5 ? n : 5;
    const double zx = fvlm_divergence_log_sum_exp(x, n), zy = fvlm_divergence_log_sum_exp(y, n);
    if (!fvlm_grow(&a->at, &a->capacity, a->compared + 1, sizeof *a->at)) return fvlm_fail_nomem(err);
    fvlm_divergence_top5(x, n, p);
    fvlm_divergence_top5(y, n, q);
    const double p_source = exp((double)x[p[0]] - zx), p_model = exp((double)y[p[0]] - zy), dp = p_model - p_source;
    a->at[a->compared++] = (fvlm_position){fvlm_divergence_kl(x, zx, y, zy, n), isfinite(dp) ? dp : -1};
    a->p_source += isfinite(p_source) ? p_source : 0;
    a->positions++;
    a->top1 += p[0] == q[0];
    for (size_t i = 0; i < most; i++)
        for (size_t j = 0; j < most; j++) a->top5 += p[i] == q[j];
    *choice = q[0];
    return FVLM_OK;
}

void fvlm_agreement_add_token(fvlm_agreement *a, uint32_t token, const float *y, size_t n, uint32_t *choice)
{
    uint32_t q[5];
    fvlm_divergence_top5(y, n, q);
    a->positions++;
    a->top1 += token == q[0];
    *choice = q[0];
}

void fvlm_agreement_free(fvlm_agreement *a)
{
    free(a->at);
    *a = (fvlm_agreement){0};
}

/* ---- statistics ---- */

/* Mean of x[n] +- its standard error. */
static fvlm_estimate mean_of(const double *x, size_t n)
{
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++) sum += x[i];
    const double mean = sum / (double)n;
    for (size_t i = 0; i < n; i++) squares += (x[i] - mean) * (x[i] - mean);
    const double error = n > 1 ? sqrt(squares / (double)(n - 1) / (double)n) : INFINITY;
    if (!isfinite(mean)) return (fvlm_estimate){mean, mean, mean};
    return (fvlm_estimate){mean, mean - error, mean + error};
}

static fvlm_estimate share_of(size_t k, size_t n)
{
    const double m = (double)n, p = (double)k / m;
    const double middle = (p + 1 / (2 * m)) / (1 + 1 / m);
    const double half = sqrt(p * (1 - p) / m + 1 / (4 * m * m)) / (1 + 1 / m);
    return (fvlm_estimate){p, middle - half, fmin(1, middle + half)};
}

/* Of x squared: d sqrt(u) = du / (2 sqrt(u)). */
static fvlm_estimate root_of(fvlm_estimate square)
{
    const double root = sqrt(square.value), error = root > 0 ? (square.high - square.value) / (2 * root) : 0;
    return (fvlm_estimate){root, fmax(0, root - error), root + error};
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Of sorted x[n], n > 0. Percents are given to a tenth. */
static double percentile(const double *x, size_t n, double percent)
{
    const size_t tenths = (size_t)lround(percent * 10), rank = (n * tenths + 999) / 1000;
    return x[rank > 0 ? rank - 1 : 0];
}

fvlm_status fvlm_agreement_summarize(const fvlm_agreement *a, fvlm_statistics *out, fvlm_err *err)
{
    const size_t n = a->compared;
    *out = (fvlm_statistics){0};
    if (a->positions) out->top1 = share_of(a->top1, a->positions);
    if (n == 0) return FVLM_OK;
    double *x = fvlm_alloc(n, sizeof *x);
    if (!x) return fvlm_fail_nomem(err);
    for (size_t i = 0; i < n; i++) x[i] = a->at[i].dp * a->at[i].dp;
    out->rms_dp = root_of(mean_of(x, n));
    for (size_t i = 0; i < n; i++) x[i] = a->at[i].dp;
    out->dp = mean_of(x, n);
    qsort(x, n, sizeof *x, compare);
    for (size_t k = 0; k < FVLM_N_DP_PERCENTILES; k++) out->dp_percentile[k] = percentile(x, n, fvlm_dp_percents[k]);
    for (size_t i = 0; i < n; i++) x[i] = a->at[i].kl;
    out->kl = mean_of(x, n);
    qsort(x, n, sizeof *x, compare);
    for (size_t k = 0; k < FVLM_N_KL_PERCENTILES; k++) out->kl_percentile[k] = percentile(x, n, fvlm_kl_percents[k]);
    out->p_source = a->p_source / (double)n;
    free(x);
    return FVLM_OK;
}
