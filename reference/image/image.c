/* SPDX-License-Identifier: Apache-2.0 */
/* image.c - reads a picture and has its rows padded, resized and scaled. */
#include "reference/image/image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reference/image/formats.h"
#include "reference/image/input.h"
#include "reference/image/resize.h"

typedef struct {
    uint32_t side;
    const char *cpu;
    fvlm_resizer *resizer;
} shrinker;

/* As predict.py's expand2square: the image in the middle of a black square, rounded up and left. */
static fvlm_status shrink_begin(void *ctx, uint32_t width, uint32_t height, fvlm_err *err)
{
    shrinker *s = ctx;
    const uint32_t square = width > height ? width : height;
    const fvlm_resize_plan p = {.width = width,
                                .height = height,
                                .left = (square - width) / 2,
                                .top = (square - height) / 2,
                                .canvas_width = square,
                                .canvas_height = square,
                                .out_width = s->side,
                                .out_height = s->side};
    return fvlm_resizer_create(&s->resizer, &p, s->cpu, err);
}

static void shrink_row(void *ctx, const uint8_t *rgb)
{
    fvlm_resizer_push(((shrinker *)ctx)->resizer, rgb);
}

static fvlm_status decode_pixels(fvlm_pixels *out, const uint8_t *bytes, size_t n_bytes, const fvlm_pixels_options *o,
                                 fvlm_err *err)
{
    shrinker s = {.side = out->side, .cpu = o->cpu};
    fvlm_image_job job = {.picture = o->picture, .stop = o->stop, .begin = shrink_begin, .row = shrink_row, .ctx = &s};
    const size_t n = (size_t)out->side * out->side * 3;
    uint8_t *rgb = NULL;
    fvlm_status st = fvlm_image_decode(bytes, n_bytes, &job, err);
    out->notes = job.notes;
    if (!st) {
        rgb = fvlm_alloc(n, 1);
        out->values = fvlm_alloc(n, sizeof *out->values);
        if (!rgb || !out->values) st = fvlm_fail_nomem(err);
    }
    if (!st) {
        fvlm_resizer_get(s.resizer, rgb);
        float scaled[256]; /* upstream multiplies by 1/255 in f64, then rounds to f32 */
        for (int v = 0; v < 256; v++) scaled[v] = (float)(v * (1 / 255.0));
        for (size_t i = 0; i < n; i++) out->values[i] = scaled[rgb[i]];
    }
    fvlm_resizer_destroy(&s.resizer);
    free(rgb);
    return st;
}

fvlm_picture fvlm_picture_named(const char *text)
{
    return text && !strcmp(text, "apple") ? FVLM_PICTURE_APPLE : FVLM_PICTURE_SEEN;
}

const char *fvlm_pixels_describe_notes(unsigned notes, char out[FVLM_PIXELS_NOTES_CHARS])
{
    static const char *const phrases[] = {"turned as its orientation tag says", "transparent parts over white",
                                          "16-bit gray scaled to 8 bits", "the first picture of an animation"};
    size_t n = 0;
    out[0] = '\0';
    for (size_t i = 0; i < sizeof phrases / sizeof *phrases; i++)
        if (notes & 1u << i)
            n += (size_t)snprintf(out + n, FVLM_PIXELS_NOTES_CHARS - n, "%s%s", n ? "; " : "", phrases[i]);
    return out;
}

fvlm_status fvlm_pixels_load(fvlm_pixels *out, const char *path, const fvlm_pixels_options *o, fvlm_err *err)
{
    char name[512];
    uint8_t *bytes = NULL;
    size_t n_bytes = 0;
    *out = (fvlm_pixels){.side = o->side};
    fvlm_status st = fvlm_image_check_size(o->side, o->side, err);
    if (!st) st = fvlm_image_read_input(path, o->stop, &bytes, &n_bytes, err);
    if (!st && (st = decode_pixels(out, bytes, n_bytes, o, err)) && st != FVLM_INTERRUPTED)
        fvlm_err_prefix(err, "%s", fvlm_image_input_name(path, name));
    free(bytes);
    if (st) fvlm_pixels_free(out);
    return st;
}

void fvlm_pixels_free(fvlm_pixels *p)
{
    free(p->values);
    *p = (fvlm_pixels){0};
}
