/* SPDX-License-Identifier: Apache-2.0 */
/* vmath_tmpl.h - exp, sigmoid and GELU (exact erf) in the operations of vec.h.
 *   needs   vec.h
 *   gives   v_exp, v_sigmoid, v_gelu, v_activate
 *
 * The polynomials are weighted minimax fits, rounded to f32; tests/oracle/gen_vmath.py fits them afresh and compares.
 * Changing a digit changes every logit. Largest errors against libm in f64 over a dense sweep, which
 * tests/reference/ops/vmath.c enforces:
 *   v_exp    0.96 ulp on [-87, 0]; below that gradual underflow, 0 from -104 on; infinite above 88.73
 *   silu     x / (1 + v_exp(-x)): 2.1 ulp on [-80, 100]
 *   v_gelu   1.7 ulp for x > 0, 2.8 ulp on [-1, 0], 0.7 * 2^-24 * |x| below -1 (f32 erf gives 1) */
#ifndef FVLM_REFERENCE_OPS_KERNELS_VMATH_TMPL_H
#define FVLM_REFERENCE_OPS_KERNELS_VMATH_TMPL_H

#include "reference/ops/kernels/vec.h"

/* e^x = 2^n e^r, n = round(x / ln 2), |r| <= ln(2)/2, e^r = 1 + r + r^2 q(r). 2^n is applied in two steps, so that
 * results below the normal range round once and do not wrap. */
V_FN v16 v_exp(v16 x)
{
    x = v_max(v_min(x, v_set1(89.0f)), v_set1(-104.0f));
    const v16 n = v_round(v_mul(x, v_set1(0x1.715476p+0f)));
    v16 r = v_fnma(n, v_set1(0x1.62e430p-1f), x);
    r = v_fnma(n, v_set1(-0x1.05c610p-29f), r);
    v16 q = v_set1(1.381482813e-03f);
    q = v_fma(q, r, v_set1(8.368710056e-03f));
    q = v_fma(q, r, v_set1(4.166838154e-02f));
    q = v_fma(q, r, v_set1(1.666652113e-01f));
    q = v_fma(q, r, v_set1(4.999999404e-01f));
    const v16 e = v_add(v_fma(v_mul(r, r), q, r), v_set1(1.0f));
    const v16 half = v_round(v_mul(n, v_set1(0.5f)));
    return v_mul(v_exponent(e, v_to_int(half)), v_exponent(v_set1(1.0f), v_to_int(v_sub(n, half))));
}

V_FN v16 v_sigmoid(v16 x)
{
    const v16 one = v_set1(1.0f);
    return v_div(one, v_add(one, v_exp(v_sub(v_zero(), x))));
}

/* gelu(x) = x (1 + erf(x/sqrt 2)) / 2 = max(x, 0) - |x| Q(|x|), where Q(t) = erfc(t/sqrt 2) / 2 = 2^(-1 + t r(t)) and r
 * is smooth: no branch, no division, and the left tail keeps its relative accuracy. The power is 2^n (1 + f q(f)) with
 * n = round(t r(t)), |f| <= 1/2. t is clamped to 6, where Q = 1e-9 no longer counts. */
V_FN v16 v_gelu(v16 x)
{
    const v16 size = v_abs(x), t = v_min(size, v_set1(6.0f));
    v16 r = v_set1(-1.864102650e-08f);
    r = v_fma(r, t, v_set1(5.963898388e-07f));
    r = v_fma(r, t, v_set1(-8.146534128e-06f));
    r = v_fma(r, t, v_set1(6.003987437e-05f));
    r = v_fma(r, t, v_set1(-2.235083812e-04f));
    r = v_fma(r, t, v_set1(-1.147183211e-04f));
    r = v_fma(r, t, v_set1(7.083099335e-03f));
    r = v_fma(r, t, v_set1(-5.252860487e-02f));
    r = v_fma(r, t, v_set1(-4.591948390e-01f));
    r = v_fma(r, t, v_set1(-1.151106715e+00f));
    r = v_mul(r, t);
    const v16 n = v_round(r), f = v_sub(r, n);
    v16 q = v_set1(0.5f * 1.535338524e-04f);
    q = v_fma(q, f, v_set1(0.5f * 1.339887269e-03f));
    q = v_fma(q, f, v_set1(0.5f * 9.618436918e-03f));
    q = v_fma(q, f, v_set1(0.5f * 5.550332367e-02f));
    q = v_fma(q, f, v_set1(0.5f * 2.402264774e-01f));
    q = v_fma(q, f, v_set1(0.5f * 6.931471825e-01f));
    q = v_exponent(v_fma(q, f, v_set1(0.5f)), v_to_int(n));
    return v_fnma(size, q, v_max(x, v_zero()));
}

V_FN v16 v_activate(v16 x, fvlm_activation act)
{
    if (act == FVLM_GELU) return v_gelu(x);
    if (act == FVLM_RELU) return v_max(x, v_zero());
    return x;
}

#endif
