/* SPDX-License-Identifier: Apache-2.0 */
/* png.c - decodes PNG with libpng. Rows are reduced to RGB here rather than by libpng, to follow Pillow: opacity comes
 * from alpha, from the palette's tRNS or from the one color that tRNS names; gamma and profiles are ignored; palette
 * indices beyond the palette are black. As in Pillow, whatever follows the last row may be damaged or missing. Unlike
 * Pillow, a wrong checksum of the pixels is refused. */
#include "reference/image/formats.h"
#include "reference/image/png_chunks.h"

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
    bool no_memory;
    bool complete; /* all rows were read */
    size_t n_rows; /* passed on */
    jmp_buf env;
    fvlm_err *err;
    fvlm_status status;
    size_t width, height, row_bytes;
    int bits, color, passes;
    fvlm_png_chunks chunks;
    fvlm_image_job *job;
    uint8_t palette[256][4]; /* red, green, blue, opacity */
    bool has_key;
    uint16_t key[3]; /* the transparent color, one sample if gray */
    uint8_t *rgb;    /* [width, 3] */
    uint8_t *rows;   /* one row, or the whole image when interlaced */
} png_reader;

/* libpng has read the last row. It fails, if it does, before it returns that row. */
static bool has_last_row(png_structp p, const png_reader *m)
{
    if (!m->passes) return false;
    return m->passes > 1 ? png_get_current_pass_number(p) >= m->passes : png_get_current_row_number(p) >= m->height;
}

/* Damage behind the last row does not matter, unless it is the checksum of the pixels. */
static _Noreturn void give_up(png_structp p, png_const_charp text)
{
    png_reader *m = png_get_error_ptr(p);
    const bool pixels = !strncmp(text, "IDAT", 4) && !m->short_read;
    m->complete = m->complete || has_last_row(p, m);
    if (m->complete && !pixels)
        m->status = FVLM_OK;
    else if (m->no_memory)
        m->status = fvlm_fail_nomem(m->err);
    else if (m->short_read)
        m->status = fvlm_fail(m->err, FVLM_BAD_INPUT, "truncated PNG: the file ends before the image does");
    else
        m->status = fvlm_fail(m->err, FVLM_BAD_INPUT, "damaged PNG: %s%s", text,
                              pixels ? ": the pixels may be wrong; get the file again" : "");
    longjmp(m->env, 1);
}

static void on_warning(png_structp p, png_const_charp text)
{
    (void)p;
    (void)text;
}

/* libpng's and zlib's memory. Their messages do not tell a failed allocation from damage. */
static png_voidp allocate(png_structp p, png_alloc_size_t n)
{
    png_reader *m = png_get_mem_ptr(p);
    void *bytes = malloc(n);
    m->no_memory |= !bytes;
    return bytes;
}

static void release(png_structp p, png_voidp bytes)
{
    (void)p;
    free(bytes);
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

/* A pixel of the file as RGB and opacity, both of 8 bits. */
static void read_pixel(const png_reader *m, const uint8_t *in, uint8_t out[4])
{
    const size_t bytes = m->bits == 16 ? 2 : 1;
    const bool gray = !(m->color & PNG_COLOR_MASK_COLOR);
    const size_t colors = gray ? 1 : 3;
    if (m->color == PNG_COLOR_TYPE_PALETTE) {
        memcpy(out, m->palette[in[0]], 4);
        return;
    }
    const unsigned spread = m->bits < 8 ? 255u / ((1u << m->bits) - 1) : 1;
    const bool clipped = m->job->picture == FVLM_PICTURE_APPLE && m->color == PNG_COLOR_TYPE_GRAY && bytes == 2;
    bool is_key = m->has_key;
    for (size_t i = 0; i < 3; i++) {
        const uint8_t *sample = in + (gray ? 0 : i) * bytes;
        out[i] = clipped ? (sample[0] ? 255 : sample[1]) : (uint8_t)(sample[0] * spread);
        is_key = is_key && m->key[gray ? 0 : i] == (bytes == 2 ? sample[0] << 8 | sample[1] : sample[0]);
    }
    out[3] = m->color & PNG_COLOR_MASK_ALPHA ? in[colors * bytes] : is_key ? 0 : 255;
}

/* Not inlined, since setjmp's caller must not hold its variables. */
static __attribute__((noinline)) void row_to_rgb(png_reader *m, const uint8_t *in, uint8_t *rgb)
{
    const size_t bytes = m->row_bytes / m->width;
    uint8_t all = 255; /* the opacities, combined */
    const bool blend = m->job->picture == FVLM_PICTURE_SEEN;
    for (size_t x = 0; x < m->width; x++, in += bytes, rgb += 3) {
        uint8_t pixel[4];
        read_pixel(m, in, pixel);
        all &= pixel[3];
        for (size_t i = 0; i < 3; i++)
            rgb[i] = blend && pixel[3] != 255 ? fvlm_image_over_white(pixel[i], pixel[3]) : pixel[i];
    }
    if (blend && all != 255) m->job->notes |= FVLM_PIXELS_OVER_WHITE;
}

/* Opacities as Pillow reads tRNS: of palette entries even beyond the palette's end, or of one color. */
static void read_opacities(png_reader *m)
{
    const uint8_t *t = m->chunks.trns;
    const size_t n = m->chunks.n_trns, n_key = m->color & PNG_COLOR_MASK_COLOR ? 3 : 1;
    for (size_t i = 0; i < 256; i++) m->palette[i][3] = m->color == PNG_COLOR_TYPE_PALETTE && i < n ? t[i] : 255;
    m->has_key = !(m->color & (PNG_COLOR_MASK_PALETTE | PNG_COLOR_MASK_ALPHA)) && n >= 2 * n_key;
    for (size_t i = 0; m->has_key && i < n_key; i++)
        m->key[i] = (uint16_t)((t[2 * i] << 8 | t[2 * i + 1]) & ((1 << m->bits) - 1));
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
        for (int i = 0; i < n_colors; i++) memcpy(m->palette[i], &colors[i], 3);
    read_opacities(m);
    if (m->job->picture == FVLM_PICTURE_SEEN && m->bits == 16 && m->color == PNG_COLOR_TYPE_GRAY)
        m->job->notes |= FVLM_PIXELS_GRAY16;
    if (m->chunks.animated) m->job->notes |= FVLM_PIXELS_FIRST;
    png_set_packing(p); /* samples of 1, 2 and 4 bits get a byte each, values unchanged */
    m->passes = png_set_interlace_handling(p);
    png_read_update_info(p, info);
    m->row_bytes = png_get_rowbytes(p, info);
    return FVLM_OK;
}

/* Passes on rows from where it stopped: those that libpng has left in m->rows, or all that it reads. */
static fvlm_status pass_rows(png_structp p, png_reader *m, fvlm_err *err)
{
    fvlm_status st = FVLM_OK;
    for (; m->n_rows < m->height && !st; m->n_rows++) {
        uint8_t *row = m->rows + (m->passes > 1 ? m->n_rows * m->row_bytes : 0);
        if (!m->complete) png_read_row(p, row, NULL);
        row_to_rgb(m, row, m->rgb);
        st = fvlm_image_row(m->job, m->rgb, err);
    }
    return st;
}

static fvlm_status decode_rows(png_structp p, png_infop info, png_reader *m, fvlm_err *err)
{
    fvlm_status st = read_header(p, info, m, err);
    const unsigned orientation = fvlm_exif_orientation(&m->chunks.metadata);
    if (!st) st = fvlm_image_begin(m->job, (uint32_t)m->width, (uint32_t)m->height, orientation, err);
    if (st) return st;
    m->rgb = fvlm_alloc(m->width, 3);
    m->rows = fvlm_alloc(m->passes > 1 ? m->height : 1, m->row_bytes);
    if (!m->rgb || !m->rows) return fvlm_fail_nomem(err);
    for (int pass = 0; pass + 1 < m->passes; pass++)
        for (size_t y = 0; y < m->height && !st; y++) {
            png_read_row(p, m->rows + y * m->row_bytes, NULL);
            st = fvlm_stop_check(m->job->stop, err);
        }
    if (!st) st = pass_rows(p, m, err);
    m->complete = !st;
    if (!st) png_read_end(p, NULL);
    return st;
}

/* The target of longjmp. It must not change its own variables after setjmp. */
static fvlm_status read_guarded(png_structp p, png_infop info, png_reader *m, fvlm_err *err)
{
    if (setjmp(m->env)) return m->status ? m->status : pass_rows(p, m, err);
    png_set_error_fn(p, m, give_up, on_warning);
    png_set_read_fn(p, m, read_bytes);
    png_set_user_limits(p, PNG_UINT_31_MAX, PNG_UINT_31_MAX); /* read_header checks sizes and names them */
    png_set_crc_action(p, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
    /* libpng decodes nothing of a block that it cannot read whole, and all rows may be in the last one. */
    if (m->chunks.cut) png_set_compression_buffer_size(p, 1);
    png_set_keep_unknown_chunks(p, PNG_HANDLE_CHUNK_NEVER, NULL, -1); /* metadata: only its checksum is checked */
    return decode_rows(p, info, m, err);
}

fvlm_status fvlm_png_decode(const uint8_t *bytes, size_t n_bytes, fvlm_image_job *job, fvlm_err *err)
{
    png_reader *m = fvlm_alloc(1, sizeof *m);
    png_structp p =
        m ? png_create_read_struct_2(PNG_LIBPNG_VER_STRING, NULL, NULL, on_warning, m, allocate, release) : NULL;
    png_infop info = p ? png_create_info_struct(p) : NULL;
    fvlm_status st;
    if (info) {
        m->bytes = bytes;
        m->n_bytes = n_bytes;
        m->job = job;
        m->err = err;
        st = fvlm_png_chunks_find(&m->chunks, bytes, n_bytes, err);
        if (!st && m->chunks.cgbi)
            st = fvlm_fail(err, FVLM_UNSUPPORTED,
                           "a PNG rewritten by Xcode for iPhone apps (CgBI); convert it back on a Mac: "
                           "xcrun pngcrush -revert-iphone-optimizations in.png out.png");
        if (!st) st = read_guarded(p, info, m, err);
        fvlm_png_chunks_free(&m->chunks);
        free(m->rgb);
        free(m->rows);
    } else {
        st = fvlm_fail_nomem(err);
    }
    if (p) png_destroy_read_struct(&p, &info, NULL);
    free(m);
    return st;
}
