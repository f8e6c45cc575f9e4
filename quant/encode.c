/* SPDX-License-Identifier: Apache-2.0 */
/* encode.c - which search this machine runs, and a panel of weights to the bytes of a tile. */
#include <stdlib.h>
#include <string.h>

#include "format/base/cpu.h"
#include "quant/encode.h"
#include "quant/quant.h"

static const fvlm_encode_group_fn encoders[FVLM_CPU_COUNT] = {
    [FVLM_CPU_SCALAR] = fvlm_encode_group__scalar,
#if defined(__x86_64__)
    [FVLM_CPU_AVX2] = fvlm_encode_group__avx2,
    [FVLM_CPU_AVX512] = fvlm_encode_group__avx512,
#elif defined(__aarch64__)
    [FVLM_CPU_NEON] = fvlm_encode_group__scalar, /* NEON is what the compiler makes of the definition */
    [FVLM_CPU_DOTPROD] = fvlm_encode_group__scalar,
#endif
};

fvlm_status fvlm_encode_select(fvlm_encode_group_fn *out, const char *cpu, fvlm_err *err)
{
    fvlm_cpu chosen;
    fvlm_status st = fvlm_cpu_select(&chosen, cpu, err);
    *out = st ? NULL : encoders[chosen];
    return st;
}

fvlm_status fvlm_encode_scratch_create(fvlm_encode_scratch *s, size_t longest_group, fvlm_err *err)
{
    s->scratch = fvlm_alloc(longest_group, FVLM_LANES * sizeof(float));
    s->q = fvlm_alloc(longest_group, FVLM_LANES);
    if (s->scratch && s->q) return FVLM_OK;
    fvlm_encode_scratch_free(s);
    return fvlm_fail(err, FVLM_NOMEM, "out of memory for groups of %zu weights", longest_group);
}

void fvlm_encode_scratch_free(fvlm_encode_scratch *s)
{
    free(s->scratch);
    free(s->q);
    *s = (fvlm_encode_scratch){0};
}

/* Codes q[n][16] of inputs first .. first+n-1 into the panel's tiles (types.h says where). */
static void place_codes(const fvlm_matrix *m, const uint8_t *q, size_t first, size_t n, uint8_t *values)
{
    for (size_t i = 0; i < n; i++, q += FVLM_LANES) {
        const size_t k = first + i, tile = k / 4;
        if (m->type.bits == 8) {
            uint8_t *to = values + tile * 64 + k % 4;
            for (size_t l = 0; l < FVLM_LANES; l++) to[l * 4] = q[l];
        } else {
            uint8_t *to = values + tile / 2 * 64 + k % 4;
            const unsigned shift = tile % 2 ? 4 : 0;
            for (size_t l = 0; l < FVLM_LANES; l++) to[l * 4] = (uint8_t)(to[l * 4] | q[l] << shift);
        }
    }
}

static double squared_norm(const float *x, size_t n)
{
    double sum[FVLM_LANES] = {0}, all = 0;
    for (size_t i = 0; i < n * FVLM_LANES; i++) sum[i % FVLM_LANES] += (double)x[i] * (double)x[i];
    for (size_t l = 0; l < FVLM_LANES; l++) all += sum[l];
    return all;
}

void fvlm_encode_panel(fvlm_encode_group_fn encode, const fvlm_matrix *m, const float *x, size_t rows,
                       fvlm_encode_scratch *s, uint8_t *values, uint16_t *scales, uint16_t *offsets, double sums[2])
{
    for (size_t g = 0; g < m->n_groups; g++) {
        const size_t first = g * m->group, n = m->k - first < m->group ? m->k - first : m->group;
        fvlm_encode_group group = {
            .type = m->type, .n = n, .x = x + first * FVLM_LANES, .scratch = s->scratch, .q = s->q};
        encode(&group);
        for (size_t l = 0; l < rows; l++) {
            scales[g * FVLM_LANES + l] = fvlm_f32_to_bf16(group.scale[l]);
            if (offsets) offsets[g * FVLM_LANES + l] = fvlm_f32_to_bf16(group.offset[l]);
            sums[0] += group.error[l];
        }
        for (size_t i = 0; rows < FVLM_LANES && i < n; i++) /* padding is zero, not the code of zero */
            memset(s->q + i * FVLM_LANES + rows, 0, FVLM_LANES - rows);
        place_codes(m, s->q, first, n, values);
        sums[1] += squared_norm(group.x, n);
    }
}
