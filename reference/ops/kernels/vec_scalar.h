/* SPDX-License-Identifier: Apache-2.0 */
/* vec_scalar.h - the definition of every operation of vec.h, in plain C. */
#ifndef FVLM_REFERENCE_OPS_KERNELS_VEC_SCALAR_H
#define FVLM_REFERENCE_OPS_KERNELS_VEC_SCALAR_H

#include "format/base/base.h"

#define TILE_F32_ROWS 2
#define TILE_F32_PANELS 1
#define TILE_INT_ROWS 2
#define TILE_INT_PANELS 1
#define TILE_DW 2
#define DW_HOLDS_TAPS 0

typedef struct {
    float f[16];
} v16;
typedef struct {
    int32_t i[16];
} v16i;

#define EACH for (int l = 0; l < 16; l++)

V_FN v16 v_set1(float x)
{
    v16 r;
    EACH r.f[l] = x;
    return r;
}

V_FN v16 v_zero(void)
{
    return v_set1(0.0f);
}

V_FN v16 v_load(const float *p)
{
    v16 r;
    EACH r.f[l] = p[l];
    return r;
}

V_FN void v_store(float *p, v16 a)
{
    EACH p[l] = a.f[l];
}

V_FN v16 v_load_n(const float *p, size_t n)
{
    v16 r = v_zero();
    for (size_t l = 0; l < n; l++) r.f[l] = p[l];
    return r;
}

V_FN void v_store_n(float *p, v16 a, size_t n)
{
    for (size_t l = 0; l < n; l++) p[l] = a.f[l];
}

V_FN v16 v_load_bf16(const uint16_t *p)
{
    v16 r;
    EACH r.f[l] = fvlm_bf16_to_f32(p[l]);
    return r;
}

V_FN v16 v_load_f16(const uint16_t *p)
{
    v16 r;
    EACH r.f[l] = fvlm_f16_to_f32(p[l]);
    return r;
}

V_FN v16 v_pairs(const float *p)
{
    v16 r;
    EACH r.f[l] = p[l / 2];
    return r;
}

#define BINARY(name, expression)                                                                                       \
    V_FN v16 name(v16 a, v16 b)                                                                                        \
    {                                                                                                                  \
        v16 r;                                                                                                         \
        EACH r.f[l] = (expression);                                                                                    \
        return r;                                                                                                      \
    }
BINARY(v_add, a.f[l] + b.f[l])
BINARY(v_sub, a.f[l] - b.f[l])
BINARY(v_mul, a.f[l] * b.f[l])
BINARY(v_div, a.f[l] / b.f[l])
BINARY(v_max, a.f[l] > b.f[l] ? a.f[l] : b.f[l])
BINARY(v_min, a.f[l] < b.f[l] ? a.f[l] : b.f[l])
#undef BINARY

V_FN v16 v_fma(v16 a, v16 b, v16 c)
{
    v16 r;
    EACH r.f[l] = fmaf(a.f[l], b.f[l], c.f[l]);
    return r;
}

V_FN v16 v_fnma(v16 a, v16 b, v16 c)
{
    v16 r;
    EACH r.f[l] = fmaf(-a.f[l], b.f[l], c.f[l]);
    return r;
}

V_FN v16 v_abs(v16 a)
{
    EACH a.f[l] = fabsf(a.f[l]);
    return a;
}

V_FN v16 v_round(v16 a)
{
    EACH a.f[l] = rintf(a.f[l]);
    return a;
}

V_FN v16 v_keep_n(v16 a, size_t n)
{
    for (size_t l = n; l < 16; l++) a.f[l] = 0.0f;
    return a;
}

V_FN float v_sum(v16 a)
{
    for (int half = 8; half > 0; half /= 2)
        for (int l = 0; l < half; l++) a.f[l] = a.f[l] + a.f[l + half];
    return a.f[0];
}

V_FN float v_top(v16 a)
{
    for (int half = 8; half > 0; half /= 2)
        for (int l = 0; l < half; l++) a.f[l] = a.f[l] > a.f[l + half] ? a.f[l] : a.f[l + half];
    return a.f[0];
}

V_FN v16i vi_set1(int32_t x)
{
    v16i r;
    EACH r.i[l] = x;
    return r;
}

V_FN v16i vi_size(v16 a)
{
    v16i r;
    EACH r.i[l] = (int32_t)(fvlm_f32_bits(a.f[l]) & 0x7fffffff);
    return r;
}

V_FN v16i vi_max(v16i a, v16i b)
{
    EACH a.i[l] = a.i[l] > b.i[l] ? a.i[l] : b.i[l];
    return a;
}

V_FN int32_t vi_top(v16i a)
{
    int32_t top = a.i[0];
    EACH top = a.i[l] > top ? a.i[l] : top;
    return top;
}

V_FN v16i vi_load(const void *p)
{
    v16i r;
    memcpy(r.i, p, 64);
    return r;
}

V_FN void vi_store(void *p, v16i a)
{
    memcpy(p, a.i, 64);
}

V_FN v16i vi_add(v16i a, v16i b)
{
    EACH a.i[l] += b.i[l];
    return a;
}

/* (a >> shift) & mask, a as unsigned */
V_FN v16i vi_field(v16i a, int shift, int32_t mask)
{
    EACH a.i[l] = (int32_t)((uint32_t)a.i[l] >> shift) & mask;
    return a;
}

V_FN v16 v_from_int(v16i a)
{
    v16 r;
    EACH r.f[l] = (float)a.i[l];
    return r;
}

V_FN v16i v_to_int(v16 a)
{
    v16i r;
    EACH r.i[l] = (int32_t)rintf(a.f[l]);
    return r;
}

V_FN v16 v_exponent(v16 p, v16i n)
{
    EACH p.f[l] = fvlm_f32_from_bits(fvlm_f32_bits(p.f[l]) + ((uint32_t)n.i[l] << 23));
    return p;
}

/* the low byte of each lane */
V_FN void vi_store_i8(int8_t *p, v16i a)
{
    EACH p[l] = (int8_t)a.i[l];
}

V_FN int32_t vi_sum(v16i a)
{
    int32_t s = 0;
    EACH s += a.i[l];
    return s;
}

#define W8_BIAS 0
typedef struct {
    uint8_t q[64];
} w_tile;
typedef struct {
    int8_t x[4];
} x_quad;

V_FN w_tile w_load8(const uint8_t *p)
{
    w_tile w;
    memcpy(w.q, p, 64);
    return w;
}

V_FN void w_load4(const uint8_t *p, w_tile *even, w_tile *odd)
{
    for (int i = 0; i < 64; i++) even->q[i] = p[i] & 15, odd->q[i] = p[i] >> 4;
}

V_FN x_quad x_load(const int8_t *p)
{
    x_quad x;
    memcpy(x.x, p, 4);
    return x;
}

V_FN v16i dot4(v16i acc, w_tile w, x_quad x)
{
    EACH for (int j = 0; j < 4; j++) acc.i[l] += w.q[4 * l + j] * x.x[j];
    return acc;
}

#undef EACH
#endif
