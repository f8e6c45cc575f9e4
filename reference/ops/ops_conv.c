/* SPDX-License-Identifier: Apache-2.0 */
/* ops_conv.c - the tower's convolutions: stem, depthwise, and the whole ConvFFN. */
#include "reference/ops/exec.h"

#include <string.h>

/* ---- depthwise ---- */

typedef struct {
    fvlm_exec *e;
    fvlm_depthwise_input in;
    float *y;
    size_t pixels, each; /* output pixels, and those per task */
} depthwise_job;

static void depthwise_task(void *ctx, size_t i, unsigned thread)
{
    (void)thread;
    const depthwise_job *j = ctx;
    const size_t first = i * j->each, end = fvlm_min_size(first + j->each, j->pixels), c = j->in.d->out_c;
    j->e->k->depthwise(&j->in, first, end, j->y + first * c, c);
}

void fvlm_op_depthwise(fvlm_exec *e, const float *x, size_t height, size_t width, const fvlm_depthwise *d,
                       fvlm_activation act, float *y)
{
    const size_t out_h = (height + d->stride - 1) / d->stride, out_w = (width + d->stride - 1) / d->stride;
    depthwise_job j = {
        .e = e, .in = {.d = d, .x = x, .height = height, .width = width, .act = act}, .y = y, .pixels = out_h * out_w};
    j.each = fvlm_min_size(out_w * ((256 + out_w - 1) / (out_w ? out_w : 1)), 1024);
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

/* The 27 inputs of output pixel p, in the order (y, x, channel); 0 outside the image. */
static void gather_stem(const stem_job *j, size_t p, float *row)
{
    const size_t oy = p / j->out_w, ox = p % j->out_w;
    for (size_t ky = 0; ky < 3; ky++)
        for (size_t kx = 0; kx < 3; kx++) {
            const size_t iy = 2 * oy + ky, ix = 2 * ox + kx; /* of the padded image: 1 more than in the image */
            float *to = row + (ky * 3 + kx) * 3;
            if (iy == 0 || ix == 0 || iy > j->height || ix > j->width)
                memset(to, 0, 3 * sizeof *to);
            else
                memcpy(to, j->image + ((iy - 1) * j->width + ix - 1) * 3, 3 * sizeof *to);
        }
}

typedef struct {
    fvlm_rows rows;
    float *x, *sums;
} stem_scratch;

static stem_scratch take_stem(fvlm_arena *a, const stem_job *j)
{
    stem_scratch s = {0};
    if (j->int8) s.rows = fvlm_arena_take_rows(a, FVLM_ROW_BLOCK, j->w);
    s.rows.x_stride = fvlm_exec_row_stride(STEM_K);
    s.x = fvlm_arena_take(a, FVLM_ROW_BLOCK * s.rows.x_stride, sizeof *s.x);
    s.rows.x = s.x;
    s.sums = fvlm_arena_take(a, FVLM_LINEAR_SCRATCH, sizeof *s.sums);
    return s;
}

static void stem_task(void *ctx, size_t i, unsigned thread)
{
    const stem_job *j = ctx;
    fvlm_arena arena = {.base = j->e->thread[thread].bytes};
    const stem_scratch s = take_stem(&arena, j);
    const size_t first = i * FVLM_ROW_BLOCK, n = fvlm_min_size(FVLM_ROW_BLOCK, j->pixels - first), width = j->w->m.n;
    for (size_t p = 0; p < n; p++) gather_stem(j, first + p, s.x + p * s.rows.x_stride);
    if (j->int8) j->e->k->quantize(&s.rows, n, j->w);
    const fvlm_epilogue out = {.bias = j->bias, .y = j->y + first * width, .y_stride = width, .act = FVLM_GELU};
    fvlm_exec_note(j->e, j->e->k->linear(j->w, &s.rows, n, 0, j->w->m.n_panels, &out, s.sums));
}

void fvlm_op_stem(fvlm_exec *e, const float *image, size_t height, size_t width, const fvlm_weight *w,
                  const float *bias, float *y)
{
    const size_t out_w = (width + 1) / 2;
    stem_job j = {.e = e,
                  .image = image,
                  .bias = bias,
                  .w = w,
                  .y = y,
                  .height = height,
                  .width = width,
                  .out_w = out_w,
                  .pixels = (height + 1) / 2 * out_w,
                  .int8 = fvlm_exec_is_int8(e, w)};
    fvlm_arena measure = {0};
    (void)take_stem(&measure, &j);
    if (!fvlm_exec_reserve(e, 0, measure.used)) return;
    fvlm_pool_run(e->pool, (j.pixels + FVLM_ROW_BLOCK - 1) / FVLM_ROW_BLOCK, stem_task, &j);
}

/* ---- ConvFFN ---- */

#define HIDDEN_BYTES (448 * 1024) /* of a tile's hidden layer: leaves half of a 1 MiB L2 to the weights */

typedef struct {
    fvlm_exec *e;
    const float *x;
    const fvlm_conv_ffn *f;
    float *y;
    size_t height, width, pixels, tile;
    bool fc1_int8, fc2_int8;
} ffn_job;

typedef struct {
    float *mixed, *hidden, *sums; /* [tile][c], [tile][hidden], both with padded rows; for linear */
    fvlm_rows in1, in2;           /* mixed and hidden as inputs of fc1 and fc2 */
} ffn_scratch;

static ffn_scratch take_ffn(fvlm_arena *a, const ffn_job *j)
{
    ffn_scratch s = {0};
    if (j->fc1_int8) s.in1 = fvlm_arena_take_rows(a, j->tile, j->f->fc1);
    if (j->fc2_int8) s.in2 = fvlm_arena_take_rows(a, j->tile, j->f->fc2);
    s.in1.x_stride = fvlm_exec_row_stride(j->f->fc1->m.k);
    s.in2.x_stride = fvlm_exec_row_stride(j->f->fc2->m.k);
    s.mixed = fvlm_arena_take(a, j->tile * s.in1.x_stride, sizeof(float));
    s.hidden = fvlm_arena_take(a, j->tile * s.in2.x_stride, sizeof(float));
    s.in1.x = s.mixed;
    s.in2.x = s.hidden;
    s.sums = fvlm_arena_take(a, FVLM_LINEAR_SCRATCH, sizeof(float));
    return s;
}

static void ffn_task(void *ctx, size_t i, unsigned thread)
{
    const ffn_job *j = ctx;
    const fvlm_kernels *k = j->e->k;
    const fvlm_conv_ffn *f = j->f;
    fvlm_arena arena = {.base = j->e->thread[thread].bytes};
    const ffn_scratch s = take_ffn(&arena, j);
    const size_t c = f->dw->out_c, first = i * j->tile, n = fvlm_min_size(j->tile, j->pixels - first);
    const fvlm_depthwise_input in = {.d = f->dw, .x = j->x, .height = j->height, .width = j->width};
    const fvlm_epilogue to_hidden = {.bias = f->b1, .y = s.hidden, .y_stride = s.in2.x_stride, .act = FVLM_GELU};
    const fvlm_epilogue to_y = {
        .bias = f->b2, .residual = j->x + first * c, .residual_stride = c, .y = j->y + first * c, .y_stride = c};
    k->depthwise(&in, first, first + n, s.mixed, s.in1.x_stride);
    if (j->fc1_int8) k->quantize(&s.in1, n, f->fc1);
    fvlm_exec_note(j->e, k->linear(f->fc1, &s.in1, n, 0, f->fc1->m.n_panels, &to_hidden, s.sums));
    if (j->fc2_int8) k->quantize(&s.in2, n, f->fc2);
    fvlm_exec_note(j->e, k->linear(f->fc2, &s.in2, n, 0, f->fc2->m.n_panels, &to_y, s.sums));
}

/* Pixels per tile: the largest power of two from 16 to FVLM_ROW_BLOCK (which divide rows of pixels) whose hidden
 * layer leaves enough of L2 to the weights. */
static size_t ffn_tile(size_t hidden)
{
    size_t tile = FVLM_ROW_BLOCK;
    while (tile > 16 && tile * hidden * sizeof(float) > HIDDEN_BYTES) tile /= 2;
    return tile;
}

void fvlm_op_conv_ffn(fvlm_exec *e, const float *x, size_t height, size_t width, const fvlm_conv_ffn *f, float *y)
{
    ffn_job j = {.e = e,
                 .x = x,
                 .f = f,
                 .y = y,
                 .height = height,
                 .width = width,
                 .pixels = height * width,
                 .tile = ffn_tile(f->fc1->m.n),
                 .fc1_int8 = fvlm_exec_is_int8(e, f->fc1),
                 .fc2_int8 = fvlm_exec_is_int8(e, f->fc2)};
    fvlm_arena measure = {0};
    (void)take_ffn(&measure, &j);
    if (!fvlm_exec_reserve(e, 0, measure.used)) return;
    fvlm_pool_run(e->pool, (j.pixels + j.tile - 1) / j.tile, ffn_task, &j);
}
