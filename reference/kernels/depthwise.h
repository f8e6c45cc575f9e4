/* depthwise.h - depthwise convolutions, channels last. Each output is one chain of
 * fma over its taps in reading order (y, then x), from 0; taps outside the picture
 * are left out; the bias is added after. TILE_DW neighbouring outputs of 16 channels
 * share each tap's load. */
#ifndef FVLM_DEPTHWISE_H
#define FVLM_DEPTHWISE_H

#include "reference/kernels/kernels.h"
#include "reference/kernels/vmath.h"

typedef struct {
    const fvlm_depthwise *d;
    const float *x;
    size_t height, width; /* of the input */
    fvlm_activation act;
    size_t oy;       /* output row */
    size_t ky0, ky1; /* its taps inside the picture */
} dw_row;

typedef enum { DW_PLAIN, DW_PAIRS, DW_ANY } dw_mode;

/* Channels o .. o+n-1 of the pixel at x. */
V_FN v16 dw_load(const dw_mode mode, const float *x, size_t o, size_t n, size_t multiplier)
{
    if (mode == DW_PLAIN) return v_load(x + o);
    if (mode == DW_PAIRS) return v_pairs(x + o / 2);
    float t[16] = {0};
    for (size_t l = 0; l < n; l++) t[l] = x[(o + l) / multiplier];
    return v_load(t);
}

/* Outputs ox .. ox+X-1 of row r.oy, channels o .. o+n-1; their taps kx0 .. kx1-1 all lie inside. */
V_FN void dw_tile(const size_t X, const dw_mode mode, const dw_row *r, size_t ox, size_t kx0, size_t kx1, size_t o,
                  size_t n, float *y, size_t y_stride)
{
    const fvlm_depthwise *d = r->d;
    const size_t kernel = d->kernel, pad = kernel / 2, out_c = d->out_c, in_c = d->in_c, stride = d->stride;
    const size_t step = stride * in_c, multiplier = out_c / in_c;
    v16 acc[TILE_DW];
    V_UNROLL
    for (size_t i = 0; i < X; i++) acc[i] = v_zero();
    for (size_t ky = r->ky0; ky < r->ky1; ky++) {
        const float *row = r->x + (r->oy * stride + ky - pad) * r->width * in_c;
        for (size_t kx = kx0; kx < kx1; kx++) {
            const float *taps = d->taps + (ky * kernel + kx) * out_c + o;
            const v16 tap = mode == DW_ANY ? v_load_n(taps, n) : v_load(taps);
            const float *at = row + (ox * stride + kx - pad) * in_c;
            V_UNROLL
            for (size_t i = 0; i < X; i++) acc[i] = v_fma(dw_load(mode, at + i * step, o, n, multiplier), tap, acc[i]);
        }
    }
    const v16 bias = mode == DW_ANY ? v_load_n(d->bias + o, n) : v_load(d->bias + o);
    V_UNROLL
    for (size_t i = 0; i < X; i++) {
        const v16 v = v_activate(v_add(acc[i], bias), r->act);
        if (mode == DW_ANY)
            v_store_n(y + i * y_stride + o, v, n);
        else
            v_store(y + i * y_stride + o, v);
    }
}

/* First output at or after which every tap is inside, and the first after those: in x. */
V_FN void dw_inside(const dw_row *r, size_t *from, size_t *to)
{
    const size_t pad = r->d->kernel / 2, stride = r->d->stride;
    *from = (pad + stride - 1) / stride;
    *to = r->width >= r->d->kernel - pad ? (r->width - (r->d->kernel - pad)) / stride + 1 : 0;
}

V_FN void dw_channels(const dw_mode mode, const dw_row *r, size_t x0, size_t x1, size_t o, size_t n, float *y,
                      size_t y_stride)
{
    const size_t kernel = r->d->kernel, pad = kernel / 2, stride = r->d->stride;
    size_t from, to;
    dw_inside(r, &from, &to);
    for (size_t x = x0; x < x1;) {
        float *out = y + (x - x0) * y_stride;
        if (mode != DW_ANY && x >= from && x + TILE_DW <= to && x + TILE_DW <= x1) {
            dw_tile(TILE_DW, mode, r, x, 0, kernel, o, n, out, y_stride);
            x += TILE_DW;
        } else if (mode != DW_ANY && x >= from && x + 4 <= to && x + 4 <= x1 && TILE_DW > 4) {
            dw_tile(TILE_DW > 4 ? 4 : 1, mode, r, x, 0, kernel, o, n, out, y_stride);
            x += 4;
        } else {
            const size_t middle = x * stride; /* the input under the middle tap */
            const size_t kx0 = middle < pad ? pad - middle : 0;
            const size_t kx1 = r->width - middle + pad < kernel ? r->width - middle + pad : kernel;
            dw_tile(1, mode, r, x, kx0, kx1, o, n, out, y_stride);
            x++;
        }
    }
}

static void dw_segment(const dw_row *r, size_t x0, size_t x1, float *y, size_t y_stride)
{
    const size_t out_c = r->d->out_c, multiplier = out_c / r->d->in_c;
    size_t o = 0;
    if (multiplier == 1)
        for (; o + 16 <= out_c; o += 16) dw_channels(DW_PLAIN, r, x0, x1, o, 16, y, y_stride);
    else if (multiplier == 2)
        for (; o + 16 <= out_c; o += 16) dw_channels(DW_PAIRS, r, x0, x1, o, 16, y, y_stride);
    for (; o < out_c; o += 16) dw_channels(DW_ANY, r, x0, x1, o, out_c - o < 16 ? out_c - o : 16, y, y_stride);
}

static void depthwise(const fvlm_depthwise *d, const float *x, size_t height, size_t width, fvlm_activation act,
                      size_t first, size_t end, float *y, size_t y_stride)
{
    const size_t out_w = (width + d->stride - 1) / d->stride, pad = d->kernel / 2;
    for (size_t p = first; p < end;) {
        const size_t oy = p / out_w, x0 = p % out_w, x1 = out_w - x0 < end - p ? out_w : x0 + (end - p);
        const size_t middle = oy * d->stride;
        dw_row r = {d, x, height, width, act, oy, 0, d->kernel};
        if (middle < pad) r.ky0 = pad - middle;
        if (height - middle + pad < d->kernel) r.ky1 = height - middle + pad;
        dw_segment(&r, x0, x1, y + (p - first) * y_stride, y_stride);
        p += x1 - x0;
    }
}

#endif
