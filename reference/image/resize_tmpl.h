/* SPDX-License-Identifier: Apache-2.0 */
/* resize_tmpl.h - the inner loops of resize.c, for one instruction set; the compiler vectorizes them. Parameter:
 * PASSES(name), the name of each definition. */

static inline uint8_t PASSES(round_and_clip)(int32_t sum)
{
    const int32_t v = (sum + (1 << (WEIGHT_BITS - 1))) >> WEIGHT_BITS;
    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

/* across [n_out][LANES] = the filter over tile [n_in][LANES]. */
static void PASSES(resample)(const filter *f, const uint8_t *restrict tile, uint8_t *restrict across)
{
    for (uint32_t o = 0; o < f->n_out; o++) {
        const window v = f->windows[o];
        const int32_t *w = f->weights + v.offset;
        int32_t sum[LANES] = {0};
        for (uint32_t i = 0; i < v.count; i++) {
            const uint8_t *in = tile + (size_t)(v.first + i) * LANES;
            for (int j = 0; j < LANES; j++) sum[j] += w[i] * in[j];
        }
        uint8_t *out = across + (size_t)o * LANES;
        for (int j = 0; j < LANES; j++) out[j] = PASSES(round_and_clip)(sum[j]);
    }
}

/* sums += weight * row */
static void PASSES(add)(int32_t *restrict sums, const uint8_t *restrict row, size_t n, int32_t weight)
{
    for (size_t i = 0; i < n; i++) sums[i] += weight * row[i];
}

/* Rounds sums to 8 bits and clips them. */
static void PASSES(round)(const int32_t *restrict sums, size_t n, uint8_t *restrict out)
{
    for (size_t i = 0; i < n; i++) out[i] = PASSES(round_and_clip)(sums[i]);
}

static const resize_passes PASSES(passes) = {PASSES(resample), PASSES(add), PASSES(round)};
