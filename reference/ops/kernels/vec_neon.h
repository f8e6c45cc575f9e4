/* SPDX-License-Identifier: Apache-2.0 */
/* vec_neon.h - vec.h in four 128-bit registers; with V_ISA_DOTPROD the integer products use sdot. */
#ifndef FVLM_REFERENCE_OPS_KERNELS_VEC_NEON_H
#define FVLM_REFERENCE_OPS_KERNELS_VEC_NEON_H

#include <arm_neon.h>

#define TILE_F32_ROWS 6
#define TILE_F32_PANELS 1
#define TILE_INT_ROWS 3
#define TILE_INT_PANELS 1
#define TILE_DW 5
#define DW_HOLDS_TAPS 0

typedef struct {
    float32x4_t a, b, c, d;
} v16;
typedef struct {
    int32x4_t a, b, c, d;
} v16i;

#define UNARY_OF(type, op, x) ((type){op((x).a), op((x).b), op((x).c), op((x).d)})
#define BINARY_OF(type, op, x, y) ((type){op((x).a, (y).a), op((x).b, (y).b), op((x).c, (y).c), op((x).d, (y).d)})

V_FN v16 v_set1(float x)
{
    float32x4_t v = vdupq_n_f32(x);
    return (v16){v, v, v, v};
}
V_FN v16 v_zero(void)
{
    return v_set1(0.0f);
}
V_FN v16 v_load(const float *p)
{
    return (v16){vld1q_f32(p), vld1q_f32(p + 4), vld1q_f32(p + 8), vld1q_f32(p + 12)};
}
V_FN void v_store(float *p, v16 x)
{
    vst1q_f32(p, x.a);
    vst1q_f32(p + 4, x.b);
    vst1q_f32(p + 8, x.c);
    vst1q_f32(p + 12, x.d);
}

V_FN v16 v_load_n(const float *p, size_t n)
{
    float t[16] = {0};
    memcpy(t, p, n * sizeof *p);
    return v_load(t);
}

V_FN void v_store_n(float *p, v16 x, size_t n)
{
    float t[16];
    v_store(t, x);
    memcpy(p, t, n * sizeof *p);
}

V_FN v16 v_load_bf16(const uint16_t *p)
{
    uint16x8_t lo = vld1q_u16(p), hi = vld1q_u16(p + 8);
    return (v16){
        vreinterpretq_f32_u32(vshll_n_u16(vget_low_u16(lo), 16)), vreinterpretq_f32_u32(vshll_high_n_u16(lo, 16)),
        vreinterpretq_f32_u32(vshll_n_u16(vget_low_u16(hi), 16)), vreinterpretq_f32_u32(vshll_high_n_u16(hi, 16))};
}

V_FN v16 v_load_f16(const uint16_t *p)
{
    float16x8_t lo = vreinterpretq_f16_u16(vld1q_u16(p)), hi = vreinterpretq_f16_u16(vld1q_u16(p + 8));
    return (v16){vcvt_f32_f16(vget_low_f16(lo)), vcvt_high_f32_f16(lo), vcvt_f32_f16(vget_low_f16(hi)),
                 vcvt_high_f32_f16(hi)};
}

V_FN v16 v_pairs(const float *p)
{
    float32x4_t lo = vld1q_f32(p), hi = vld1q_f32(p + 4);
    return (v16){vzip1q_f32(lo, lo), vzip2q_f32(lo, lo), vzip1q_f32(hi, hi), vzip2q_f32(hi, hi)};
}

V_FN float32x4_t v_larger(float32x4_t x, float32x4_t y)
{
    return vbslq_f32(vcgtq_f32(x, y), x, y);
}
V_FN float32x4_t v_smaller(float32x4_t x, float32x4_t y)
{
    return vbslq_f32(vcltq_f32(x, y), x, y);
}

#define BINARY(name, op)                                                                                               \
    V_FN v16 name(v16 a, v16 b)                                                                                        \
    {                                                                                                                  \
        return BINARY_OF(v16, op, a, b);                                                                               \
    }
BINARY(v_add, vaddq_f32)
BINARY(v_sub, vsubq_f32)
BINARY(v_mul, vmulq_f32)
BINARY(v_div, vdivq_f32)
BINARY(v_max, v_larger)
BINARY(v_min, v_smaller)
#undef BINARY

V_FN v16 v_fma(v16 x, v16 y, v16 z)
{
    return (v16){vfmaq_f32(z.a, x.a, y.a), vfmaq_f32(z.b, x.b, y.b), vfmaq_f32(z.c, x.c, y.c),
                 vfmaq_f32(z.d, x.d, y.d)};
}
V_FN v16 v_fnma(v16 x, v16 y, v16 z)
{
    return (v16){vfmsq_f32(z.a, x.a, y.a), vfmsq_f32(z.b, x.b, y.b), vfmsq_f32(z.c, x.c, y.c),
                 vfmsq_f32(z.d, x.d, y.d)};
}
V_FN v16 v_abs(v16 x)
{
    return UNARY_OF(v16, vabsq_f32, x);
}
V_FN v16 v_round(v16 x)
{
    return UNARY_OF(v16, vrndnq_f32, x);
}

V_FN v16 v_keep_n(v16 x, size_t n)
{
    float t[16];
    v_store(t, x);
    return v_load_n(t, n);
}

V_FN float v_sum(v16 x)
{
    float32x4_t s = vaddq_f32(vaddq_f32(x.a, x.c), vaddq_f32(x.b, x.d));
    float32x2_t t = vadd_f32(vget_low_f32(s), vget_high_f32(s));
    return vget_lane_f32(t, 0) + vget_lane_f32(t, 1);
}

V_FN float v_top(v16 x)
{
    float t[4];
    vst1q_f32(t, v_larger(v_larger(x.a, x.c), v_larger(x.b, x.d)));
    float p = t[0] > t[2] ? t[0] : t[2], q = t[1] > t[3] ? t[1] : t[3];
    return p > q ? p : q;
}

V_FN v16i vi_set1(int32_t x)
{
    int32x4_t v = vdupq_n_s32(x);
    return (v16i){v, v, v, v};
}
V_FN v16i vi_size(v16 x)
{
    x = v_abs(x);
    return UNARY_OF(v16i, vreinterpretq_s32_f32, x);
}
V_FN v16i vi_max(v16i x, v16i y)
{
    return BINARY_OF(v16i, vmaxq_s32, x, y);
}
V_FN int32_t vi_top(v16i x)
{
    return vmaxvq_s32(vmaxq_s32(vmaxq_s32(x.a, x.b), vmaxq_s32(x.c, x.d)));
}
V_FN v16i vi_load(const void *p)
{
    const uint8_t *b = p;
    return (v16i){vreinterpretq_s32_u8(vld1q_u8(b)), vreinterpretq_s32_u8(vld1q_u8(b + 16)),
                  vreinterpretq_s32_u8(vld1q_u8(b + 32)), vreinterpretq_s32_u8(vld1q_u8(b + 48))};
}
V_FN void vi_store(void *p, v16i x)
{
    uint8_t *b = p;
    vst1q_u8(b, vreinterpretq_u8_s32(x.a));
    vst1q_u8(b + 16, vreinterpretq_u8_s32(x.b));
    vst1q_u8(b + 32, vreinterpretq_u8_s32(x.c));
    vst1q_u8(b + 48, vreinterpretq_u8_s32(x.d));
}
V_FN v16i vi_add(v16i x, v16i y)
{
    return BINARY_OF(v16i, vaddq_s32, x, y);
}
V_FN v16i vi_field(v16i x, int shift, int32_t mask)
{
    const int32x4_t by = vdupq_n_s32(-shift), m = vdupq_n_s32(mask);
#define FIELD(y) vandq_s32(vreinterpretq_s32_u32(vshlq_u32(vreinterpretq_u32_s32(y), by)), m)
    return UNARY_OF(v16i, FIELD, x);
#undef FIELD
}
V_FN v16 v_from_int(v16i x)
{
    return UNARY_OF(v16, vcvtq_f32_s32, x);
}
V_FN v16i v_to_int(v16 x)
{
    return UNARY_OF(v16i, vcvtnq_s32_f32, x);
}
V_FN v16 v_exponent(v16 p, v16i n)
{
#define SCALED(y, k) vreinterpretq_f32_s32(vaddq_s32(vreinterpretq_s32_f32(y), vshlq_n_s32(k, 23)))
    return BINARY_OF(v16, SCALED, p, n);
#undef SCALED
}
V_FN void vi_store_i8(int8_t *p, v16i x)
{
    int16x8_t lo = vcombine_s16(vmovn_s32(x.a), vmovn_s32(x.b)), hi = vcombine_s16(vmovn_s32(x.c), vmovn_s32(x.d));
    vst1q_s8(p, vcombine_s8(vmovn_s16(lo), vmovn_s16(hi)));
}
V_FN int32_t vi_sum(v16i x)
{
    return vaddvq_s32(vaddq_s32(vaddq_s32(x.a, x.b), vaddq_s32(x.c, x.d)));
}

#define W8_BIAS 128
typedef struct {
    int8x16_t a, b, c, d;
} w_tile;
typedef int8x16_t x_quad;

V_FN w_tile w_load8(const uint8_t *p)
{
    const uint8x16_t top = vdupq_n_u8(128); /* q ^ 128 as int8 is q - 128 */
#define SIGNED(i) vreinterpretq_s8_u8(veorq_u8(vld1q_u8(p + 16 * (i)), top))
    return (w_tile){SIGNED(0), SIGNED(1), SIGNED(2), SIGNED(3)};
#undef SIGNED
}

V_FN void w_load4(const uint8_t *p, w_tile *even, w_tile *odd)
{
    const uint8x16_t low = vdupq_n_u8(15);
#define LOW(i) vreinterpretq_s8_u8(vandq_u8(vld1q_u8(p + 16 * (i)), low))
#define HIGH(i) vreinterpretq_s8_u8(vshrq_n_u8(vld1q_u8(p + 16 * (i)), 4))
    *even = (w_tile){LOW(0), LOW(1), LOW(2), LOW(3)};
    *odd = (w_tile){HIGH(0), HIGH(1), HIGH(2), HIGH(3)};
#undef LOW
#undef HIGH
}

V_FN x_quad x_load(const int8_t *p)
{
    int32_t four;
    memcpy(&four, p, 4);
    return vreinterpretq_s8_s32(vdupq_n_s32(four));
}

/* Four rows: each int32 gains its row's four products. Without sdot two 16-bit products are
 * added pairwise first: at most 2 * 128 * 127, which fits. */
V_FN int32x4_t dot4_quarter(int32x4_t acc, int8x16_t w, int8x16_t x)
{
#ifdef V_ISA_DOTPROD
    return vdotq_s32(acc, w, x);
#else
    int16x8_t lo = vmull_s8(vget_low_s8(w), vget_low_s8(x)), hi = vmull_high_s8(w, x);
    return vpadalq_s16(acc, vpaddq_s16(lo, hi));
#endif
}

V_FN v16i dot4(v16i acc, w_tile w, x_quad x)
{
    return (v16i){dot4_quarter(acc.a, w.a, x), dot4_quarter(acc.b, w.b, x), dot4_quarter(acc.c, w.c, x),
                  dot4_quarter(acc.d, w.d, x)};
}

#undef UNARY_OF
#undef BINARY_OF
#endif
