/* SPDX-License-Identifier: Apache-2.0 */
/* tiles.c - see tiles.h, and image.h for fvlm_pixels_load. Overview and canvas are resized from the same rows while the file is decoded. */
#include "reference/image/tiles.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "reference/image/formats.h"
#include "reference/image/input.h"
#include "reference/image/resize.h"

typedef struct {
    fvlm_tiles *out;
    const fvlm_pixels_options *o;
    const uint32_t (*sizes)[2];
    size_t n_sizes;
    fvlm_resizer *overview, *canvas;
} job;

/* The expressions are Python's: true division in f64, int() towards zero. */
size_t fvlm_tiles_choose(const uint32_t (*sizes)[2], size_t n_sizes, uint32_t width, uint32_t height)
{
    size_t best = 0;
    int64_t most = 0, least_wasted = INT64_MAX;
    for (size_t i = 0; i < n_sizes; i++) {
        const double across = (double)sizes[i][0] / width, down = (double)sizes[i][1] / height;
        const double scale = down < across ? down : across;
        const int64_t scaled = (int64_t)(width * scale) * (int64_t)(height * scale);
        const int64_t own = (int64_t)width * height, effective = scaled < own ? scaled : own;
        const int64_t wasted = (int64_t)sizes[i][0] * sizes[i][1] - effective;
        if (effective < most || (effective == most && wasted >= least_wasted)) continue;
        most = effective;
        least_wasted = wasted;
        best = i;
    }
    return best;
}

/* LLaVA's resize_and_pad_image. */
static void place(fvlm_tiles *t, const uint32_t size[2])
{
    const double across = (double)size[0] / t->width, down = (double)size[1] / t->height;
    t->inner_width = size[0];
    t->inner_height = size[1];
    if (across < down)
        t->inner_height = (uint32_t)fmin(ceil(t->height * across), size[1]);
    else
        t->inner_width = (uint32_t)fmin(ceil(t->width * down), size[0]);
    t->left = (size[0] - t->inner_width) / 2;
    t->top = (size[1] - t->inner_height) / 2;
    t->columns = size[0] / t->overview.side;
    t->rows = size[1] / t->overview.side;
}

static fvlm_status begin(void *ctx, uint32_t width, uint32_t height, fvlm_err *err)
{
    job *j = ctx;
    fvlm_tiles *t = j->out;
    /* As predict.py's expand2square: the image in the middle of a black square, rounded up and left. */
    const uint32_t square = width > height ? width : height;
    fvlm_resize_plan p = {.width = width,
                          .height = height,
                          .left = (square - width) / 2,
                          .top = (square - height) / 2,
                          .canvas_width = square,
                          .canvas_height = square,
                          .out_width = j->o->side,
                          .out_height = j->o->side};
    t->width = width;
    t->height = height;
    if (!j->n_sizes) return fvlm_resizer_create(&j->overview, &p, j->o->cpu, err);
    p.left = p.top = 0;
    p.canvas_width = width;
    p.canvas_height = height;
    fvlm_status st = fvlm_resizer_create(&j->overview, &p, j->o->cpu, err);
    place(t, j->sizes[fvlm_tiles_choose(j->sizes, j->n_sizes, width, height)]);
    p.out_width = t->inner_width;
    p.out_height = t->inner_height;
    return st ? st : fvlm_resizer_create(&j->canvas, &p, j->o->cpu, err);
}

static void row(void *ctx, const uint8_t *rgb)
{
    job *j = ctx;
    fvlm_resizer_push(j->overview, rgb);
    if (j->canvas) fvlm_resizer_push(j->canvas, rgb);
}

/* [height, width, 3], malloc'd; destroys the resizer. */
static fvlm_status take(uint8_t **rgb, fvlm_resizer **r, uint32_t width, uint32_t height, fvlm_err *err)
{
    *rgb = fvlm_alloc((size_t)width * height, 3);
    if (*rgb) fvlm_resizer_get(*r, *rgb);
    fvlm_resizer_destroy(r);
    return *rgb ? FVLM_OK : fvlm_fail_nomem(err);
}

/* Upstream multiplies by 1/255 in f64, then rounds to f32. */
static void scale(const uint8_t *rgb, size_t n, float *values)
{
    float scaled[256];
    for (int v = 0; v < 256; v++) scaled[v] = (float)(v * (1 / 255.0));
    for (size_t i = 0; i < n; i++) values[i] = scaled[rgb[i]];
}

static fvlm_status take_overview(fvlm_pixels *out, fvlm_resizer **r, fvlm_err *err)
{
    const size_t n = (size_t)out->side * out->side * 3;
    uint8_t *rgb;
    fvlm_status st = take(&rgb, r, out->side, out->side, err);
    if (!st && !(out->values = fvlm_alloc(n, sizeof *out->values))) st = fvlm_fail_nomem(err);
    if (!st) scale(rgb, n, out->values);
    free(rgb);
    return st;
}

static fvlm_status decode(job *j, const uint8_t *bytes, size_t n_bytes, fvlm_err *err)
{
    fvlm_tiles *t = j->out;
    fvlm_image_job image = {.picture = j->o->picture, .stop = j->o->stop, .begin = begin, .row = row, .ctx = j};
    fvlm_status st = fvlm_image_decode(bytes, n_bytes, &image, err);
    t->overview.notes = image.notes;
    if (!st) st = take_overview(&t->overview, &j->overview, err);
    if (!st && j->canvas) st = take(&t->rgb, &j->canvas, t->inner_width, t->inner_height, err);
    fvlm_resizer_destroy(&j->overview);
    fvlm_resizer_destroy(&j->canvas);
    return st;
}

fvlm_status fvlm_tiles_load(fvlm_tiles *out, const char *path, const fvlm_pixels_options *o, const uint32_t (*sizes)[2],
                            size_t n_sizes, fvlm_err *err)
{
    char name[512];
    uint8_t *bytes = NULL;
    size_t n_bytes = 0;
    job j = {.out = out, .o = o, .sizes = sizes, .n_sizes = n_sizes};
    *out = (fvlm_tiles){.overview.side = o->side};
    fvlm_status st = fvlm_image_check_size(o->side, o->side, err);
    if (!st) st = fvlm_image_read_input(path, o->stop, &bytes, &n_bytes, err);
    if (!st && (st = decode(&j, bytes, n_bytes, err)) && st != FVLM_INTERRUPTED)
        fvlm_err_prefix(err, "%s", fvlm_image_input_name(path, name));
    free(bytes);
    if (st) fvlm_tiles_free(out);
    return st;
}

fvlm_status fvlm_pixels_load(fvlm_pixels *out, const char *path, const fvlm_pixels_options *o, fvlm_err *err)
{
    fvlm_tiles whole;
    const fvlm_status st = fvlm_tiles_load(&whole, path, o, NULL, 0, err);
    *out = whole.overview;
    return st;
}

void fvlm_tiles_free(fvlm_tiles *t)
{
    fvlm_pixels_free(&t->overview);
    free(t->rgb);
    *t = (fvlm_tiles){0};
}

size_t fvlm_tiles_count(const fvlm_tiles *t)
{
    return 1 + (size_t)t->columns * t->rows;
}

/* The part of [from, from + n) that [at, at + n_inner) covers. */
static void overlap(size_t from, size_t n, size_t at, size_t n_inner, size_t *begin_at, size_t *end)
{
    *begin_at = from > at ? from : at;
    *end = from + n < at + n_inner ? from + n : at + n_inner;
}

void fvlm_tiles_get(const fvlm_tiles *t, size_t i, float *values)
{
    const size_t side = t->overview.side, x0 = i % t->columns * side, y0 = i / t->columns * side;
    size_t left, right, top, bottom;
    overlap(x0, side, t->left, t->inner_width, &left, &right);
    overlap(y0, side, t->top, t->inner_height, &top, &bottom);
    memset(values, 0, side * side * 3 * sizeof *values);
    for (size_t y = top; y < bottom && left < right; y++)
        scale(t->rgb + ((y - t->top) * t->inner_width + left - t->left) * 3, (right - left) * 3,
              values + ((y - y0) * side + left - x0) * 3);
}
