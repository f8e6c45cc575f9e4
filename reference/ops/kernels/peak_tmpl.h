/* SPDX-License-Identifier: Apache-2.0 */
/* peak_tmpl.h - the most multiply-adds an instruction set can do: independent chains of them in registers and nothing
 * else, as many chains as the matrix products keep.
 *   needs   vec.h's operations, TILE_F32_*, TILE_INT_*
 *   gives   peak_f32, peak_int8 (kernels.h) */
#ifndef FVLM_REFERENCE_OPS_KERNELS_PEAK_TMPL_H
#define FVLM_REFERENCE_OPS_KERNELS_PEAK_TMPL_H

#include "reference/ops/kernels/vec.h"

_Static_assert(4 * TILE_INT_ROWS + 8 <= 128 && TILE_INT_PANELS + 64 <= 128, "what peak_int8 reads of its sink");

/* Each runs 'rounds' rounds and returns the number of multiply-adds. The chains start at different values, or the
 * compiler would merge them into one; sink [32] receives their sum, or it would drop them. */
static double peak_f32(size_t rounds, float *sink)
{
    v16 sums[TILE_F32_ROWS][TILE_F32_PANELS]; /* two short loops: both unroll, so the sums stay in registers */
    const v16 a = v_load(sink), b = v_set1(0x1p-20f);
    V_UNROLL
    for (size_t i = 0; i < TILE_F32_ROWS; i++) {
        V_UNROLL
        for (size_t j = 0; j < TILE_F32_PANELS; j++) sums[i][j] = v_set1((float)(i * TILE_F32_PANELS + j));
    }
    for (size_t r = 0; r < rounds; r++) {
        V_UNROLL
        for (size_t i = 0; i < TILE_F32_ROWS; i++) {
            V_UNROLL
            for (size_t j = 0; j < TILE_F32_PANELS; j++) sums[i][j] = v_fma(a, b, sums[i][j]);
        }
    }
    v16 total = v_zero();
    V_UNROLL
    for (size_t i = 0; i < TILE_F32_ROWS; i++) {
        V_UNROLL
        for (size_t j = 0; j < TILE_F32_PANELS; j++) total = v_add(total, sums[i][j]);
    }
    v_store(sink, total);
    return (double)rounds * TILE_F32_ROWS * TILE_F32_PANELS * 16;
}

static double peak_int8(size_t rounds, float *sink)
{
    v16i sums[TILE_INT_ROWS][TILE_INT_PANELS];
    w_tile w[TILE_INT_PANELS];
    V_UNROLL
    for (size_t j = 0; j < TILE_INT_PANELS; j++) w[j] = w_load8((const uint8_t *)sink + j);
    const int8_t *x = (const int8_t *)sink;
    V_UNROLL
    for (size_t i = 0; i < TILE_INT_ROWS; i++) {
        V_UNROLL
        for (size_t j = 0; j < TILE_INT_PANELS; j++) sums[i][j] = vi_set1((int32_t)(i * TILE_INT_PANELS + j));
    }
    /* One activation load per row and round, as in a product: where dot4 takes several instructions, all are done. */
    for (size_t r = 0; r < rounds; r++) {
        V_UNROLL
        for (size_t i = 0; i < TILE_INT_ROWS; i++) {
            const x_quad quad = x_load(x + 4 * i + r % 8);
            V_UNROLL
            for (size_t j = 0; j < TILE_INT_PANELS; j++) sums[i][j] = dot4(sums[i][j], w[j], quad);
        }
    }
    v16i total = vi_set1(0);
    V_UNROLL
    for (size_t i = 0; i < TILE_INT_ROWS; i++) {
        V_UNROLL
        for (size_t j = 0; j < TILE_INT_PANELS; j++) total = vi_add(total, sums[i][j]);
    }
    vi_store(sink, total);
    return (double)rounds * TILE_INT_ROWS * TILE_INT_PANELS * 64;
}

#endif
