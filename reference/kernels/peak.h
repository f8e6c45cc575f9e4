/* peak.h - the most multiply-adds an instruction set can do: nothing but independent
 * chains of them in registers, as many as the matrix products keep (vec.h's tiles). */
#ifndef FVLM_PEAK_H
#define FVLM_PEAK_H

#include "reference/kernels/vec.h"

#define PEAK_F32_CHAINS (TILE_F32_ROWS * TILE_F32_PANELS)
#define PEAK_INT_CHAINS (TILE_INT_ROWS * TILE_INT_PANELS)

/* Each does so many rounds and returns how many multiply-adds that was; sink[0 .. 15] keeps the compiler honest. */
static double peak_f32(size_t rounds, float *sink)
{
    v16 sums[PEAK_F32_CHAINS];
    const v16 a = v_load(sink), b = v_set1(0x1p-20f);
    for (size_t i = 0; i < PEAK_F32_CHAINS; i++) sums[i] = v_zero();
    for (size_t r = 0; r < rounds; r++)
        V_UNROLL for (size_t i = 0; i < PEAK_F32_CHAINS; i++) sums[i] = v_fma(a, b, sums[i]);
    for (size_t i = 1; i < PEAK_F32_CHAINS; i++) sums[0] = v_add(sums[0], sums[i]);
    v_store(sink, sums[0]);
    return (double)rounds * PEAK_F32_CHAINS * 16;
}

static double peak_int8(size_t rounds, float *sink)
{
    v16i sums[PEAK_INT_CHAINS];
    const w_tile w = w_load8((const uint8_t *)sink);
    const x_quad x = x_load((const int8_t *)sink);
    for (size_t i = 0; i < PEAK_INT_CHAINS; i++) sums[i] = vi_set1(0);
    for (size_t r = 0; r < rounds; r++)
        V_UNROLL for (size_t i = 0; i < PEAK_INT_CHAINS; i++) sums[i] = dot4(sums[i], w, x);
    for (size_t i = 1; i < PEAK_INT_CHAINS; i++) sums[0] = vi_add(sums[0], sums[i]);
    vi_store(sink, sums[0]);
    return (double)rounds * PEAK_INT_CHAINS * 64;
}

#endif
