/* gemm_int.h - products of int8 activations with int8 or int4 weights. Sums inside
 * a group are exact int32; groups are added in order:
 *   symmetric   acc = fma(sum (q - zero) x, scale_w * scale_x, acc)
 *   asymmetric  acc = fma(sum q x, scale_w * scale_x, acc); acc = fma((sum x) * scale_x, offset_w, acc) */
#ifndef FVLM_GEMM_INT_H
#define FVLM_GEMM_INT_H

#include "reference/kernels/gemm_f32.h"

#define INT_K_BLOCK 512 /* inputs of whole groups to a block: 2 panels of them are 16 KB in int8 */

/* One row and group: scale = absmax / 127, q = round(x * (127 / absmax)) within +-127.
 * An absmax under 2^-100 (whose reciprocal could overflow) counts as zero. */
V_FN void quantize_group(const float *x, size_t n, int8_t *q, float *scale, int32_t *sum)
{
    v16 top = v_zero();
    size_t i = 0;
    for (; i + 16 <= n; i += 16) top = v_max(v_abs(v_load(x + i)), top);
    if (i < n) top = v_max(v_abs(v_load_n(x + i, n - i)), top);
    float absmax = v_top(top);
    if (absmax < 0x1p-100f) absmax = 0.0f;
    *scale = absmax / 127.0f;
    const v16 inverse = v_set1(absmax > 0.0f ? 127.0f / absmax : 0.0f), most = v_set1(127.0f), least = v_set1(-127.0f);
    v16i total = vi_set1(0);
    for (i = 0; i + 16 <= n; i += 16) {
        const v16i v = v_to_int(v_round(v_min(v_max(v_mul(v_load(x + i), inverse), least), most)));
        total = vi_add(total, v);
        vi_store_i8(q + i, v);
    }
    if (i < n) {
        int8_t last[16];
        const v16 kept = v_keep_n(v_min(v_max(v_mul(v_load_n(x + i, n - i), inverse), least), most), n - i);
        const v16i v = v_to_int(v_round(kept));
        total = vi_add(total, v);
        vi_store_i8(last, v);
        memcpy(q + i, last, n - i);
    }
    *sum = vi_sum(total);
}

static void quantize(const fvlm_rows *a, size_t n_rows, size_t k, size_t group)
{
    const size_t n_groups = (k + group - 1) / group, padded = (k + 7) / 8 * 8;
    for (size_t r = 0; r < n_rows; r++) {
        int8_t *q = a->q + r * a->q_stride;
        for (size_t g = 0; g < n_groups; g++) {
            const size_t k0 = g * group, n = k - k0 < group ? k - k0 : group;
            quantize_group(a->x + r * a->x_stride + k0, n, q + k0, &a->scale[r * n_groups + g],
                           &a->sum[r * n_groups + g]);
        }
        memset(q + k, 0, padded - k);
    }
}

/* One register tile over groups g0 .. g1-1. */
typedef struct {
    const fvlm_weight *w;
    size_t panel, g0, g1;
    const int8_t *q;
    size_t q_stride;
    const float *scale; /* of the tile's first row */
    const int32_t *sum;
    float *c; /* [R][SUMS_STRIDE] */
} int_product;

V_FN void tile_int(const size_t R, const size_t P, const bool four, const bool offsets, const int_product *t)
{
    const fvlm_matrix *m = &t->w->m;
    const size_t n_groups = m->n_groups, panel_bytes = m->panel_bytes, q_stride = t->q_stride;
    /* dot4 multiplies (q - bias); what the formula wants instead of q or q - zero is put into the start. */
    const int32_t start = four ? (offsets ? 0 : -8) : (offsets ? W8_BIAS : W8_BIAS - 128);
    v16 acc[TILE_INT_ROWS][TILE_INT_PANELS];
    V_UNROLL
    for (size_t r = 0; r < R; r++) {
        V_UNROLL
        for (size_t p = 0; p < P; p++) acc[r][p] = t->g0 ? v_load(t->c + r * SUMS_STRIDE + 16 * p) : v_zero();
    }
    for (size_t g = t->g0; g < t->g1; g++) {
        v16i dots[TILE_INT_ROWS][TILE_INT_PANELS];
        V_UNROLL
        for (size_t r = 0; r < R; r++) {
            V_UNROLL
            for (size_t p = 0; p < P; p++) dots[r][p] = vi_set1(start * t->sum[r * n_groups + g]);
        }
        const size_t k0 = g * m->group, k1 = m->k - k0 < m->group ? m->k : k0 + m->group;
        const int8_t *x = t->q + k0;
        if (four) {
            const uint8_t *values = t->w->values + t->panel * panel_bytes + k0 * 8;
            for (size_t k = k0; k < k1; k += 8, values += 64, x += 8) {
                w_tile even[TILE_INT_PANELS], odd[TILE_INT_PANELS];
                V_UNROLL
                for (size_t p = 0; p < P; p++) w_load4(values + p * panel_bytes, &even[p], &odd[p]);
                V_UNROLL
                for (size_t r = 0; r < R; r++) {
                    const x_quad x0 = x_load(x + r * q_stride), x1 = x_load(x + r * q_stride + 4);
                    V_UNROLL
                    for (size_t p = 0; p < P; p++) dots[r][p] = dot4(dot4(dots[r][p], even[p], x0), odd[p], x1);
                }
            }
        } else {
            const uint8_t *values = t->w->values + t->panel * panel_bytes + k0 * 16;
            for (size_t k = k0; k < k1; k += 4, values += 64, x += 4) {
                w_tile w[TILE_INT_PANELS];
                V_UNROLL
                for (size_t p = 0; p < P; p++) w[p] = w_load8(values + p * panel_bytes);
                V_UNROLL
                for (size_t r = 0; r < R; r++) {
                    const x_quad quad = x_load(x + r * q_stride);
                    V_UNROLL
                    for (size_t p = 0; p < P; p++) dots[r][p] = dot4(dots[r][p], w[p], quad);
                }
            }
        }
        const uint16_t *scales = t->w->scales + (t->panel * n_groups + g) * 16;
        const uint16_t *moves = offsets ? t->w->offsets + (t->panel * n_groups + g) * 16 : NULL;
        V_UNROLL
        for (size_t p = 0; p < P; p++) {
            const v16 scale = v_load_bf16(scales + p * n_groups * 16);
            const v16 offset = offsets ? v_load_bf16(moves + p * n_groups * 16) : v_zero();
            V_UNROLL
            for (size_t r = 0; r < R; r++) {
                const float scale_x = t->scale[r * n_groups + g];
                acc[r][p] = v_fma(v_from_int(dots[r][p]), v_mul(scale, v_set1(scale_x)), acc[r][p]);
                if (offsets) acc[r][p] = v_fma(v_set1((float)t->sum[r * n_groups + g] * scale_x), offset, acc[r][p]);
            }
        }
    }
    V_UNROLL
    for (size_t r = 0; r < R; r++) {
        V_UNROLL
        for (size_t p = 0; p < P; p++) v_store(t->c + r * SUMS_STRIDE + 16 * p, acc[r][p]);
    }
}

#if TILE_INT_PANELS == 2
#define TILE_CASE(R)                                                                                                   \
    case R:                                                                                                            \
        if (panels == 2)                                                                                               \
            tile_int(R, 2, four, offsets, t);                                                                          \
        else                                                                                                           \
            tile_int(R, 1, four, offsets, t);                                                                          \
        break;
#else
#define TILE_CASE(R)                                                                                                   \
    case R:                                                                                                            \
        tile_int(R, 1, four, offsets, t);                                                                              \
        break;
#endif

V_FN void any_tile_int(size_t rows, size_t panels, const bool four, const bool offsets, const int_product *t)
{
    (void)panels;
    switch (rows) {
        TILE_CASE(1)
        TILE_CASE(2)
#if TILE_INT_ROWS >= 3
        TILE_CASE(3)
#endif
#if TILE_INT_ROWS >= 6
        TILE_CASE(4)
        TILE_CASE(5)
        TILE_CASE(6)
#endif
    }
}
#undef TILE_CASE

static void tile_8s(size_t rows, size_t panels, const int_product *t)
{
    any_tile_int(rows, panels, false, false, t);
}
static void tile_8a(size_t rows, size_t panels, const int_product *t)
{
    any_tile_int(rows, panels, false, true, t);
}
static void tile_4s(size_t rows, size_t panels, const int_product *t)
{
    any_tile_int(rows, panels, true, false, t);
}
static void tile_4a(size_t rows, size_t panels, const int_product *t)
{
    any_tile_int(rows, panels, true, true, t);
}

static void linear_int(const fvlm_weight *w, const fvlm_rows *a, size_t n_rows, size_t panel, size_t panel_end,
                       const fvlm_finish *f, float *sums)
{
    const fvlm_matrix *m = &w->m;
    void (*const tile)(size_t, size_t, const int_product *) =
        m->type.bits == 4 ? (w->offsets ? tile_4a : tile_4s) : (w->offsets ? tile_8a : tile_8s);
    const size_t step = m->group < INT_K_BLOCK ? INT_K_BLOCK / m->group : 1;
    for (size_t p = panel; p < panel_end; p += TILE_INT_PANELS) {
        const size_t panels = panel_end - p < TILE_INT_PANELS ? panel_end - p : TILE_INT_PANELS;
        for (size_t g = 0; g < m->n_groups; g += step) {
            const size_t g1 = m->n_groups - g < step ? m->n_groups : g + step;
            for (size_t r = 0; r < n_rows; r += TILE_INT_ROWS) {
                const size_t rows = n_rows - r < TILE_INT_ROWS ? n_rows - r : TILE_INT_ROWS;
                const int_product t = {w,
                                       p,
                                       g,
                                       g1,
                                       a->q + r * a->q_stride,
                                       a->q_stride,
                                       a->scale + r * m->n_groups,
                                       a->sum + r * m->n_groups,
                                       sums + r * SUMS_STRIDE};
                tile(rows, panels, &t);
                if (g1 == m->n_groups) finish_tile(f, t.c, r, rows, p, panels, m->n);
            }
        }
    }
}

static void linear(const fvlm_weight *w, const fvlm_rows *a, size_t n_rows, size_t panel, size_t panel_end,
                   const fvlm_finish *f, float *scratch)
{
    if (a->q)
        linear_int(w, a, n_rows, panel, panel_end, f, scratch);
    else
        linear_f32(w, a, n_rows, panel, panel_end, f, scratch);
}

#endif
