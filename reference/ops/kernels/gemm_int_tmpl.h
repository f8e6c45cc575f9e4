/* SPDX-License-Identifier: Apache-2.0 */
/* gemm_int_tmpl.h - products of int8 activations with int8 or int4 weights.
 *   needs   vec.h: w_tile, x_quad, dot4, W8_BIAS, TILE_INT_ROWS, TILE_INT_PANELS; gemm_f32_tmpl.h
 *   gives   quantize, linear (kernels.h)
 *
 * The definition. A group is 'group' consecutive inputs k of an output n, with one scale. There an activation is
 * x = scale_x * qx, with qx an int8, and a weight is
 *   symmetric    w = scale_w * (qw - zero)           qw unsigned, zero = 128 (8 bits) or 8 (4 bits)
 *   asymmetric   w = scale_w * qw + offset_w
 * so that the group adds to the output
 *   symmetric    scale_w scale_x  sum (qw - zero) qx
 *   asymmetric   scale_w scale_x  sum qw qx   +   offset_w (scale_x sum qx)
 * Both integer sums are exact; each scale enters through one fma, once per group instead of once per weight.
 *
 * Step 1: one loop for all types. The hardware multiplies stored codes, so it can only sum (qw - bias) qx: x86 takes
 * unsigned x signed, bias = 0; NEON is signed x signed, so that w_load8 flips the top bit of qw, bias = W8_BIAS = 128;
 * 4-bit codes are positive either way, bias = 0. The difference does not depend on the output:
 *   sum (qw - zero) qx  =  sum (qw - bias) qx  +  (bias - zero) sum qx
 * (asymmetric: zero = 0). So quantize(), which has sum qx at hand, stores the last term as dot_start, the dot product
 * starts from it rather than from 0, and the inner loop knows no zero point. Also stored is scaled_sum = scale_x sum
 * qx. No int32 overflows, partial sums included: |qw - zero|, |qw| <= 255, |qx| <= 127, and a group is at most 65536
 * inputs (fvlm_weight_bind), hence 255 * 127 * 65536 < 2^31.
 *
 * Step 2: the layout. A tile is 64 bytes, 16 outputs x 4 inputs, and dot4 does 64 multiply-adds:
 *   byte of the tile     0 1 2 3   4 5 6 7   ...   60 61 62 63
 *   output of the panel  0         1         ...   15             w_tile
 *   input                0 1 2 3   0 1 2 3   ...    0  1  2  3
 *                        *         *                *
 *   activations          0 1 2 3   0 1 2 3   ...    0  1  2  3    x_quad: four int8, the same in every lane
 *   int32 lane           0         1         ...   15             += the sum of its four products
 * In int4 the low nibbles of 64 bytes are one tile and the high nibbles the next. Inputs past k meet activations of 0.
 *
 * Step 3: the register tile. R rows of activations x P panels keep R * P vectors of int32 sums in registers; every
 * w_tile loaded serves R rows and every x_quad P panels, P + R loads for R * P dot4. R and P are constants after
 * inlining, so the loops below unroll completely. Rows left over take a smaller tile.
 *
 * Step 4: the caches. linear_int takes P panels at a time and cuts their inputs into blocks of INT_K_BLOCK, which stay
 * in L1 while all rows of activations pass; between blocks the float sums wait in c. Groups are added in order:
 *   acc = fma(float(dots), scale_w * scale_x, acc), then if asymmetric acc = fma(scaled_sum, offset_w, acc)
 * and store_tile applies bias, activation and residual after the last. */
#ifndef FVLM_REFERENCE_OPS_KERNELS_GEMM_INT_TMPL_H
#define FVLM_REFERENCE_OPS_KERNELS_GEMM_INT_TMPL_H

#include "reference/ops/kernels/gemm_f32_tmpl.h"

#define INT_K_BLOCK 512 /* inputs per block, in whole groups: 2 panels of them are 16 KB in int8 */

/* One row, one group: scale = absmax / 127, q = x * (127 / absmax) to nearest even, hence within +-127. An absmax below
 * 2^-100 (whose reciprocal could overflow) counts as zero; one that is not finite gives q = 0 and the scale NaN.
 * Returns the sum of q. */
V_FN int32_t quantize_group(const float *x, size_t n, int8_t *q, float *scale)
{
    v16i top = vi_set1(0);
    size_t i = 0;
    for (; i + 16 <= n; i += 16) top = vi_max(vi_size(v_load(x + i)), top);
    if (i < n) top = vi_max(vi_size(v_load_n(x + i, n - i)), top);
    float absmax = fvlm_f32_from_bits((uint32_t)vi_top(top));
    if (!(absmax < INFINITY)) {
        memset(q, 0, n);
        *scale = NAN;
        return 0;
    }
    if (absmax < 0x1p-100f) absmax = 0.0f;
    *scale = absmax / 127.0f;
    const v16 inverse = v_set1(absmax > 0.0f ? 127.0f / absmax : 0.0f);
    v16i total = vi_set1(0);
    for (i = 0; i + 16 <= n; i += 16) {
        const v16i v = v_to_int(v_mul(v_load(x + i), inverse));
        total = vi_add(total, v);
        vi_store_i8(q + i, v);
    }
    if (i < n) {
        int8_t last[16];
        const v16i v = v_to_int(v_mul(v_load_n(x + i, n - i), inverse));
        total = vi_add(total, v);
        vi_store_i8(last, v);
        memcpy(q + i, last, n - i);
    }
    return vi_sum(total);
}

static void quantize(const fvlm_rows *a, size_t n_rows, const fvlm_weight *w)
{
    const size_t k = w->m.k, group = w->m.group, n_groups = w->m.n_groups, padded = (k + 7) / 8 * 8;
    const int32_t bias = w->m.type.bits == 4 ? 0 : W8_BIAS;
    const int32_t zero = w->offsets ? 0 : w->m.type.bits == 4 ? 8 : 128;
    for (size_t r = 0; r < n_rows; r++) {
        int8_t *q = a->q + r * a->q_stride;
        for (size_t g = 0; g < n_groups; g++) {
            const size_t k0 = g * group, n = k - k0 < group ? k - k0 : group;
            fvlm_row_group *to = &a->group[g * a->group_stride + r];
            const int32_t sum = quantize_group(a->x + r * a->x_stride + k0, n, q + k0, &to->scale);
            to->dot_start = (bias - zero) * sum;
            to->scaled_sum = (float)sum * to->scale;
        }
        memset(q + k, 0, padded - k);
    }
}

/* What one register tile computes: groups g0 .. g1-1 of its outputs. */
typedef struct {
    const fvlm_weight *w;
    size_t panel, g0, g1;
    const int8_t *q;
    size_t q_stride;
    const fvlm_row_group *group; /* of the tile's first row */
    size_t group_stride;
    float *c; /* [R][SUMS_STRIDE] */
} int_product;

/* dots += the products of one group of 'tiles' >= 1 times 64 bytes. */
V_FN void dots_int8(const size_t R, const size_t P, v16i dots[TILE_INT_ROWS][TILE_INT_PANELS], const uint8_t *values,
                    size_t panel_bytes, const int8_t *x, size_t q_stride, size_t tiles)
{
    do {
        w_tile w[TILE_INT_PANELS];
        V_UNROLL
        for (size_t p = 0; p < P; p++) w[p] = w_load8(values + p * panel_bytes);
        V_UNROLL
        for (size_t r = 0; r < R; r++) {
            const x_quad quad = x_load(x + r * q_stride);
            V_UNROLL
            for (size_t p = 0; p < P; p++) dots[r][p] = dot4(dots[r][p], w[p], quad);
        }
        values += 64;
        x += 4;
    } while (--tiles);
}

V_FN void dots_int4(const size_t R, const size_t P, v16i dots[TILE_INT_ROWS][TILE_INT_PANELS], const uint8_t *values,
                    size_t panel_bytes, const int8_t *x, size_t q_stride, size_t tiles)
{
    do {
        w_tile even[TILE_INT_PANELS], odd[TILE_INT_PANELS];
        V_UNROLL
        for (size_t p = 0; p < P; p++) w_load4(values + p * panel_bytes, &even[p], &odd[p]);
        V_UNROLL
        for (size_t r = 0; r < R; r++) {
            const x_quad x0 = x_load(x + r * q_stride), x1 = x_load(x + r * q_stride + 4);
            V_UNROLL
            for (size_t p = 0; p < P; p++) dots[r][p] = dot4(dots[r][p], even[p], x0);
            V_UNROLL
            for (size_t p = 0; p < P; p++) dots[r][p] = dot4(dots[r][p], odd[p], x1);
        }
        values += 64;
        x += 8;
    } while (--tiles);
}

V_FN void tile_int(const size_t R, const size_t P, const bool four, const bool offsets, const int_product *t)
{
    const fvlm_matrix *m = &t->w->m;
    const size_t n_groups = m->n_groups, panel_bytes = m->panel_bytes, inputs = four ? 8 : 4;
    const size_t tiles_of_group = (m->group + inputs - 1) / inputs, tiles_of_row = (m->k + inputs - 1) / inputs;
    const uint8_t *values = t->w->values + t->panel * panel_bytes + t->g0 * tiles_of_group * 64;
    const uint16_t *scales = t->w->scales + (t->panel * n_groups + t->g0) * 16;
    const uint16_t *offset_at = offsets ? t->w->offsets + (t->panel * n_groups + t->g0) * 16 : NULL;
    const int8_t *x = t->q + t->g0 * m->group;
    const fvlm_row_group *group = t->group + t->g0 * t->group_stride;
    v16 acc[TILE_INT_ROWS][TILE_INT_PANELS];
    V_UNROLL
    for (size_t r = 0; r < R; r++) {
        V_UNROLL
        for (size_t p = 0; p < P; p++) acc[r][p] = t->g0 ? v_load(t->c + r * SUMS_STRIDE + 16 * p) : v_zero();
    }
    for (size_t g = t->g0; g < t->g1; g++) {
        v16i dots[TILE_INT_ROWS][TILE_INT_PANELS];
        const size_t left = tiles_of_row - g * tiles_of_group, tiles = left < tiles_of_group ? left : tiles_of_group;
        V_UNROLL
        for (size_t r = 0; r < R; r++) {
            V_UNROLL
            for (size_t p = 0; p < P; p++) dots[r][p] = vi_set1(group[r].dot_start);
        }
        if (four)
            dots_int4(R, P, dots, values, panel_bytes, x, t->q_stride, tiles);
        else
            dots_int8(R, P, dots, values, panel_bytes, x, t->q_stride, tiles);
        v16 scale[TILE_INT_PANELS], offset[TILE_INT_PANELS];
        V_UNROLL
        for (size_t p = 0; p < P; p++) {
            scale[p] = v_load_bf16(scales + p * n_groups * 16);
            offset[p] = offsets ? v_load_bf16(offset_at + p * n_groups * 16) : v_zero();
        }
        V_UNROLL
        for (size_t r = 0; r < R; r++) {
            V_UNROLL
            for (size_t p = 0; p < P; p++) {
                acc[r][p] = v_fma(v_from_int(dots[r][p]), v_mul(scale[p], v_set1(group[r].scale)), acc[r][p]);
                if (offsets) acc[r][p] = v_fma(v_set1(group[r].scaled_sum), offset[p], acc[r][p]);
            }
        }
        values += tiles_of_group * 64;
        x += m->group;
        scales += 16;
        if (offsets) offset_at += 16;
        group += t->group_stride;
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

static bool linear_int(const fvlm_weight *w, const fvlm_rows *a, size_t n_rows, size_t panel, size_t panel_end,
                       const fvlm_epilogue *out, float *sums)
{
    const fvlm_matrix *m = &w->m;
    v16 bad = v_zero();
    void (*const tile)(size_t, size_t, const int_product *) =
        m->type.bits == 4 ? (w->offsets ? tile_4a : tile_4s) : (w->offsets ? tile_8a : tile_8s);
    const size_t step = m->group < INT_K_BLOCK ? INT_K_BLOCK / m->group : 1;
    /* A single row reads the weights once, at the speed of memory: one panel after the other is one stream. */
    const size_t width = n_rows == 1 ? 1 : TILE_INT_PANELS;
    for (size_t p = panel; p < panel_end; p += width) {
        const size_t panels = panel_end - p < width ? panel_end - p : width;
        for (size_t g = 0; g < m->n_groups; g += step) {
            const size_t g1 = m->n_groups - g < step ? m->n_groups : g + step;
            for (size_t r = 0; r < n_rows; r += TILE_INT_ROWS) {
                const size_t rows = n_rows - r < TILE_INT_ROWS ? n_rows - r : TILE_INT_ROWS;
                const int_product t = {.w = w,
                                       .panel = p,
                                       .g0 = g,
                                       .g1 = g1,
                                       .q = a->q + r * a->q_stride,
                                       .q_stride = a->q_stride,
                                       .group = a->group + r,
                                       .group_stride = a->group_stride,
                                       .c = sums + r * SUMS_STRIDE};
                tile(rows, panels, &t);
                if (g1 == m->n_groups) bad = store_tile(out, t.c, r, rows, p, panels, m->n, bad);
            }
        }
    }
    return v_none(bad);
}

static bool linear(const fvlm_weight *w, const fvlm_rows *a, size_t n_rows, size_t panel, size_t panel_end,
                   const fvlm_epilogue *out, float *scratch)
{
    return a->q ? linear_int(w, a, n_rows, panel, panel_end, out, scratch)
                : linear_f32(w, a, n_rows, panel, panel_end, out, scratch);
}

#endif
