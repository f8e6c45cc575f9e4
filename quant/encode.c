/* SPDX-License-Identifier: Apache-2.0 */
/* encode.c - see encode.h. The search for scales and codes is in quant/search/. */
#include <stdlib.h>
#include <string.h>

#include "quant/encode.h"

fvlm_encode_group_fn fvlm_encode_group_for(fvlm_cpu cpu)
{
#if defined(__x86_64__)
    if (cpu == FVLM_CPU_AVX512) return fvlm_encode_group__avx512;
    if (cpu == FVLM_CPU_AVX2) return fvlm_encode_group__avx2;
#endif
    (void)cpu;
    return fvlm_encode_group__scalar;
}

fvlm_status fvlm_encoder_create(fvlm_encoder *e, fvlm_cpu cpu, size_t max_group, fvlm_err *err)
{
    e->encode = fvlm_encode_group_for(cpu);
    e->scratch = fvlm_alloc(max_group, FVLM_PANEL * sizeof(float));
    e->q = fvlm_alloc(max_group, FVLM_PANEL);
    if (e->scratch && e->q) return FVLM_OK;
    fvlm_encoder_free(e);
    return fvlm_fail_nomem(err);
}

void fvlm_encoder_free(fvlm_encoder *e)
{
    free(e->scratch);
    free(e->q);
    *e = (fvlm_encoder){0};
}

/* Stores codes q[n][16] of inputs first .. first+n-1 in the panel's tiles (layout: types.h). */
static void place_codes(const fvlm_matrix *m, const uint8_t *q, size_t first, size_t n, uint8_t *values)
{
    for (size_t i = 0; i < n; i++, q += FVLM_PANEL) {
        const size_t k = first + i, tile = k / 4;
        if (m->type.bits == 8) {
            uint8_t *to = values + tile * 64 + k % 4;
            for (size_t l = 0; l < FVLM_PANEL; l++) to[l * 4] = q[l];
        } else {
            uint8_t *to = values + tile / 2 * 64 + k % 4;
            const unsigned shift = tile % 2 ? 4 : 0;
            for (size_t l = 0; l < FVLM_PANEL; l++) to[l * 4] = (uint8_t)(to[l * 4] | q[l] << shift);
        }
    }
}

static double squared_norm(const float *x, size_t n)
{
    double sum[FVLM_PANEL] = {0}, all = 0;
    for (size_t i = 0; i < n * FVLM_PANEL; i++) sum[i % FVLM_PANEL] += (double)x[i] * (double)x[i];
    for (size_t l = 0; l < FVLM_PANEL; l++) all += sum[l];
    return all;
}

void fvlm_encoder_encode_panel(fvlm_encoder *e, const fvlm_matrix *m, const float *x, size_t rows, uint8_t *values,
                               uint16_t *scales, uint16_t *offsets, double sums[2])
{
    for (size_t g = 0; g < m->n_groups; g++) {
        const size_t first = g * m->group, n = m->k - first < m->group ? m->k - first : m->group;
        fvlm_encode_group group = {
            .type = m->type, .n = n, .x = x + first * FVLM_PANEL, .scratch = e->scratch, .q = e->q};
        e->encode(&group);
        for (size_t l = 0; l < rows; l++) {
            scales[g * FVLM_PANEL + l] = fvlm_f32_to_bf16(group.scale[l]);
            if (offsets) offsets[g * FVLM_PANEL + l] = fvlm_f32_to_bf16(group.offset[l]);
            sums[0] += group.error[l];
        }
        for (size_t i = 0; rows < FVLM_PANEL && i < n; i++) /* padding is zero, not the code of zero */
            memset(e->q + i * FVLM_PANEL + rows, 0, FVLM_PANEL - rows);
        place_codes(m, e->q, first, n, values);
        sums[1] += squared_norm(group.x, n);
    }
}
