/* SPDX-License-Identifier: Apache-2.0 */
/* vec.h - sixteen lanes of f32 and of int32, the same on every instruction set.
 *
 * The kernels (*_tmpl.h) are written once in these operations and compiled once for each instruction set: scalar.c,
 * avx2.c, avx512.c, neon.c and dotprod.c define V_ISA_... and include kernels_tmpl.h. Every operation is exact or
 * rounds once, in the same way everywhere, so the kernels give the same bits everywhere. vec_scalar.h is the
 * definition; in short:
 *
 *   v_fma(a,b,c)   a*b + c, rounded once         v_fnma(a,b,c)   c - a*b, rounded once
 *   v_max(a,b)     a > b ? a : b                 v_min(a,b)      a < b ? a : b     (NaN gives b)
 *   v_round        to integer, ties to even      v_to_int        the same, as int32 (the value must fit)
 *   v_sum          lanes added by halves: i and i+8, then i+4, i+2, i+1; v_top: the largest, likewise
 *   v_load_n       n < 16 values, the other lanes 0; v_store_n writes n values and not a byte more
 *   v_pairs        8 values, each in two adjacent lanes (depth multiplier 2)
 *   v_exponent     p * 2^n for whole n with a normal result, n in the lanes of an int vector
 *   vi_size        the bits of |x|: as integers they order like |x|, infinity and then NaN above all finite values
 *   vi_max, vi_top the larger of two lanes; the largest of all lanes
 *
 * Integer products: a w_tile is 16 outputs x 4 inputs of weights, an x_quad is 4 signed activations; dot4 adds the four
 * products to each output's int32, exactly. A w_tile holds codes minus W8_BIAS (int8) or codes (int4); gemm_int_tmpl.h
 * says why.
 *
 * TILE_*: the register tiles, as rows x panels of 16 of the matrix products and neighbouring outputs of depthwise
 * convolutions. DW_HOLDS_TAPS: whether 7 taps fit into registers beside those. */
#ifndef FVLM_REFERENCE_OPS_KERNELS_VEC_H
#define FVLM_REFERENCE_OPS_KERNELS_VEC_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(V_ISA_AVX512) || defined(V_ISA_AVX2) || defined(V_ISA_NEON)
#define V_FN static inline __attribute__((always_inline, unused))
#define V_UNROLL _Pragma("GCC unroll 32")
#else /* nothing to gain from 16 copies of everything */
#define V_FN static inline __attribute__((unused))
#define V_UNROLL
#endif

#if defined(V_ISA_AVX512)
#include "reference/ops/kernels/vec_avx512.h"
#elif defined(V_ISA_AVX2)
#include "reference/ops/kernels/vec_avx2.h"
#elif defined(V_ISA_NEON)
#include "reference/ops/kernels/vec_neon.h"
#else
#include "reference/ops/kernels/vec_scalar.h"
#endif

/* bad stays 0 while x is finite; a NaN or an infinity in x leaves NaN there for good. */
V_FN v16 v_note(v16 x, v16 bad)
{
    return v_fma(x, v_zero(), bad);
}

V_FN bool v_none(v16 bad)
{
    return v_sum(bad) == 0.0f;
}

/* The same for n <= 16. Most vectors are whole, and those need no mask. */
V_FN v16 v_load_upto(const float *p, size_t n)
{
    return n == 16 ? v_load(p) : v_load_n(p, n);
}

V_FN void v_store_upto(float *p, v16 a, size_t n)
{
    if (n == 16)
        v_store(p, a);
    else
        v_store_n(p, a, n);
}

#endif
