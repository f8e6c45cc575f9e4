/* SPDX-License-Identifier: Apache-2.0 */
/* rgb.c - see rgb.h. */
#include "tests/support/rgb.h"

#include <stdlib.h>
#include <string.h>

#include "reference/image/formats.h"
#include "reference/image/resize.h"

typedef struct {
    test_rgb *image;
    size_t n_rows;
} collector;

static fvlm_status begin(void *ctx, uint32_t width, uint32_t height, fvlm_err *err)
{
    collector *c = ctx;
    *c->image = (test_rgb){width, height, fvlm_alloc(height, (size_t)width * 3)};
    return c->image->rgb ? FVLM_OK : fvlm_fail_nomem(err);
}

static void row(void *ctx, const uint8_t *rgb)
{
    collector *c = ctx;
    const size_t n = (size_t)c->image->width * 3;
    memcpy(c->image->rgb + c->n_rows++ * n, rgb, n);
}

fvlm_status test_rgb_decode(test_rgb *out, const uint8_t *bytes, size_t n_bytes, fvlm_picture picture, fvlm_err *err)
{
    collector c = {.image = out};
    fvlm_image_job job = {.picture = picture, .begin = begin, .row = row, .ctx = &c};
    *out = (test_rgb){0};
    const fvlm_status st = fvlm_image_decode(bytes, n_bytes, &job, err);
    if (st) test_rgb_free(out);
    return st;
}

void test_rgb_square(test_rgb *image)
{
    const size_t w = image->width, h = image->height, side = w > h ? w : h;
    uint8_t *square = calloc(side, side * 3);
    if (!square) abort();
    for (size_t y = 0; y < h; y++)
        memcpy(square + (((side - h) / 2 + y) * side + (side - w) / 2) * 3, image->rgb + y * w * 3, w * 3);
    free(image->rgb);
    *image = (test_rgb){(uint32_t)side, (uint32_t)side, square};
}

fvlm_status test_rgb_resize(test_rgb *image, uint32_t width, uint32_t height, const char *cpu, fvlm_err *err)
{
    const fvlm_resize_plan p = {.width = image->width,
                                .height = image->height,
                                .canvas_width = image->width,
                                .canvas_height = image->height,
                                .out_width = width,
                                .out_height = height};
    fvlm_resizer *r = NULL;
    const fvlm_status st = fvlm_resizer_create(&r, &p, cpu, err);
    if (st) return st;
    uint8_t *rgb = malloc((size_t)width * height * 3);
    if (!rgb) abort();
    for (size_t y = 0; y < image->height; y++) fvlm_resizer_push(r, image->rgb + y * image->width * 3);
    fvlm_resizer_get(r, rgb);
    fvlm_resizer_destroy(&r);
    free(image->rgb);
    *image = (test_rgb){width, height, rgb};
    return FVLM_OK;
}

void test_rgb_free(test_rgb *image)
{
    free(image->rgb);
    *image = (test_rgb){0};
}
