/* SPDX-License-Identifier: Apache-2.0 */
/* webp.c - decodes WebP with libwebp, step by step, so that it can be stopped and rows are resized as they come. As
 * in Pillow, the first picture of an animation is read, on its canvas, and its opacities count only if the file's
 * header announces them. */
#include "reference/image/exif.h"
#include "reference/image/formats.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <webp/decode.h>

enum {
    ANIMATION = 0x02, /* flags of the VP8X chunk */
    XMP = 0x04,
    EXIF = 0x08,
    ALPHA = 0x10,
    STEP_PIXELS = 1 << 20,  /* that one step should decode */
    FREE_PIXELS = 64 << 20, /* that any file may claim; beyond, */
    PIXELS_PER_BYTE = 4096  /* four times what lossy pictures without content reach */
};

typedef struct {
    const uint8_t *bytes;
    size_t n;
} span;

/* A file taken apart. */
typedef struct {
    span pixels;     /* what libwebp gets: the file, or the first frame of an animation */
    size_t n_pixels; /* bytes of it that count for plausibility */
    unsigned flags;
    bool extended, animated;
    uint32_t width, height;                        /* of the canvas */
    uint32_t left, top, frame_width, frame_height; /* of the picture on it */
    fvlm_image_metadata metadata;
    uint8_t *row; /* [width, 3] */
    WebPIDecoder *decoder;
    int channels;
    uint32_t n_rows; /* of the frame, passed on */
} webp_reader;

static uint32_t load_u24(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16;
}

static void sort_chunk(webp_reader *w, const uint8_t *type, span data)
{
    if (!memcmp(type, "VP8X", 4) && data.n >= 10 && !w->extended) {
        w->extended = true;
        w->flags = data.bytes[0];
        w->width = load_u24(data.bytes + 4) + 1;
        w->height = load_u24(data.bytes + 7) + 1;
    } else if (!memcmp(type, "ANMF", 4) && data.n > 16 && !w->animated && w->flags & ANIMATION) {
        w->animated = true;
        w->left = 2 * load_u24(data.bytes);
        w->top = 2 * load_u24(data.bytes + 3);
        w->pixels = (span){data.bytes + 16, data.n - 16};
    } else if (!memcmp(type, "EXIF", 4) && w->flags & EXIF && !w->metadata.exif) {
        w->metadata.exif = data.bytes, w->metadata.n_exif = data.n;
    } else if (!memcmp(type, "XMP ", 4) && w->flags & XMP && !w->metadata.xmp) {
        w->metadata.xmp = data.bytes, w->metadata.n_xmp = data.n;
    }
}

static fvlm_status take_apart(webp_reader *w, const uint8_t *bytes, size_t n_bytes, fvlm_err *err)
{
    const size_t n = n_bytes < 12 ? 0 : (size_t)fvlm_load_u32(bytes + 4) + 8;
    if (n < 20 || memcmp(bytes, "RIFF", 4)) return fvlm_fail(err, FVLM_BAD_INPUT, "damaged WebP: no picture in it");
    if (n > n_bytes) return fvlm_fail(err, FVLM_BAD_INPUT, "truncated WebP: the file ends before the image does");
    w->pixels = (span){bytes, n};
    for (size_t at = 12; n - at >= 8;) {
        const size_t size = fvlm_load_u32(bytes + at + 4), left = n - at - 8;
        if (size > left) return fvlm_fail(err, FVLM_BAD_INPUT, "damaged WebP: a chunk is longer than the file");
        sort_chunk(w, bytes + at, (span){bytes + at + 8, size});
        at += 8 + (size + (size & 1) > left ? left : size + (size & 1));
    }
    if (w->flags & ANIMATION && !w->animated)
        return fvlm_fail(err, FVLM_BAD_INPUT, "damaged WebP: an animation without pictures");
    return FVLM_OK;
}

static fvlm_status check_header(webp_reader *w, fvlm_err *err)
{
    WebPBitstreamFeatures f;
    const VP8StatusCode code = WebPGetFeatures(w->pixels.bytes, w->pixels.n, &f);
    if (code) return fvlm_fail(err, FVLM_BAD_INPUT, "damaged WebP: its header makes no sense");
    w->frame_width = (uint32_t)f.width;
    w->frame_height = (uint32_t)f.height;
    if (!w->extended) w->width = w->frame_width, w->height = w->frame_height;
    if (!w->animated && f.has_alpha) w->flags |= ALPHA;
    const fvlm_status st = fvlm_image_check_size(w->width, w->height, err);
    if (st) return st;
    if (w->left > w->width || w->frame_width > w->width - w->left || w->top > w->height ||
        w->frame_height > w->height - w->top)
        return fvlm_fail(err, FVLM_BAD_INPUT, "damaged WebP: a picture does not fit on its canvas");
    const uint64_t pixels = (uint64_t)w->width * w->height;
    if (pixels > FREE_PIXELS + (uint64_t)w->pixels.n * PIXELS_PER_BYTE)
        return fvlm_fail(err, FVLM_LIMIT,
                         "WebP of %u x %u pixels in %zu bytes: refused, as no picture of that size is so small",
                         w->width, w->height, w->pixels.n);
    return FVLM_OK;
}

/* in: the frame's row, or NULL for a row of the canvas beside it. The canvas is transparent black. */
static fvlm_status pass_row(webp_reader *w, const uint8_t *in, fvlm_image_job *job, fvlm_err *err)
{
    const bool blend = w->flags & ALPHA && job->picture == FVLM_PICTURE_SEEN;
    uint8_t all = 255;
    for (uint32_t x = 0; x < w->width; x++) {
        static const uint8_t clear[4];
        const bool inside = in && x >= w->left && x - w->left < w->frame_width;
        const uint8_t *pixel = inside ? in + (size_t)(x - w->left) * (size_t)w->channels : clear;
        const uint8_t alpha = inside && w->channels == 3 ? 255 : pixel[3];
        for (size_t i = 0; i < 3; i++)
            w->row[3 * (size_t)x + i] = blend && alpha != 255 ? fvlm_image_over_white(pixel[i], alpha) : pixel[i];
        all &= alpha;
    }
    if (blend && all != 255) job->notes |= FVLM_PIXELS_OVER_WHITE;
    return fvlm_image_row(job, w->row, err);
}

/* Passes on the rows that libwebp has ready. */
static fvlm_status pass_rows(webp_reader *w, fvlm_image_job *job, fvlm_err *err)
{
    int last = 0, stride = 0;
    const uint8_t *rgb = WebPIDecGetRGB(w->decoder, &last, NULL, NULL, &stride);
    fvlm_status st = FVLM_OK;
    for (; rgb && w->n_rows < (uint32_t)last && !st; w->n_rows++)
        st = pass_row(w, rgb + (size_t)w->n_rows * (size_t)stride, job, err);
    return st;
}

/* Gives libwebp ever more of the data. A step is what holds about STEP_PIXELS; it doubles while no row comes, since
 * libwebp begins again with an incomplete header. */
static fvlm_status decode_steps(webp_reader *w, fvlm_image_job *job, fvlm_err *err)
{
    const uint64_t pixels = (uint64_t)w->frame_width * w->frame_height;
    const size_t plain = (size_t)((double)w->pixels.n * STEP_PIXELS / (double)pixels) + 1;
    size_t step = plain, n = 0;
    while (w->n_rows < w->frame_height) {
        const uint32_t before = w->n_rows;
        if (n == w->pixels.n)
            return fvlm_fail(err, FVLM_BAD_INPUT, "truncated WebP: the file ends before the image does");
        n = w->pixels.n - n < step ? w->pixels.n : n + step;
        errno = 0;
        const VP8StatusCode code = WebPIUpdate(w->decoder, w->pixels.bytes, n);
        /* libwebp reports some failed allocations as damage, or as data that are still to come; errno is malloc's */
        if (code == VP8_STATUS_OUT_OF_MEMORY || (code != VP8_STATUS_OK && errno == ENOMEM)) return fvlm_fail_nomem(err);
        if (code != VP8_STATUS_OK && code != VP8_STATUS_SUSPENDED)
            return fvlm_fail(err, FVLM_BAD_INPUT, "damaged WebP: its data make no sense");
        fvlm_status st = pass_rows(w, job, err);
        if (!st) st = fvlm_stop_check(job->stop, err);
        if (st) return st;
        step = w->n_rows > before ? plain : 2 * step;
    }
    return FVLM_OK;
}

static fvlm_status decode_rows(webp_reader *w, fvlm_image_job *job, fvlm_err *err)
{
    fvlm_status st = check_header(w, err);
    if (!st) st = fvlm_image_begin(job, w->width, w->height, fvlm_exif_orientation(&w->metadata), err);
    if (st) return st;
    w->channels = w->flags & ALPHA ? 4 : 3;
    w->row = fvlm_alloc(w->width, 3);
    w->decoder = WebPINewRGB(w->channels == 4 ? MODE_RGBA : MODE_RGB, NULL, 0, 0);
    if (!w->row || !w->decoder) return fvlm_fail_nomem(err);
    if (w->animated) job->notes |= FVLM_PIXELS_FIRST;
    for (uint32_t y = 0; y < w->top && !st; y++) st = pass_row(w, NULL, job, err);
    if (!st) st = decode_steps(w, job, err);
    for (uint32_t y = w->top + w->frame_height; y < w->height && !st; y++) st = pass_row(w, NULL, job, err);
    return st;
}

fvlm_status fvlm_webp_decode(const uint8_t *bytes, size_t n_bytes, fvlm_image_job *job, fvlm_err *err)
{
    webp_reader w = {0};
    fvlm_status st = take_apart(&w, bytes, n_bytes, err);
    if (!st) st = decode_rows(&w, job, err);
    if (w.decoder) WebPIDelete(w.decoder);
    free(w.row);
    return st;
}
