/* SPDX-License-Identifier: Apache-2.0 */
/* resize_passes_tmpl.h - the loops of resize_passes.h, left to the compiler to vectorize. Parameter: PASSES(name), the
 * name of each definition for the instruction set. */

static inline uint8_t PASSES(round_and_clip)(int32_t sum)
{
    const int32_t v = (sum + (1 << (FVLM_RESIZE_BITS - 1))) >> FVLM_RESIZE_BITS;
    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

static void PASSES(resample)(const fvlm_resize_filter *f, const uint8_t *restrict tile, uint8_t *restrict across)
{
    for (uint32_t o = 0; o < f->n_out; o++) {
        const fvlm_resize_window v = f->windows[o];
        const int32_t *w = f->weights + v.offset;
        int32_t sum[FVLM_RESIZE_LANES] = {0};
        for (uint32_t i = 0; i < v.count; i++) {
            const uint8_t *in = tile + (size_t)(v.first + i) * FVLM_RESIZE_LANES;
            for (int j = 0; j < FVLM_RESIZE_LANES; j++) sum[j] += w[i] * in[j];
        }
        uint8_t *out = across + (size_t)o * FVLM_RESIZE_LANES;
        for (int j = 0; j < FVLM_RESIZE_LANES; j++) out[j] = PASSES(round_and_clip)(sum[j]);
    }
}

static void PASSES(add)(int32_t *restrict sums, const uint8_t *restrict row, size_t n, int32_t weight)
{
    for (size_t i = 0; i < n; i++) sums[i] += weight * row[i];
}

static void PASSES(round)(const int32_t *restrict sums, size_t n, uint8_t *restrict out)
{
    for (size_t i = 0; i < n; i++) out[i] = PASSES(round_and_clip)(sums[i]);
}

static const fvlm_resize_passes PASSES(passes) = {PASSES(resample), PASSES(add), PASSES(round)};
