/* SPDX-License-Identifier: Apache-2.0 */
/* image.c - from a file to pixels: which decoder, and where its rows go. */
#include "reference/image/image.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/base/file.h"
#include "reference/image/decode_rows.h"
#include "reference/image/resize.h"

#define MAX_FILE_BYTES ((uint64_t)2 << 30)

/* Recognised so that the message can name them. An ISO media file (HEIC, AVIF) has its brand after "ftyp". */
static const struct {
    size_t at;
    const char *magic;
    size_t n_magic;
    const char *name;
} other_formats[] = {
    {0, "GIF8", 4, "a GIF"},
    {8, "WEBP", 4, "a WebP picture"},
    {4, "ftypheic", 8, "an HEIC picture"},
    {4, "ftypheix", 8, "an HEIC picture"},
    {4, "ftypmif1", 8, "an HEIF picture"},
    {4, "ftypavif", 8, "an AVIF picture"},
    {0, "BM", 2, "a BMP picture"},
    {0, "II*\0", 4, "a TIFF picture"},
    {0, "MM\0*", 4, "a TIFF picture"},
    {0, "\xff\x0a", 2, "a JPEG XL picture"},
    {0, "\0\0\0\x0cJXL ", 8, "a JPEG XL picture"},
    {0, "\0\0\0\x0cjP  ", 8, "a JPEG 2000 picture"},
    {0, "P5", 2, "a PGM picture"},
    {0, "P6", 2, "a PPM picture"},
    {0, "%PDF", 4, "a PDF document"},
    {0, "<svg", 4, "an SVG drawing"},
};

static bool starts(const uint8_t *bytes, size_t n_bytes, size_t at, const char *magic, size_t n_magic)
{
    return n_bytes >= at + n_magic && memcmp(bytes + at, magic, n_magic) == 0;
}

fvlm_status fvlm_image_check_size(uint64_t width, uint64_t height, fvlm_err *err)
{
    if (!width || !height) return fvlm_fail(err, FVLM_BAD_INPUT, "a picture without pixels");
    if (width > FVLM_IMAGE_MAX_SIDE || height > FVLM_IMAGE_MAX_SIDE || height > FVLM_IMAGE_MAX_PIXELS / width)
        return fvlm_fail(err, FVLM_LIMIT, "%llu x %llu pixels: at most %u in all and %u on a side are read",
                         (unsigned long long)width, (unsigned long long)height, FVLM_IMAGE_MAX_PIXELS,
                         FVLM_IMAGE_MAX_SIDE);
    return FVLM_OK;
}

static fvlm_status decode(const uint8_t *bytes, size_t n_bytes, const fvlm_row_sink *sink, fvlm_err *err)
{
    if (!n_bytes) return fvlm_fail(err, FVLM_BAD_INPUT, "an empty file");
    if (starts(bytes, n_bytes, 0, "\xff\xd8\xff", 3)) return fvlm_jpeg_decode(bytes, n_bytes, sink, err);
    if (starts(bytes, n_bytes, 0, "\x89PNG\r\n\x1a\n", 8)) return fvlm_png_decode(bytes, n_bytes, sink, err);
    for (size_t i = 0; i < sizeof other_formats / sizeof *other_formats; i++)
        if (starts(bytes, n_bytes, other_formats[i].at, other_formats[i].magic, other_formats[i].n_magic))
            return fvlm_fail(err, FVLM_UNSUPPORTED, "%s: convert it to PNG or JPEG first", other_formats[i].name);
    return fvlm_fail(err, FVLM_UNSUPPORTED, "neither a JPEG nor a PNG: convert it to one of them first");
}

/* The whole file in memory (private: a mapping could change or vanish under the decoder). */
static fvlm_status read_whole(const char *path, uint8_t **bytes, size_t *n_bytes, fvlm_err *err)
{
    struct stat s;
    fvlm_status st = FVLM_OK;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fstat(fd, &s) != 0) {
        st = fvlm_fail_errno(err, "\"%s\"", path);
    } else if (!S_ISREG(s.st_mode)) {
        st = fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\": not a regular file", path);
    } else if ((uint64_t)s.st_size > MAX_FILE_BYTES) {
        st = fvlm_fail(err, FVLM_LIMIT, "\"%s\": a picture file of over 2 GiB", path);
    } else if (!(*bytes = fvlm_alloc((size_t)s.st_size, 1))) {
        st = fvlm_fail(err, FVLM_NOMEM, "\"%s\": not enough memory to read it", path);
    }
    if (!st) {
        const fvlm_stamp stamp = {(uint64_t)s.st_size, s.st_mtim};
        *n_bytes = (size_t)s.st_size;
        st = fvlm_file_read(fd, path, 0, *bytes, *n_bytes, err);
        st = fvlm_stamp_check_unchanged(&stamp, fd, path, st, err);
    }
    if (fd >= 0) close(fd);
    return st;
}

/* Where rows go when the picture itself is wanted. */
typedef struct {
    fvlm_rgb *image;
    size_t n_rows;
} collector;

static fvlm_status collect_begin(void *ctx, uint32_t width, uint32_t height, fvlm_err *err)
{
    collector *c = ctx;
    *c->image = (fvlm_rgb){width, height, fvlm_alloc(height, (size_t)width * 3)};
    if (c->image->rgb) return FVLM_OK;
    return fvlm_fail(err, FVLM_NOMEM, "not enough memory for %u x %u pixels", width, height);
}

static void collect_row(void *ctx, const uint8_t *rgb)
{
    collector *c = ctx;
    const size_t n = (size_t)c->image->width * 3;
    memcpy(c->image->rgb + c->n_rows++ * n, rgb, n);
}

fvlm_status fvlm_rgb_decode(fvlm_rgb *out, const uint8_t *bytes, size_t n_bytes, fvlm_err *err)
{
    collector c = {.image = out};
    *out = (fvlm_rgb){0};
    const fvlm_status st = decode(bytes, n_bytes, &(fvlm_row_sink){collect_begin, collect_row, &c}, err);
    if (st) fvlm_rgb_free(out);
    return st;
}

fvlm_status fvlm_rgb_load(fvlm_rgb *out, const char *path, fvlm_err *err)
{
    uint8_t *bytes = NULL;
    size_t n_bytes = 0;
    *out = (fvlm_rgb){0};
    fvlm_status st = read_whole(path, &bytes, &n_bytes, err);
    if (!st && (st = fvlm_rgb_decode(out, bytes, n_bytes, err))) fvlm_err_prefix(err, "\"%s\"", path);
    free(bytes);
    return st;
}

void fvlm_rgb_free(fvlm_rgb *image)
{
    free(image->rgb);
    *image = (fvlm_rgb){0};
}

/* predict.py's expand2square: the picture in the middle, rounded up and left. */
static fvlm_resize_plan plan_square(uint32_t width, uint32_t height, uint32_t side)
{
    const uint32_t square = width > height ? width : height;
    return (fvlm_resize_plan){.width = width,
                              .height = height,
                              .left = (square - width) / 2,
                              .top = (square - height) / 2,
                              .canvas_width = square,
                              .canvas_height = square,
                              .out_width = side,
                              .out_height = side};
}

fvlm_status fvlm_rgb_square(fvlm_rgb *image, fvlm_err *err)
{
    const fvlm_resize_plan p = plan_square(image->width, image->height, 0);
    const size_t side = p.canvas_width, n = (size_t)image->width * 3;
    if (image->width == image->height) return FVLM_OK;
    const fvlm_status st = fvlm_image_check_size(side, side, err);
    if (st) return st;
    uint8_t *square = fvlm_alloc(side, side * 3);
    if (!square) return fvlm_fail(err, FVLM_NOMEM, "not enough memory for %zu x %zu pixels", side, side);
    for (size_t y = 0; y < image->height; y++)
        memcpy(square + ((p.top + y) * side + p.left) * 3, image->rgb + y * n, n);
    free(image->rgb);
    *image = (fvlm_rgb){(uint32_t)side, (uint32_t)side, square};
    return FVLM_OK;
}

fvlm_status fvlm_rgb_resize(fvlm_rgb *image, uint32_t width, uint32_t height, fvlm_err *err)
{
    const fvlm_resize_plan p = {.width = image->width,
                                .height = image->height,
                                .canvas_width = image->width,
                                .canvas_height = image->height,
                                .out_width = width,
                                .out_height = height};
    fvlm_resizer *r = NULL;
    fvlm_status st = fvlm_image_check_size(width, height, err);
    if (!st) st = fvlm_resizer_create(&r, &p, err);
    if (st) return st;
    uint8_t *rgb = fvlm_alloc(height, (size_t)width * 3);
    if (rgb) {
        for (size_t y = 0; y < image->height; y++) fvlm_resizer_push(r, image->rgb + y * image->width * 3);
        fvlm_resizer_finish(r, rgb);
        free(image->rgb);
        *image = (fvlm_rgb){width, height, rgb};
    } else {
        st = fvlm_fail(err, FVLM_NOMEM, "not enough memory for %u x %u pixels", width, height);
    }
    fvlm_resizer_destroy(&r);
    return st;
}

/* Where rows go when only the model's pixels are wanted. */
typedef struct {
    uint32_t side;
    fvlm_resizer *resizer;
} shrinker;

static fvlm_status shrink_begin(void *ctx, uint32_t width, uint32_t height, fvlm_err *err)
{
    shrinker *s = ctx;
    const fvlm_resize_plan p = plan_square(width, height, s->side);
    return fvlm_resizer_create(&s->resizer, &p, err);
}

static void shrink_row(void *ctx, const uint8_t *rgb)
{
    fvlm_resizer_push(((shrinker *)ctx)->resizer, rgb);
}

static fvlm_status decode_pixels(fvlm_pixels *out, const uint8_t *bytes, size_t n_bytes, fvlm_err *err)
{
    shrinker s = {.side = out->side};
    const size_t n = (size_t)out->side * out->side * 3;
    uint8_t *rgb = NULL;
    fvlm_status st = decode(bytes, n_bytes, &(fvlm_row_sink){shrink_begin, shrink_row, &s}, err);
    if (!st) {
        rgb = fvlm_alloc(n, 1);
        out->values = fvlm_alloc(n, sizeof *out->values);
        if (!rgb || !out->values)
            st = fvlm_fail(err, FVLM_NOMEM, "not enough memory for %u x %u pixels", out->side, out->side);
    }
    if (!st) {
        fvlm_resizer_finish(s.resizer, rgb);
        float scaled[256]; /* the reference multiplies by 1/255 in f64, then rounds to f32 */
        for (int v = 0; v < 256; v++) scaled[v] = (float)(v * (1 / 255.0));
        for (size_t i = 0; i < n; i++) out->values[i] = scaled[rgb[i]];
    }
    fvlm_resizer_destroy(&s.resizer);
    free(rgb);
    return st;
}

fvlm_status fvlm_pixels_load(fvlm_pixels *out, const char *path, uint32_t side, fvlm_err *err)
{
    uint8_t *bytes = NULL;
    size_t n_bytes = 0;
    *out = (fvlm_pixels){.side = side};
    fvlm_status st = fvlm_image_check_size(side, side, err);
    if (!st) st = read_whole(path, &bytes, &n_bytes, err);
    if (!st && (st = decode_pixels(out, bytes, n_bytes, err))) fvlm_err_prefix(err, "\"%s\"", path);
    free(bytes);
    if (st) fvlm_pixels_free(out);
    return st;
}

void fvlm_pixels_free(fvlm_pixels *p)
{
    free(p->values);
    *p = (fvlm_pixels){0};
}
