/* SPDX-License-Identifier: Apache-2.0 */
/* depthwise_tmpl.h - depthwise convolutions, channels last.
 *   needs   vec.h: TILE_DW, DW_HOLDS_TAPS; vmath_tmpl.h
 *   gives   depthwise (kernels.h)
 *
 * The definition, with pad = kernel / 2 and multiplier = out_c / in_c:
 *   y[oy][ox][o] = act(bias[o] + sum over ky, kx of
 *                      taps[ky * kernel + kx][o] * x[oy * stride + ky - pad][ox * stride + kx - pad][o / multiplier])
 * The sum is one chain of fma from 0, by ky, then kx. Rows of taps outside the image are left out; columns outside
 * count as zeros. Everything below computes this chain, whatever the order in which outputs take turns.
 *
 * Step 1: vectors of channels. 16 neighbouring channels of a pixel are one load, and so are their 16 taps: one output
 * of 16 channels is a fma per tap, without shuffles. But each fma needs two loads, a pixel and a tap.
 *
 * Step 2: tiles of outputs. Up to TILE_DW neighbouring outputs of a row keep their sums in registers and share each tap
 * (dw_taps): X + 1 loads for X fmas. dw_segment cuts a row into tiles of nearly equal width, so that no sliver is left;
 * dw_all_channels takes all channels of a tile before the next tile, since they are adjacent in memory.
 *
 * Step 3: taps in registers. With 32 registers (DW_HOLDS_TAPS) and stride 1, a row of K taps stays in registers beside
 * the sums (dw_held_taps), and each pixel is loaded once and meets every tap that reaches it. For K = 3, X = 4 and
 * taps a b c, a column per pixel, from left to right:
 *   pixel      0  1  2  3  4  5
 *   output 0   a  b  c
 *   output 1      a  b  c             X + K - 1 loads for X * K fmas; each output
 *   output 2         a  b  c          still meets a, b, c in this order
 *   output 3            a  b  c
 * K is 3 or 7, a constant after inlining; other kernels and stride 2 stay with step 2.
 *
 * Step 4: borders. Rows: ky0 .. ky1-1 are the rows of taps inside the image. Columns: a tile that reaches past the left
 * or right edge reads a small copy with zeros there (dw_copy), so the tiles themselves have no branches:
 *   copy, kernel 3, at the left edge    0 p0 p1 p2 ...      one line per row of taps, 16 channels per pixel
 * The copy also serves whatever is not 16 adjacent channels: the last channels of a row, and a multiplier. For
 * multiplier 2, outputs o and o + 1 read channel o / 2: v_pairs loads 8 channels, each into two lanes. */
#ifndef FVLM_REFERENCE_OPS_KERNELS_DEPTHWISE_TMPL_H
#define FVLM_REFERENCE_OPS_KERNELS_DEPTHWISE_TMPL_H

#include "reference/ops/kernels/kernels.h"
#include "reference/ops/kernels/vmath_tmpl.h"

#define DW_COPY_PIXELS 231 /* 7 rows of 33 pixels: 14 outputs of a 7x7 with stride 2 */
_Static_assert(FVLM_MAX_DW_KERNEL *FVLM_MAX_DW_KERNEL <= DW_COPY_PIXELS, "one output of the largest kernel fits");

/* One output row, 16 channels of it. */
typedef struct {
    const fvlm_depthwise *d;
    const float *x;
    size_t width;    /* of the input */
    size_t ky0, ky1; /* the rows of taps that lie inside the image */
    size_t iy;       /* the input row under tap row ky0 */
    size_t o, n;     /* channels o .. o+n-1 */
    fvlm_activation act;
} dw_row;

/* Where a tile reads: the pixel under its first tap, and the distances to the next pixel and the next row. */
typedef struct {
    const float *at;
    size_t pixel, row;
} dw_input;

/* Step 2: acc[i] = fma(pixel i * stride + kx, tap kx, acc[i]) for every kx of one row of taps. */
V_FN void dw_taps(const size_t X, v16 acc[TILE_DW], const dw_row *r, const float *at, size_t pixel, const float *taps)
{
    const size_t step = r->d->stride * pixel, kernel = r->d->kernel, n = r->n;
    for (size_t kx = 0; kx < kernel; kx++, taps += r->d->out_c, at += pixel) {
        const v16 tap = v_load_upto(taps, n);
        V_UNROLL
        for (size_t i = 0; i < X; i++) acc[i] = v_fma(v_load(at + i * step), tap, acc[i]);
    }
}

/* Step 3: the same for stride 1 and constant K, with the row's taps in registers. */
V_FN void dw_held_taps(const size_t X, const size_t K, v16 acc[TILE_DW], const dw_row *r, const float *at, size_t pixel,
                       const float *taps)
{
    v16 tap[7];
    V_UNROLL
    for (size_t kx = 0; kx < K; kx++) tap[kx] = v_load_upto(taps + kx * r->d->out_c, r->n);
    V_UNROLL
    for (size_t j = 0; j < X + K - 1; j++, at += pixel) {
        const v16 x = v_load(at);
        V_UNROLL
        for (size_t kx = 0; kx < K; kx++)
            if (j >= kx && j - kx < X) acc[j - kx] = v_fma(x, tap[kx], acc[j - kx]);
    }
}

/* K: the kernel's side where step 3 applies, else 0. */
V_FN void dw_tile(const size_t X, const size_t K, const dw_row *r, dw_input in, float *y, size_t y_stride)
{
    const size_t kernel = r->d->kernel, n = r->n;
    v16 acc[TILE_DW];
    V_UNROLL
    for (size_t i = 0; i < X; i++) acc[i] = v_zero();
    for (size_t ky = r->ky0; ky < r->ky1; ky++, in.at += in.row) {
        const float *taps = r->d->taps + ky * kernel * r->d->out_c + r->o;
        if (K)
            dw_held_taps(X, K, acc, r, in.at, in.pixel, taps);
        else
            dw_taps(X, acc, r, in.at, in.pixel, taps);
    }
    const v16 bias = v_load_upto(r->d->bias + r->o, n);
    V_UNROLL
    for (size_t i = 0; i < X; i++) {
        const v16 v = v_activate(v_add(acc[i], bias), r->act);
        v_store_upto(y + i * y_stride, v, n);
    }
}

V_FN void dw_any_tile(const size_t K, size_t outputs, const dw_row *r, dw_input in, float *y, size_t y_stride)
{
    switch (outputs) {
#define TILE_CASE(X)                                                                                                   \
    case X:                                                                                                            \
        dw_tile(X, K, r, in, y, y_stride);                                                                             \
        break;
        TILE_CASE(1)
        TILE_CASE(2)
#if TILE_DW >= 5
        TILE_CASE(3)
        TILE_CASE(4)
        TILE_CASE(5)
#endif
#if TILE_DW >= 14
        TILE_CASE(6)
        TILE_CASE(7)
        TILE_CASE(8)
        TILE_CASE(9)
        TILE_CASE(10)
        TILE_CASE(11)
        TILE_CASE(12)
        TILE_CASE(13)
        TILE_CASE(14)
#endif
#undef TILE_CASE
    }
}

static void dw_tile_any(size_t outputs, const dw_row *r, dw_input in, float *y, size_t y_stride)
{
    dw_any_tile(0, outputs, r, in, y, y_stride);
}

static void dw_tile_3x3(size_t outputs, const dw_row *r, dw_input in, float *y, size_t y_stride)
{
    dw_any_tile(3, outputs, r, in, y, y_stride);
}

static void dw_tile_7x7(size_t outputs, const dw_row *r, dw_input in, float *y, size_t y_stride)
{
    dw_any_tile(7, outputs, r, in, y, y_stride);
}

typedef void (*dw_tile_fn)(size_t outputs, const dw_row *r, dw_input in, float *y, size_t y_stride);

static dw_tile_fn dw_tile_for(const fvlm_depthwise *d)
{
    if (DW_HOLDS_TAPS && d->stride == 1 && d->kernel == 3) return dw_tile_3x3;
    if (DW_HOLDS_TAPS && d->stride == 1 && d->kernel == 7) return dw_tile_7x7;
    return dw_tile_any;
}

/* What 16 output channels read of the input pixel at p. */
V_FN v16 dw_spread(const dw_row *r, const float *p)
{
    const size_t multiplier = r->d->out_c / r->d->in_c;
    if (multiplier == 1) return v_load_upto(p + r->o, r->n);
    if (multiplier == 2 && r->n == 16) return v_pairs(p + r->o / 2);
    float t[16] = {0};
    for (size_t l = 0; l < r->n; l++) t[l] = p[(r->o + l) / multiplier];
    return v_load(t);
}

/* Copies what outputs ox .. ox+outputs-1 read, with zeros outside the image. */
static dw_input dw_copy(const dw_row *r, size_t ox, size_t outputs, float *copy)
{
    const size_t stride = r->d->stride, pad = r->d->kernel / 2, in_c = r->d->in_c;
    const size_t span = (outputs - 1) * stride + r->d->kernel, x0 = ox * stride; /* x0 counts from -pad */
    float *to = copy;
    for (size_t ky = r->ky0; ky < r->ky1; ky++) {
        const float *row = r->x + (r->iy + ky - r->ky0) * r->width * in_c;
        for (size_t i = 0; i < span; i++, to += 16) {
            const size_t x = x0 + i;
            v_store(to, x < pad || x - pad >= r->width ? v_zero() : dw_spread(r, row + (x - pad) * in_c));
        }
    }
    return (dw_input){copy, 16, span * 16};
}

/* Outputs x0 .. x0+outputs-1 of the row, 16 channels at a time. */
static void dw_all_channels(dw_row *r, size_t x0, size_t outputs, float *y, size_t y_stride)
{
    _Alignas(64) float copy[DW_COPY_PIXELS * 16];
    const size_t stride = r->d->stride, kernel = r->d->kernel, pad = kernel / 2, in_c = r->d->in_c, out_c = r->d->out_c;
    const size_t first = x0 * stride, last = (x0 + outputs - 1) * stride;
    const bool inside = first >= pad && last + kernel - pad <= r->width;
    const dw_tile_fn tile = dw_tile_for(r->d);
    for (r->o = 0; r->o < out_c; r->o += 16) {
        r->n = out_c - r->o < 16 ? out_c - r->o : 16;
        if (inside && out_c == in_c && r->n == 16) {
            const dw_input in = {r->x + (r->iy * r->width + first - pad) * in_c + r->o, in_c, r->width * in_c};
            tile(outputs, r, in, y + r->o, y_stride);
        } else {
            tile(outputs, r, dw_copy(r, x0, outputs, copy), y + r->o, y_stride);
        }
    }
}

/* Outputs x0 .. x1-1 of the row, in tiles of nearly equal size. */
static void dw_segment(dw_row *r, size_t x0, size_t x1, float *y, size_t y_stride)
{
    const size_t stride = r->d->stride, kernel = r->d->kernel;
    size_t most = TILE_DW;
    while (((most - 1) * stride + kernel) * kernel > DW_COPY_PIXELS) most--;
    for (size_t tiles = (x1 - x0 + most - 1) / most; tiles > 0; tiles--) {
        const size_t outputs = (x1 - x0) / tiles;
        dw_all_channels(r, x0, outputs, y, y_stride);
        y += outputs * y_stride;
        x0 += outputs;
    }
}

static void depthwise(const fvlm_depthwise_input *in, size_t first, size_t end, float *y, size_t y_stride)
{
    const fvlm_depthwise *d = in->d;
    const size_t out_w = (in->width + d->stride - 1) / d->stride, pad = d->kernel / 2;
    for (size_t p = first; p < end;) {
        const size_t oy = p / out_w, x0 = p % out_w, x1 = out_w - x0 < end - p ? out_w : x0 + (end - p);
        const size_t middle = oy * d->stride; /* input row under the middle tap */
        dw_row r = {.d = d, .x = in->x, .width = in->width, .ky1 = d->kernel, .act = in->act};
        if (middle < pad) r.ky0 = pad - middle;
        if (in->height - middle + pad < d->kernel) r.ky1 = in->height - middle + pad;
        r.iy = middle + r.ky0 - pad;
        dw_segment(&r, x0, x1, y + (p - first) * y_stride, y_stride);
        p += x1 - x0;
    }
}

#endif
