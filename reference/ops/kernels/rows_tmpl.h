/* SPDX-License-Identifier: Apache-2.0 */
/* rows_tmpl.h - kernels that process one row at a time: norms, softmax, gates, rotations. Sums run in 16 lanes by
 * index mod 16 and end in v_sum's tree.
 *   needs   vec.h, vmath_tmpl.h
 *   gives   of kernels.h: layer_norm, rms_norm, softmax, divide, silu_mul, gate_gelu, channel_mean, all_finite, rope,
 *           panel */
#ifndef FVLM_REFERENCE_OPS_KERNELS_ROWS_TMPL_H
#define FVLM_REFERENCE_OPS_KERNELS_ROWS_TMPL_H

#include "reference/ops/kernels/kernels.h"
#include "reference/ops/kernels/vmath_tmpl.h"

/* For n values in sixteens: i is the first of 16, left how many of these exist. */
#define EACH_16(i, left, n) for (size_t i = 0, left; i < (n) && (left = (n)-i < 16 ? (n)-i : 16, true); i += 16)

/* A variance that overflowed gives NaN: its reciprocal, 0, would make the row vanish. */
V_FN v16 norm_factor(float variance, float eps)
{
    const float v = variance + eps;
    return v_set1(v < INFINITY ? 1.0f / sqrtf(v) : NAN);
}

/* y = (x - mean) * (1 / sqrt(var + eps)), var = mean of (x - mean)^2 */
static void layer_norm(const float *x, size_t c, float eps, float *y)
{
    v16 sum = v_zero(), squares = v_zero();
    EACH_16(i, left, c) sum = v_add(sum, v_load_upto(x + i, left));
    const v16 mean = v_set1(v_sum(sum) / (float)c);
    EACH_16(i, left, c)
    {
        v16 d = v_sub(v_load_upto(x + i, left), mean);
        if (left < 16) d = v_keep_n(d, left);
        squares = v_fma(d, d, squares);
    }
    const v16 factor = norm_factor(v_sum(squares) / (float)c, eps);
    EACH_16(i, left, c) v_store_upto(y + i, v_mul(v_sub(v_load_upto(x + i, left), mean), factor), left);
}

/* y = x * (1 / sqrt(mean of x^2 + eps)) * gamma */
static void rms_norm(const float *x, size_t c, const float *gamma, float eps, float *y)
{
    v16 squares = v_zero();
    EACH_16(i, left, c)
    {
        const v16 v = v_load_upto(x + i, left);
        squares = v_fma(v, v, squares);
    }
    const v16 factor = norm_factor(v_sum(squares) / (float)c, eps);
    EACH_16(i, left, c)
    v_store_upto(y + i, v_mul(v_mul(v_load_upto(x + i, left), factor), v_load_upto(gamma + i, left)), left);
}

static float softmax(float *s, size_t n, float scale)
{
    const v16 by = v_set1(scale);
    v16 top = v_set1(-INFINITY), sum = v_zero(), bad = v_zero();
    size_t i = 0;
    for (; i + 16 <= n; i += 16) top = v_max(v_mul(v_load(s + i), by), top);
    float most = v_top(top);
    for (; i < n; i++) most = s[i] * scale > most ? s[i] * scale : most;
    const v16 shift = v_set1(most);
    for (i = 0; i + 16 <= n; i += 16) {
        const v16 score = v_load(s + i), e = v_exp(v_sub(v_mul(score, by), shift));
        bad = v_note(score, bad);
        sum = v_add(sum, e);
        v_store(s + i, e);
    }
    if (i < n) {
        const v16 score = v_load_n(s + i, n - i), e = v_keep_n(v_exp(v_sub(v_mul(score, by), shift)), n - i);
        bad = v_note(score, bad);
        sum = v_add(sum, e);
        v_store_n(s + i, e, n - i);
    }
    return v_none(bad) ? v_sum(sum) : NAN;
}

static void divide(const float *x, size_t n, float by, float *y)
{
    EACH_16(i, left, n) v_store_upto(y + i, v_div(v_load_upto(x + i, left), v_set1(by)), left);
}

/* silu(g) * up, silu(g) = g / (1 + e^-g) */
static void silu_mul(const float *gate, const float *up, size_t n, float *y)
{
    EACH_16(i, left, n)
    {
        const v16 g = v_load_upto(gate + i, left), e = v_exp(v_sub(v_zero(), g));
        v_store_upto(y + i, v_mul(v_div(g, v_add(v_set1(1.0f), e)), v_load_upto(up + i, left)), left);
    }
}

static void gate_gelu(float *x, const float *gate, size_t c)
{
    EACH_16(i, left, c)
    v_store_upto(x + i, v_gelu(v_mul(v_load_upto(x + i, left), v_sigmoid(v_load_upto(gate + i, left)))), left);
}

/* Rows are summed in 16 lanes by row mod 16; here each lane is itself a vector of 16 channels. */
static void channel_mean(const float *x, size_t m, size_t c, size_t first, size_t end, float *mean)
{
    for (size_t o = first; o < end; o += 16) {
        const size_t left = end - o < 16 ? end - o : 16;
        v16 lane[16];
        for (size_t l = 0; l < 16; l++) lane[l] = v_zero();
        for (size_t r = 0; r < m; r++) lane[r % 16] = v_add(lane[r % 16], v_load_upto(x + r * c + o, left));
        for (size_t half = 8; half > 0; half /= 2)
            for (size_t l = 0; l < half; l++) lane[l] = v_add(lane[l], lane[l + half]);
        v_store_upto(mean + o, v_div(lane[0], v_set1((float)m)), left);
    }
}

static bool all_finite(const float *x, size_t n)
{
    v16 bad = v_zero();
    EACH_16(i, left, n) bad = v_note(v_load_upto(x + i, left), bad);
    return v_none(bad);
}

/* (a, b) -> (a cos - b sin, b cos + a sin) for the pairs (i, i + head_dim/2) */
static void rope(float *x, size_t head_dim, const float *cos_sin)
{
    const size_t half = head_dim / 2;
    EACH_16(i, left, half)
    {
        const v16 a = v_load_upto(x + i, left), b = v_load_upto(x + half + i, left);
        const v16 c = v_load_upto(cos_sin + i, left), s = v_load_upto(cos_sin + half + i, left);
        v_store_upto(x + i, v_fnma(b, s, v_mul(a, c)), left);
        v_store_upto(x + half + i, v_fma(a, s, v_mul(b, c)), left);
    }
}

static void panel(const float *x, size_t stride, size_t n, size_t k, float *out)
{
    if (n < 16) memset(out, 0, k * 16 * sizeof *out);
    for (size_t l = 0; l < n; l++)
        for (size_t i = 0; i < k; i++) out[i * 16 + l] = x[l * stride + i];
}

#endif
