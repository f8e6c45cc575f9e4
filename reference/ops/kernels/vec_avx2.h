/* SPDX-License-Identifier: Apache-2.0 */
/* vec_avx2.h - vec.h in two 256-bit registers; needs AVX2, FMA and F16C. */
#ifndef FVLM_REFERENCE_OPS_KERNELS_VEC_AVX2_H
#define FVLM_REFERENCE_OPS_KERNELS_VEC_AVX2_H

#include <immintrin.h>

#define TILE_F32_ROWS 6
#define TILE_F32_PANELS 1
#define TILE_INT_ROWS 3
#define TILE_INT_PANELS 1
#define TILE_DW 5
#define DW_HOLDS_TAPS 0

typedef struct {
    __m256 a, b;
} v16;
typedef struct {
    __m256i a, b;
} v16i;

V_FN v16 v_set1(float x)
{
    return (v16){_mm256_set1_ps(x), _mm256_set1_ps(x)};
}
V_FN v16 v_zero(void)
{
    return (v16){_mm256_setzero_ps(), _mm256_setzero_ps()};
}
V_FN v16 v_load(const float *p)
{
    return (v16){_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
}
V_FN void v_store(float *p, v16 a)
{
    _mm256_storeu_ps(p, a.a);
    _mm256_storeu_ps(p + 8, a.b);
}

/* All ones in the first n of lanes from .. from+7. */
V_FN __m256i v_first(size_t n, int from)
{
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n - from), lane);
}

V_FN v16 v_load_n(const float *p, size_t n)
{
    return (v16){_mm256_maskload_ps(p, v_first(n, 0)), _mm256_maskload_ps(p + 8, v_first(n, 8))};
}

V_FN void v_store_n(float *p, v16 a, size_t n)
{
    _mm256_maskstore_ps(p, v_first(n, 0), a.a);
    _mm256_maskstore_ps(p + 8, v_first(n, 8), a.b);
}

V_FN v16 v_load_bf16(const uint16_t *p)
{
    __m128i lo = _mm_loadu_si128((const __m128i *)(const void *)p);
    __m128i hi = _mm_loadu_si128((const __m128i *)(const void *)(p + 8));
    return (v16){_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(lo), 16)),
                 _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(hi), 16))};
}

V_FN v16 v_load_f16(const uint16_t *p)
{
    return (v16){_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p)),
                 _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)(p + 8)))};
}

V_FN v16 v_pairs(const float *p)
{
    __m256 v = _mm256_loadu_ps(p);
    return (v16){_mm256_permutevar8x32_ps(v, _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3)),
                 _mm256_permutevar8x32_ps(v, _mm256_setr_epi32(4, 4, 5, 5, 6, 6, 7, 7))};
}

#define BINARY(name, op)                                                                                               \
    V_FN v16 name(v16 x, v16 y)                                                                                        \
    {                                                                                                                  \
        return (v16){op(x.a, y.a), op(x.b, y.b)};                                                                      \
    }
BINARY(v_add, _mm256_add_ps)
BINARY(v_sub, _mm256_sub_ps)
BINARY(v_mul, _mm256_mul_ps)
BINARY(v_div, _mm256_div_ps)
BINARY(v_max, _mm256_max_ps)
BINARY(v_min, _mm256_min_ps)
#undef BINARY

V_FN v16 v_fma(v16 x, v16 y, v16 z)
{
    return (v16){_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)};
}
V_FN v16 v_fnma(v16 x, v16 y, v16 z)
{
    return (v16){_mm256_fnmadd_ps(x.a, y.a, z.a), _mm256_fnmadd_ps(x.b, y.b, z.b)};
}
V_FN v16 v_abs(v16 x)
{
    const __m256 sign = _mm256_set1_ps(-0.0f);
    return (v16){_mm256_andnot_ps(sign, x.a), _mm256_andnot_ps(sign, x.b)};
}
V_FN v16 v_round(v16 x)
{
    return (v16){_mm256_round_ps(x.a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC),
                 _mm256_round_ps(x.b, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
V_FN v16 v_keep_n(v16 x, size_t n)
{
    return (v16){_mm256_and_ps(x.a, _mm256_castsi256_ps(v_first(n, 0))),
                 _mm256_and_ps(x.b, _mm256_castsi256_ps(v_first(n, 8)))};
}

V_FN float v_sum(v16 x)
{
    __m256 b = _mm256_add_ps(x.a, x.b);
    __m128 c = _mm_add_ps(_mm256_castps256_ps128(b), _mm256_extractf128_ps(b, 1));
    c = _mm_add_ps(c, _mm_movehl_ps(c, c));
    return _mm_cvtss_f32(_mm_add_ss(c, _mm_movehdup_ps(c)));
}

V_FN float v_top(v16 x)
{
    __m256 b = _mm256_max_ps(x.a, x.b);
    __m128 c = _mm_max_ps(_mm256_castps256_ps128(b), _mm256_extractf128_ps(b, 1));
    c = _mm_max_ps(c, _mm_movehl_ps(c, c));
    return _mm_cvtss_f32(_mm_max_ss(c, _mm_movehdup_ps(c)));
}

V_FN v16i vi_set1(int32_t x)
{
    return (v16i){_mm256_set1_epi32(x), _mm256_set1_epi32(x)};
}
V_FN v16i vi_size(v16 x)
{
    x = v_abs(x);
    return (v16i){_mm256_castps_si256(x.a), _mm256_castps_si256(x.b)};
}
V_FN v16i vi_max(v16i x, v16i y)
{
    return (v16i){_mm256_max_epi32(x.a, y.a), _mm256_max_epi32(x.b, y.b)};
}
V_FN int32_t vi_top(v16i x)
{
    __m256i s = _mm256_max_epi32(x.a, x.b);
    __m128i t = _mm_max_epi32(_mm256_castsi256_si128(s), _mm256_extracti128_si256(s, 1));
    t = _mm_max_epi32(t, _mm_shuffle_epi32(t, 0x4e));
    return _mm_cvtsi128_si32(_mm_max_epi32(t, _mm_shuffle_epi32(t, 0xb1)));
}
V_FN v16i vi_load(const void *p)
{
    return (v16i){_mm256_loadu_si256(p), _mm256_loadu_si256((const void *)((const char *)p + 32))};
}
V_FN void vi_store(void *p, v16i x)
{
    _mm256_storeu_si256(p, x.a);
    _mm256_storeu_si256((void *)((char *)p + 32), x.b);
}
V_FN v16i vi_add(v16i x, v16i y)
{
    return (v16i){_mm256_add_epi32(x.a, y.a), _mm256_add_epi32(x.b, y.b)};
}
V_FN v16i vi_field(v16i x, int shift, int32_t mask)
{
    const __m256i m = _mm256_set1_epi32(mask);
    return (v16i){_mm256_and_si256(_mm256_srli_epi32(x.a, shift), m),
                  _mm256_and_si256(_mm256_srli_epi32(x.b, shift), m)};
}
V_FN v16 v_from_int(v16i x)
{
    return (v16){_mm256_cvtepi32_ps(x.a), _mm256_cvtepi32_ps(x.b)};
}
V_FN v16i v_to_int(v16 x)
{
    return (v16i){_mm256_cvtps_epi32(x.a), _mm256_cvtps_epi32(x.b)};
}
V_FN v16 v_exponent(v16 p, v16i n)
{
    return (v16){_mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p.a), _mm256_slli_epi32(n.a, 23))),
                 _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p.b), _mm256_slli_epi32(n.b, 23)))};
}
V_FN void vi_store_i8(int8_t *p, v16i x)
{
    /* The values fit int8; packs interleaves 128-bit halves, the permute undoes that. */
    __m256i s = _mm256_permute4x64_epi64(_mm256_packs_epi32(x.a, x.b), 0xd8);
    __m128i r = _mm_packs_epi16(_mm256_castsi256_si128(s), _mm256_extracti128_si256(s, 1));
    _mm_storeu_si128((__m128i *)(void *)p, r);
}
V_FN int32_t vi_sum(v16i x)
{
    __m256i s = _mm256_add_epi32(x.a, x.b);
    __m128i t = _mm_add_epi32(_mm256_castsi256_si128(s), _mm256_extracti128_si256(s, 1));
    t = _mm_add_epi32(t, _mm_shuffle_epi32(t, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(t, _mm_shuffle_epi32(t, 0xb1)));
}

/* pmaddubsw saturates for 8-bit weights, so the even and the odd inputs of each
 * quad go through pmaddwd in 16 bits: exact, and two products an instruction and lane. */
#define W8_BIAS 0
typedef struct {
    __m256i even_a, odd_a, even_b, odd_b;
} w_tile;
typedef struct {
    __m256i even, odd;
} x_quad;

V_FN w_tile w_split(__m256i a, __m256i b)
{
    const __m256i low = _mm256_set1_epi16(255);
    return (w_tile){_mm256_and_si256(a, low), _mm256_srli_epi16(a, 8), _mm256_and_si256(b, low),
                    _mm256_srli_epi16(b, 8)};
}

V_FN w_tile w_load8(const uint8_t *p)
{
    v16i v = vi_load(p);
    return w_split(v.a, v.b);
}

V_FN void w_load4(const uint8_t *p, w_tile *even, w_tile *odd)
{
    const __m256i low = _mm256_set1_epi8(15);
    v16i v = vi_load(p);
    *even = w_split(_mm256_and_si256(v.a, low), _mm256_and_si256(v.b, low));
    *odd = w_split(_mm256_and_si256(_mm256_srli_epi16(v.a, 4), low), _mm256_and_si256(_mm256_srli_epi16(v.b, 4), low));
}

V_FN x_quad x_load(const int8_t *p)
{
    int32_t four;
    memcpy(&four, p, 4);
    __m256i v = _mm256_set1_epi32(four);
    return (x_quad){_mm256_srai_epi16(_mm256_slli_epi16(v, 8), 8), _mm256_srai_epi16(v, 8)};
}

V_FN v16i dot4(v16i acc, w_tile w, x_quad x)
{
    acc.a = _mm256_add_epi32(acc.a, _mm256_madd_epi16(w.even_a, x.even));
    acc.a = _mm256_add_epi32(acc.a, _mm256_madd_epi16(w.odd_a, x.odd));
    acc.b = _mm256_add_epi32(acc.b, _mm256_madd_epi16(w.even_b, x.even));
    acc.b = _mm256_add_epi32(acc.b, _mm256_madd_epi16(w.odd_b, x.odd));
    return acc;
}

#endif
