/* SPDX-License-Identifier: Apache-2.0 */
/* png.c - decodes PNG with libpng. Rows are reduced to RGB here rather than by libpng, to follow Pillow where it is
 * inconsistent: 16-bit gray is clipped to 255, other 16-bit samples keep their high byte; alpha and tRNS are dropped,
 * not blended; gamma and profiles are ignored; palette indices beyond the palette are black. */
#include "reference/image/formats.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <png.h>

/* On the heap, so that its contents survive a longjmp out of the library. */
typedef struct {
    const uint8_t *bytes; /* the file */
    size_t n_bytes, pos;
    bool short_read;
    jmp_buf env;
    fvlm_err *err;
    fvlm_status status;
    size_t width, height, row_bytes;
    int bits, color, passes;
    png_color palette[256];
    uint8_t *rgb;  /* [width, 3] */
    uint8_t *rows; /* one row, or the whole image when interlaced */
} png_reader;

static _Noreturn void give_up(png_structp p, png_const_charp text)
{
    png_reader *m = png_get_error_ptr(p);
    m->status = m->short_read ? fvlm_fail(m->err, FVLM_BAD_INPUT, "truncated PNG: the file ends before the image does")
                              : fvlm_fail(m->err, FVLM_BAD_INPUT, "damaged PNG: %s", text);
    longjmp(m->env, 1);
}

static void on_warning(png_structp p, png_const_charp text)
{
    (void)p;
    (void)text;
}

static void read_bytes(png_structp p, png_bytep to, size_t n)
{
    png_reader *m = png_get_io_ptr(p);
    if (n > m->n_bytes - m->pos) {
        m->short_read = true;
        png_error(p, "end of file");
    }
    memcpy(to, m->bytes + m->pos, n);
    m->pos += n;
}

static void row_to_rgb(const png_reader *m, const uint8_t *in, uint8_t *rgb)
{
    const size_t bytes = m->bits == 16 ? 2 : 1;
    const bool gray = !(m->color & PNG_COLOR_MASK_COLOR);
    const size_t alpha = m->color & PNG_COLOR_MASK_ALPHA ? 1 : 0;
    const size_t channels = alpha + (gray || m->color == PNG_COLOR_TYPE_PALETTE ? 1u : 3u);
    const unsigned spread = m->bits < 8 ? 255u / ((1u << m->bits) - 1) : 1;
    for (size_t x = 0; x < m->width; x++, in += channels * bytes, rgb += 3) {
        if (m->color == PNG_COLOR_TYPE_PALETTE) {
            const png_color c = m->palette[in[0]];
            rgb[0] = c.red, rgb[1] = c.green, rgb[2] = c.blue;
        } else if (gray) {
            const bool clipped = m->color == PNG_COLOR_TYPE_GRAY && m->bits == 16;
            const unsigned v = clipped ? (in[0] ? 255u : in[1]) : in[0] * spread;
            rgb[0] = rgb[1] = rgb[2] = (uint8_t)v;
        } else {
            for (size_t i = 0; i < 3; i++) rgb[i] = in[i * bytes];
        }
    }
}

/* Deflate expands a byte to at most 1032, so a header that claims more is wrong. This is checked before anything is
 * allocated. */
static fvlm_status read_header(png_structp p, png_infop info, png_reader *m, fvlm_err *err)
{
    png_read_info(p, info);
    m->width = png_get_image_width(p, info);
    m->height = png_get_image_height(p, info);
    m->bits = png_get_bit_depth(p, info);
    m->color = png_get_color_type(p, info);
    const fvlm_status st = fvlm_image_check_size(m->width, m->height, err);
    if (st) return st;
    if ((uint64_t)png_get_rowbytes(p, info) * m->height / 1032 > m->n_bytes)
        return fvlm_fail(err, FVLM_BAD_INPUT, "damaged PNG: %zu x %zu pixels cannot fit in %zu bytes", m->width,
                         m->height, m->n_bytes);
    png_colorp colors = NULL;
    int n_colors = 0;
    if (m->color == PNG_COLOR_TYPE_PALETTE && png_get_PLTE(p, info, &colors, &n_colors))
        memcpy(m->palette, colors, (size_t)n_colors * sizeof *colors);
    png_set_packing(p); /* samples of 1, 2 and 4 bits get a byte each, values unchanged */
    m->passes = png_set_interlace_handling(p);
    png_read_update_info(p, info);
    m->row_bytes = png_get_rowbytes(p, info);
    return FVLM_OK;
}

static fvlm_status decode_rows(png_structp p, png_infop info, png_reader *m, const fvlm_row_sink *sink, fvlm_err *err)
{
    fvlm_status st = read_header(p, info, m, err);
    if (!st) st = sink->begin(sink->ctx, (uint32_t)m->width, (uint32_t)m->height, err);
    if (st) return st;
    const bool whole = m->passes > 1;
    m->rgb = fvlm_alloc(m->width, 3);
    m->rows = fvlm_alloc(whole ? m->height : 1, m->row_bytes);
    if (!m->rgb || !m->rows) return fvlm_fail_nomem(err);
    for (int pass = 0; pass + 1 < m->passes; pass++)
        for (size_t y = 0; y < m->height; y++) png_read_row(p, m->rows + y * m->row_bytes, NULL);
    for (size_t y = 0; y < m->height; y++) {
        uint8_t *row = m->rows + (whole ? y * m->row_bytes : 0);
        png_read_row(p, row, NULL);
        row_to_rgb(m, row, m->rgb);
        sink->row(sink->ctx, m->rgb);
    }
    png_read_end(p, NULL);
    return FVLM_OK;
}

/* The target of longjmp. It must not change its own variables after setjmp. */
static fvlm_status read_guarded(png_structp p, png_infop info, png_reader *m, const fvlm_row_sink *sink, fvlm_err *err)
{
    if (setjmp(m->env)) return m->status;
    png_set_error_fn(p, m, give_up, on_warning);
    png_set_read_fn(p, m, read_bytes);
    png_set_user_limits(p, FVLM_IMAGE_MAX_SIDE, FVLM_IMAGE_MAX_SIDE);
    png_set_crc_action(p, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
    png_set_keep_unknown_chunks(p, PNG_HANDLE_CHUNK_NEVER, NULL, -1); /* metadata: only its checksum is checked */
    return decode_rows(p, info, m, sink, err);
}

fvlm_status fvlm_png_decode(const uint8_t *bytes, size_t n_bytes, const fvlm_row_sink *sink, fvlm_err *err)
{
    png_reader *m = fvlm_alloc(1, sizeof *m);
    png_structp p = m ? png_create_read_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, on_warning) : NULL;
    png_infop info = p ? png_create_info_struct(p) : NULL;
    fvlm_status st;
    if (info) {
        m->bytes = bytes;
        m->n_bytes = n_bytes;
        m->err = err;
        st = read_guarded(p, info, m, sink, err);
        free(m->rgb);
        free(m->rows);
    } else {
        st = fvlm_fail_nomem(err);
    }
    if (p) png_destroy_read_struct(&p, &info, NULL);
    free(m);
    return st;
}
