/* SPDX-License-Identifier: Apache-2.0 */
/* gemm_f32_tmpl.h - products in floats: every output is one chain of fma in increasing k, from 0. A register tile is
 * TILE_F32_ROWS rows of x against TILE_F32_PANELS panels of 16 outputs. k is cut into blocks of K_BLOCK inputs, so that
 * a block of the panels stays in L1 while all rows pass over it; the chains continue from block to block through an
 * array of partial sums.
 *   needs   vec.h's operations and tile sizes
 *   gives   matmul (kernels.h); for gemm_int_tmpl.h linear_f32, store_tile, SUMS_STRIDE */
#ifndef FVLM_REFERENCE_OPS_KERNELS_GEMM_F32_TMPL_H
#define FVLM_REFERENCE_OPS_KERNELS_GEMM_F32_TMPL_H

#include "reference/ops/kernels/kernels.h"
#include "reference/ops/kernels/vmath_tmpl.h"

#define K_BLOCK 128                        /* inputs to a block: 3 panels of them are 24 KB in f32 */
#define SUMS_STRIDE (16 * TILE_F32_PANELS) /* >= the int tile's */

typedef enum { B_F32, B_BF16, B_F16 } b_kind;

V_FN v16 load_b(const b_kind kind, const void *b, size_t at)
{
    if (kind == B_BF16) return v_load_bf16((const uint16_t *)b + at);
    if (kind == B_F16) return v_load_f16((const uint16_t *)b + at);
    return v_load((const float *)b + at);
}

/* c[R][16 P] = (c or 0) + a[R][k] . b; R and P are constants, so that acc lives in registers. */
V_FN void tile_f32(const size_t R, const size_t P, const b_kind kind, const fvlm_product *t)
{
    v16 acc[TILE_F32_ROWS][TILE_F32_PANELS];
    const float *a = t->a;
    const size_t a_stride = t->a_stride, panel_stride = t->panel_stride, b_stride = t->b_stride, k = t->k;
    V_UNROLL
    for (size_t r = 0; r < R; r++) {
        V_UNROLL
        for (size_t p = 0; p < P; p++) acc[r][p] = t->resume ? v_load(t->c + r * t->c_stride + 16 * p) : v_zero();
    }
    for (size_t i = 0; i < k; i++) {
        v16 b[TILE_F32_PANELS];
        V_UNROLL
        for (size_t p = 0; p < P; p++) b[p] = load_b(kind, t->b, p * panel_stride + i * b_stride);
        V_UNROLL
        for (size_t r = 0; r < R; r++) {
            const v16 x = v_set1(a[r * a_stride + i]);
            V_UNROLL
            for (size_t p = 0; p < P; p++) acc[r][p] = v_fma(x, b[p], acc[r][p]);
        }
    }
    V_UNROLL
    for (size_t r = 0; r < R; r++) {
        V_UNROLL
        for (size_t p = 0; p < P; p++) v_store(t->c + r * t->c_stride + 16 * p, acc[r][p]);
    }
}

#if TILE_F32_PANELS == 3
#define TILE_CASE(R)                                                                                                   \
    case R:                                                                                                            \
        if (panels == 3)                                                                                               \
            tile_f32(R, 3, kind, t);                                                                                   \
        else if (panels == 2)                                                                                          \
            tile_f32(R, 2, kind, t);                                                                                   \
        else                                                                                                           \
            tile_f32(R, 1, kind, t);                                                                                   \
        break;
#else
#define TILE_CASE(R)                                                                                                   \
    case R:                                                                                                            \
        tile_f32(R, 1, kind, t);                                                                                       \
        break;
#endif

/* Calls the tile compiled for these rows and panels. */
V_FN void any_tile_f32(size_t rows, size_t panels, const b_kind kind, const fvlm_product *t)
{
    (void)panels;
    switch (rows) {
        TILE_CASE(1)
        TILE_CASE(2)
#if TILE_F32_ROWS >= 6
        TILE_CASE(3)
        TILE_CASE(4)
        TILE_CASE(5)
        TILE_CASE(6)
#endif
#if TILE_F32_ROWS >= 8
        TILE_CASE(7)
        TILE_CASE(8)
#endif
    }
}
#undef TILE_CASE

static void tile_of_f32(size_t rows, size_t panels, const fvlm_product *t)
{
    any_tile_f32(rows, panels, B_F32, t);
}
static void tile_of_bf16(size_t rows, size_t panels, const fvlm_product *t)
{
    any_tile_f32(rows, panels, B_BF16, t);
}
static void tile_of_f16(size_t rows, size_t panels, const fvlm_product *t)
{
    any_tile_f32(rows, panels, B_F16, t);
}

static void matmul(const fvlm_product *whole, size_t n_rows, size_t panels)
{
    fvlm_product t = *whole;
    for (size_t p = 0; p < panels; p += TILE_F32_PANELS) {
        t.b = (const float *)whole->b + p * whole->panel_stride;
        for (size_t r = 0; r < n_rows; r += TILE_F32_ROWS) {
            t.a = whole->a + r * whole->a_stride;
            t.c = whole->c + r * whole->c_stride + 16 * p;
            tile_of_f32(n_rows - r < TILE_F32_ROWS ? n_rows - r : TILE_F32_ROWS,
                        panels - p < TILE_F32_PANELS ? panels - p : TILE_F32_PANELS, &t);
        }
    }
}

/* The epilogue of finished sums [rows][16 * panels], which become columns 16 * panel and up, of n in all. Returns bad
 * as v_note leaves it: the activation may turn infinity into a number, so its input counts too. */
static v16 store_tile(const fvlm_epilogue *out, const float *sums, size_t row, size_t rows, size_t panel, size_t panels,
                      size_t n, v16 bad)
{
    for (size_t r = 0; r < rows; r++)
        for (size_t p = 0; p < panels; p++) {
            const size_t col = 16 * (panel + p), left = n - col < 16 ? n - col : 16;
            v16 v = v_load(sums + r * SUMS_STRIDE + 16 * p);
            if (left < 16) v = v_keep_n(v, left); /* the padding of w may be anything */
            if (out->bias) v = v_add(v, v_load_upto(out->bias + col, left));
            bad = v_note(v, bad);
            v = v_activate(v, out->act);
            float *y = out->y + (row + r) * out->y_stride + col;
            const float *residual = out->residual ? out->residual + (row + r) * out->residual_stride + col : NULL;
            if (residual) {
                v = v_add(v, v_load_upto(residual, left));
                bad = v_note(v, bad);
            }
            v_store_upto(y, v, left);
        }
    return bad;
}

/* Inputs k0 .. k1-1 (k0 a multiple of 8) of one panel of integer weights as floats, out[k1-k0][16]:
 * symmetric (q - zero) * scale, asymmetric fma(q, scale, offset), each rounded once. */
V_FN void dequantize(const bool four, const bool offsets, const fvlm_weight *w, size_t panel, size_t k0, size_t k1,
                     float *out)
{
    const fvlm_matrix *m = &w->m;
    const v16i zero = vi_set1(four ? -8 : -128);
    const uint8_t *values = w->values + panel * m->panel_bytes;
    for (size_t k = k0, end; k < k1; k = end) {
        const size_t g = k / m->group, at = (panel * m->n_groups + g) * 16;
        const v16 scale = v_load_bf16(w->scales + at), offset = offsets ? v_load_bf16(w->offsets + at) : v_zero();
        end = (g + 1) * m->group < k1 ? (g + 1) * m->group : k1;
        for (size_t t = k; t < end; t += 4) {
            v16i tile = vi_load(four ? values + t / 8 * 64 : values + t / 4 * 64);
            if (four && t % 8) tile = vi_field(tile, 4, -1);
            v16 x[4];
            V_UNROLL
            for (int j = 0; j < 4; j++) {
                const v16i q = vi_field(tile, 8 * j, four ? 15 : 255);
                x[j] = offsets ? v_fma(v_from_int(q), scale, offset) : v_mul(v_from_int(vi_add(q, zero)), scale);
            }
            float *to = out + (t - k0) * 16;
            V_UNROLL
            for (size_t j = 0; j < 4; j++)
                if (t + j < end) v_store(to + 16 * j, x[j]);
        }
    }
}

static void dequantize_any(const fvlm_weight *w, size_t panel, size_t k0, size_t k1, float *out)
{
    if (w->m.type.bits == 4) {
        if (w->offsets)
            dequantize(true, true, w, panel, k0, k1, out);
        else
            dequantize(true, false, w, panel, k0, k1, out);
    } else {
        if (w->offsets)
            dequantize(false, true, w, panel, k0, k1, out);
        else
            dequantize(false, false, w, panel, k0, k1, out);
    }
}

/* Points t->b at a block of panels panel .. panel+panels-1: floats as the file stores them, integers dequantized
 * into decoded. */
static void point_at_block(fvlm_product *t, const fvlm_weight *w, size_t panel, size_t panels, size_t k0,
                           float *decoded)
{
    const fvlm_matrix *m = &w->m;
    t->b_stride = 16;
    if (m->type.kind == FVLM_INT) {
        for (size_t p = 0; p < panels; p++) dequantize_any(w, panel + p, k0, k0 + t->k, decoded + p * t->k * 16);
        t->b = decoded;
        t->panel_stride = t->k * 16;
    } else {
        t->b = w->values + (panel * m->k_padded + k0) * 16 * fvlm_type_float_bytes(m->type);
        t->panel_stride = m->k_padded * 16;
    }
}

static bool linear_f32(const fvlm_weight *w, const fvlm_rows *a, size_t n_rows, size_t panel, size_t panel_end,
                       const fvlm_epilogue *out, float *scratch)
{
    float *sums = scratch, *decoded = scratch + FVLM_ROW_BLOCK * SUMS_STRIDE;
    const size_t k = w->m.k;
    v16 bad = v_zero();
    void (*const tile)(size_t, size_t, const fvlm_product *) = w->m.type.kind == FVLM_BF16  ? tile_of_bf16
                                                               : w->m.type.kind == FVLM_F16 ? tile_of_f16
                                                                                            : tile_of_f32;
    for (size_t p = panel; p < panel_end; p += TILE_F32_PANELS) {
        const size_t panels = panel_end - p < TILE_F32_PANELS ? panel_end - p : TILE_F32_PANELS;
        for (size_t k0 = 0; k0 < k; k0 += K_BLOCK) {
            fvlm_product t = {.a_stride = a->x_stride, .c_stride = SUMS_STRIDE, .resume = k0 > 0};
            t.k = k - k0 < K_BLOCK ? k - k0 : K_BLOCK;
            point_at_block(&t, w, p, panels, k0, decoded);
            for (size_t r = 0; r < n_rows; r += TILE_F32_ROWS) {
                const size_t rows = n_rows - r < TILE_F32_ROWS ? n_rows - r : TILE_F32_ROWS;
                t.a = a->x + r * a->x_stride + k0;
                t.c = sums + r * SUMS_STRIDE;
                tile(rows, panels, &t);
                if (k0 + t.k == k) bad = store_tile(out, t.c, r, rows, p, panels, w->m.n, bad);
            }
        }
    }
    return v_none(bad);
}

#endif
