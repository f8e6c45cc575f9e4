/* SPDX-License-Identifier: Apache-2.0 */
/* divergence.c - see divergence.h. */
#include <math.h>

#include "verify/divergence.h"

enum { LANES = 8 };

static double add_up(const double *lanes)
{
    double sum = 0;
    for (int l = 0; l < LANES; l++) sum += lanes[l];
    return sum;
}

fvlm_distance fvlm_divergence_distance(const float *x, const float *y, size_t n)
{
    double xx[LANES] = {0}, yy[LANES] = {0}, xy[LANES] = {0}, dd[LANES] = {0}, worst[LANES] = {0};
    for (size_t i = 0; i < n; i += LANES)
        for (size_t l = 0; l < LANES && i + l < n; l++) {
            const double a = (double)x[i + l], b = (double)y[i + l], d = b - a;
            xx[l] += a * a;
            yy[l] += b * b;
            xy[l] += a * b;
            dd[l] += d * d;
            worst[l] = fabs(d) > worst[l] ? fabs(d) : worst[l];
        }
    const double norm = add_up(xx), other = add_up(yy), error = add_up(dd);
    fvlm_distance out = {.relative_l2 = norm > 0 ? sqrt(error / norm) : error > 0 ? INFINITY : 0, .cosine = 1};
    if (norm > 0 && other > 0)
        out.cosine = add_up(xy) / (sqrt(norm) * sqrt(other));
    else if (norm > 0 || other > 0)
        out.cosine = 0;
    for (int l = 0; l < LANES; l++) out.max_error = worst[l] > out.max_error ? worst[l] : out.max_error;
    if (!isfinite(norm) || !isfinite(other)) out = (fvlm_distance){INFINITY, 0, INFINITY};
    return out;
}

double fvlm_divergence_log_sum_exp(const float *x, size_t n)
{
    double top = -INFINITY, sum = 0;
    for (size_t i = 0; i < n; i++) top = (double)x[i] > top ? (double)x[i] : top;
    for (size_t i = 0; i < n; i++) sum += exp((double)x[i] - top);
    return top + log(sum);
}

double fvlm_divergence_kl(const float *x, double zx, const float *y, double zy, size_t n)
{
    double kl = 0;
    if (!isfinite(zx) || !isfinite(zy)) return INFINITY;
    for (size_t i = 0; i < n; i++) {
        const double lp = (double)x[i] - zx, lq = (double)y[i] - zy, p = exp(lp);
        if (p > 0) kl += p * (lp - lq);
    }
    return isnan(kl) ? INFINITY : kl < 0 ? 0 : kl; /* below 0 is rounding */
}

void fvlm_divergence_top5(const float *x, size_t n, uint32_t top[5])
{
    size_t n_top = 0;
    for (size_t i = 0; i < n; i++) {
        if (n_top == 5 && !(x[i] > x[top[4]])) continue;
        size_t k = n_top < 5 ? n_top++ : 4;
        for (; k > 0 && x[i] > x[top[k - 1]]; k--) top[k] = top[k - 1];
        top[k] = (uint32_t)i;
    }
    for (; n_top > 0 && n_top < 5; n_top++) top[n_top] = top[0];
}
