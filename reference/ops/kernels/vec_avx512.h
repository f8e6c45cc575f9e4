/* SPDX-License-Identifier: Apache-2.0 */
/* vec_avx512.h - vec.h in one 512-bit register; needs F, BW, DQ, VL and VNNI. */
#ifndef FVLM_REFERENCE_OPS_KERNELS_VEC_AVX512_H
#define FVLM_REFERENCE_OPS_KERNELS_VEC_AVX512_H

#include <immintrin.h>

#define TILE_F32_ROWS 8
#define TILE_F32_PANELS 3
#define TILE_INT_ROWS 6
#define TILE_INT_PANELS 2
#define TILE_DW 14
#define DW_HOLDS_TAPS 1

typedef __m512 v16;
/* Not __m512i, which is 8 x 64 bits to gcc: changing type in a loop costs it copies of every accumulator. */
typedef int32_t v16i __attribute__((vector_size(64)));

V_FN __mmask16 v_first(size_t n)
{
    return (__mmask16)((1u << n) - 1u);
}

V_FN v16 v_set1(float x)
{
    return _mm512_set1_ps(x);
}
V_FN v16 v_zero(void)
{
    return _mm512_setzero_ps();
}
V_FN v16 v_load(const float *p)
{
    return _mm512_loadu_ps(p);
}
V_FN void v_store(float *p, v16 a)
{
    _mm512_storeu_ps(p, a);
}
V_FN v16 v_load_n(const float *p, size_t n)
{
    return _mm512_maskz_loadu_ps(v_first(n), p);
}
V_FN void v_store_n(float *p, v16 a, size_t n)
{
    _mm512_mask_storeu_ps(p, v_first(n), a);
}

V_FN v16 v_load_bf16(const uint16_t *p)
{
    __m256i h = _mm256_loadu_si256((const __m256i *)(const void *)p);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16));
}

V_FN v16 v_load_f16(const uint16_t *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
}

V_FN v16 v_pairs(const float *p)
{
    const __m512i twice = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
    return _mm512_permutexvar_ps(twice, _mm512_castps256_ps512(_mm256_loadu_ps(p)));
}

#define BINARY(name, op)                                                                                               \
    V_FN v16 name(v16 a, v16 b)                                                                                        \
    {                                                                                                                  \
        return op(a, b);                                                                                               \
    }
BINARY(v_add, _mm512_add_ps)
BINARY(v_sub, _mm512_sub_ps)
BINARY(v_mul, _mm512_mul_ps)
BINARY(v_div, _mm512_div_ps)
BINARY(v_max, _mm512_max_ps)
BINARY(v_min, _mm512_min_ps)
#undef BINARY

V_FN v16 v_fma(v16 a, v16 b, v16 c)
{
    return _mm512_fmadd_ps(a, b, c);
}
V_FN v16 v_fnma(v16 a, v16 b, v16 c)
{
    return _mm512_fnmadd_ps(a, b, c);
}
V_FN v16 v_abs(v16 a)
{
    return _mm512_abs_ps(a);
}
V_FN v16 v_round(v16 a)
{
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
V_FN v16 v_keep_n(v16 a, size_t n)
{
    return _mm512_maskz_mov_ps(v_first(n), a);
}

V_FN float v_sum(v16 a)
{
    __m256 b = _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    __m128 c = _mm_add_ps(_mm256_castps256_ps128(b), _mm256_extractf128_ps(b, 1));
    c = _mm_add_ps(c, _mm_movehl_ps(c, c));
    return _mm_cvtss_f32(_mm_add_ss(c, _mm_movehdup_ps(c)));
}

V_FN float v_top(v16 a)
{
    __m256 b = _mm256_max_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    __m128 c = _mm_max_ps(_mm256_castps256_ps128(b), _mm256_extractf128_ps(b, 1));
    c = _mm_max_ps(c, _mm_movehl_ps(c, c));
    return _mm_cvtss_f32(_mm_max_ss(c, _mm_movehdup_ps(c)));
}

V_FN v16i vi_set1(int32_t x)
{
    return (v16i)_mm512_set1_epi32(x);
}
V_FN v16i vi_size(v16 a)
{
    return (v16i)_mm512_castps_si512(_mm512_abs_ps(a));
}
V_FN v16i vi_max(v16i a, v16i b)
{
    return (v16i)_mm512_max_epi32((__m512i)a, (__m512i)b);
}
V_FN int32_t vi_top(v16i a)
{
    return _mm512_reduce_max_epi32((__m512i)a);
}
V_FN v16i vi_load(const void *p)
{
    return (v16i)_mm512_loadu_si512(p);
}
V_FN void vi_store(void *p, v16i a)
{
    _mm512_storeu_si512(p, (__m512i)a);
}
V_FN v16i vi_add(v16i a, v16i b)
{
    return (v16i)_mm512_add_epi32((__m512i)a, (__m512i)b);
}
V_FN v16i vi_field(v16i a, int shift, int32_t mask)
{
    return (v16i)_mm512_and_si512(_mm512_srli_epi32((__m512i)a, (unsigned)shift), _mm512_set1_epi32(mask));
}
V_FN v16 v_from_int(v16i a)
{
    return _mm512_cvtepi32_ps((__m512i)a);
}
V_FN v16i v_to_int(v16 a)
{
    return (v16i)_mm512_cvtps_epi32(a);
}
V_FN v16 v_exponent(v16 p, v16i n)
{
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(p), _mm512_slli_epi32((__m512i)n, 23)));
}
V_FN void vi_store_i8(int8_t *p, v16i a)
{
    _mm_storeu_si128((__m128i *)(void *)p, _mm512_cvtepi32_epi8((__m512i)a));
}
V_FN int32_t vi_sum(v16i a)
{
    return _mm512_reduce_add_epi32((__m512i)a);
}

#define W8_BIAS 0
typedef __m512i w_tile;
typedef __m512i x_quad;

V_FN w_tile w_load8(const uint8_t *p)
{
    return _mm512_loadu_si512(p);
}

V_FN void w_load4(const uint8_t *p, w_tile *even, w_tile *odd)
{
    const __m512i low = _mm512_set1_epi8(15), v = _mm512_loadu_si512(p);
    *even = _mm512_and_si512(v, low);
    *odd = _mm512_and_si512(_mm512_srli_epi16(v, 4), low);
}

V_FN x_quad x_load(const int8_t *p)
{
    int32_t four;
    memcpy(&four, p, 4);
    return _mm512_set1_epi32(four);
}

V_FN v16i dot4(v16i acc, w_tile w, x_quad x)
{
    return (v16i)_mm512_dpbusd_epi32((__m512i)acc, w, x);
}

#endif
