/* SPDX-License-Identifier: Apache-2.0 */
/* ops_conv.c - the tower's convolutions: stem, depthwise, and the whole ConvFFN. */
#include "reference/ops/exec.h"

#include <string.h>

static size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* ---- depthwise ---- */

typedef struct {
    fvlm_exec *e;
    const fvlm_depthwise *d;
    const float *x;
    float *y;
    size_t height, width, pixels, each; /* output pixels in all, and to a task */
    fvlm_activation act;
} depthwise_job;

static void depthwise_task(void *ctx, size_t i, unsigned thread)
{
    (void)thread;
    const depthwise_job *j = ctx;
    const size_t first = i * j->each, end = min_size(first + j->each, j->pixels), c = j->d->out_c;
    j->e->k->depthwise(j->d, j->x, j->height, j->width, j->act, first, end, j->y + first * c, c);
}

void fvlm_op_depthwise(fvlm_exec *e, const float *x, size_t height, size_t width, const fvlm_depthwise *d,
                       fvlm_activation act, float *y)
{
    const size_t out_h = (height + d->stride - 1) / d->stride, out_w = (width + d->stride - 1) / d->stride;
    depthwise_job j = {e, d, x, y, height, width, out_h * out_w, 0, act};
    j.each = min_size(out_w * ((256 + out_w - 1) / (out_w ? out_w : 1)), 1024);
    if (j.each == 0) return;
    fvlm_pool_run(e->pool, (j.pixels + j.each - 1) / j.each, depthwise_task, &j);
}

/* ---- stem ---- */

typedef struct {
    fvlm_exec *e;
    const float *image, *bias;
    const fvlm_weight *w;
    float *y;
    size_t height, width, out_w, pixels;
    bool int8;
} stem_job;

#define STEM_K 27

/* The 27 inputs of output pixel p in the order (y, x, channel); 0 outside the picture. */
static void gather_stem(const stem_job *j, size_t p, float *row)
{
    const size_t oy = p / j->out_w, ox = p % j->out_w;
    for (size_t ky = 0; ky < 3; ky++)
        for (size_t kx = 0; kx < 3; kx++) {
            const size_t iy = 2 * oy + ky, ix = 2 * ox + kx; /* both one too large: the padding */
            float *to = row + (ky * 3 + kx) * 3;
            if (iy == 0 || ix == 0 || iy > j->height || ix > j->width)
                memset(to, 0, 3 * sizeof *to);
            else
                memcpy(to, j->image + ((iy - 1) * j->width + ix - 1) * 3, 3 * sizeof *to);
        }
}

typedef struct {
    fvlm_rows rows;
    float *x, *scratch;
} stem_room;

static stem_room carve_stem(fvlm_carve *c, const stem_job *j)
{
    stem_room r = {0};
    if (j->int8) r.rows = fvlm_carve_rows(c, FVLM_ROW_BLOCK, j->w);
    r.rows.x_stride = fvlm_exec_row_stride(STEM_K);
    r.x = fvlm_carve_take(c, FVLM_ROW_BLOCK * r.rows.x_stride, sizeof *r.x);
    r.rows.x = r.x;
    r.scratch = fvlm_carve_take(c, FVLM_LINEAR_SCRATCH, sizeof *r.scratch);
    return r;
}

static void stem_task(void *ctx, size_t i, unsigned thread)
{
    const stem_job *j = ctx;
    fvlm_carve c = {j->e->thread[thread].bytes, 0};
    const stem_room r = carve_stem(&c, j);
    const size_t first = i * FVLM_ROW_BLOCK, n = min_size(FVLM_ROW_BLOCK, j->pixels - first), width = j->w->m.n;
    for (size_t p = 0; p < n; p++) gather_stem(j, first + p, r.x + p * r.rows.x_stride);
    if (j->int8) j->e->k->quantize(&r.rows, n, j->w);
    const fvlm_finish f = {j->bias, NULL, j->y + first * width, 0, width, FVLM_GELU};
    j->e->k->linear(j->w, &r.rows, n, 0, j->w->m.n_panels, &f, r.scratch);
}

void fvlm_op_stem(fvlm_exec *e, const float *image, size_t height, size_t width, const fvlm_weight *w,
                  const float *bias, float *y)
{
    const size_t out_h = (height + 1) / 2, out_w = (width + 1) / 2;
    stem_job j = {e, image, bias, w, y, height, width, out_w, out_h * out_w, fvlm_exec_is_int8(e, w)};
    fvlm_carve measure = {0};
    (void)carve_stem(&measure, &j);
    if (!fvlm_exec_reserve(e, 0, measure.used)) return;
    fvlm_pool_run(e->pool, (j.pixels + FVLM_ROW_BLOCK - 1) / FVLM_ROW_BLOCK, stem_task, &j);
}

/* ---- ConvFFN ---- */

#define HIDDEN_BYTES (448 * 1024) /* of a tile's hidden layer: leaves half of a 1 MiB L2 to the weights */

typedef struct {
    fvlm_exec *e;
    const float *x, *b1, *b2;
    const fvlm_depthwise *dw;
    const fvlm_weight *fc1, *fc2;
    float *y;
    size_t height, width, pixels, tile;
    bool int1, int2;
} ffn_job;

typedef struct {
    float *mixed, *hidden, *scratch; /* [tile][c], [tile][hidden] with padded rows */
    fvlm_rows in1, in2;
} ffn_room;

static ffn_room carve_ffn(fvlm_carve *c, const ffn_job *j)
{
    ffn_room r = {0};
    if (j->int1) r.in1 = fvlm_carve_rows(c, j->tile, j->fc1);
    if (j->int2) r.in2 = fvlm_carve_rows(c, j->tile, j->fc2);
    r.in1.x_stride = fvlm_exec_row_stride(j->fc1->m.k);
    r.in2.x_stride = fvlm_exec_row_stride(j->fc2->m.k);
    r.mixed = fvlm_carve_take(c, j->tile * r.in1.x_stride, sizeof(float));
    r.hidden = fvlm_carve_take(c, j->tile * r.in2.x_stride, sizeof(float));
    r.in1.x = r.mixed;
    r.in2.x = r.hidden;
    r.scratch = fvlm_carve_take(c, FVLM_LINEAR_SCRATCH, sizeof(float));
    return r;
}

static void ffn_task(void *ctx, size_t i, unsigned thread)
{
    const ffn_job *j = ctx;
    const fvlm_kernels *k = j->e->k;
    fvlm_carve carve = {j->e->thread[thread].bytes, 0};
    const ffn_room r = carve_ffn(&carve, j);
    const size_t c = j->dw->out_c, first = i * j->tile, n = min_size(j->tile, j->pixels - first);
    k->depthwise(j->dw, j->x, j->height, j->width, FVLM_NONE, first, first + n, r.mixed, r.in1.x_stride);
    if (j->int1) k->quantize(&r.in1, n, j->fc1);
    const fvlm_finish f1 = {j->b1, NULL, r.hidden, 0, r.in2.x_stride, FVLM_GELU};
    k->linear(j->fc1, &r.in1, n, 0, j->fc1->m.n_panels, &f1, r.scratch);
    if (j->int2) k->quantize(&r.in2, n, j->fc2);
    const fvlm_finish f2 = {j->b2, j->x + first * c, j->y + first * c, c, c, FVLM_NONE};
    k->linear(j->fc2, &r.in2, n, 0, j->fc2->m.n_panels, &f2, r.scratch);
}

/* Pixels to a tile: a power of two from 16 to FVLM_ROW_BLOCK (rows of pixels divide by it),
 * the most whose hidden layer leaves room for weights in L2. */
static size_t ffn_tile(size_t hidden)
{
    size_t tile = FVLM_ROW_BLOCK;
    while (tile > 16 && tile * hidden * sizeof(float) > HIDDEN_BYTES) tile /= 2;
    return tile;
}

void fvlm_op_conv_ffn(fvlm_exec *e, const float *x, size_t height, size_t width, const fvlm_depthwise *dw,
                      const fvlm_weight *fc1, const float *b1, const fvlm_weight *fc2, const float *b2, float *y)
{
    ffn_job j = {e,
                 x,
                 b1,
                 b2,
                 dw,
                 fc1,
                 fc2,
                 y,
                 height,
                 width,
                 height * width,
                 ffn_tile(fc1->m.n),
                 fvlm_exec_is_int8(e, fc1),
                 fvlm_exec_is_int8(e, fc2)};
    fvlm_carve measure = {0};
    (void)carve_ffn(&measure, &j);
    if (!fvlm_exec_reserve(e, 0, measure.used)) return;
    fvlm_pool_run(e->pool, (j.pixels + j.tile - 1) / j.tile, ffn_task, &j);
}
