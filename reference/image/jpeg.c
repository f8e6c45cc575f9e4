/* SPDX-License-Identifier: Apache-2.0 */
/* jpeg.c - decodes JPEG with libjpeg-turbo and libjpeg's defaults (exact integer DCT, fancy upsampling), as Pillow
 * does. Gray becomes three equal channels. CMYK and YCCK are read as Adobe writes them, inverted, and reduced to RGB by
 * Pillow's formula. As in Pillow, a file that ends early is refused, but damage that the decoder can conceal is not. */
#include "reference/image/formats.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

/* In this order: the numbers of the messages in jerror.h depend on the version that jpeglib.h defines. */
#include <jpeglib.h>
#include <jerror.h>

enum { MAX_SCANS = 500 }; /* a progressive image has about ten; thousands only cost time */

/* On the heap, so that its contents survive a longjmp out of the library. Callbacks find it through client_data. */
typedef struct {
    struct jpeg_decompress_struct c;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf env;
    uint8_t *buffer; /* one row as decoded and one as RGB */
    size_t n_bytes;  /* of the file */
    fvlm_err *err;
    fvlm_status status;
} jpeg_reader;

static _Noreturn void give_up(j_common_ptr c)
{
    jpeg_reader *r = c->client_data;
    char text[JMSG_LENGTH_MAX];
    if (r->status == FVLM_OK) {
        c->err->format_message(c, text);
        const bool memory = c->err->msg_code == JERR_OUT_OF_MEMORY;
        r->status = memory ? fvlm_fail_nomem(r->err) : fvlm_fail(r->err, FVLM_BAD_INPUT, "damaged JPEG: %s", text);
    }
    longjmp(r->env, 1);
}

/* A warning means that the decoder concealed some damage. Only the end of the data is an error. */
static void on_message(j_common_ptr c, int level)
{
    jpeg_reader *r = c->client_data;
    if (level >= 0 || c->err->msg_code != JWRN_JPEG_EOF) return;
    r->status = fvlm_fail(r->err, FVLM_BAD_INPUT, "truncated JPEG: the file ends before the image does");
    give_up(c);
}

static void on_progress(j_common_ptr c)
{
    jpeg_reader *r = c->client_data;
    if (((j_decompress_ptr)c)->input_scan_number <= MAX_SCANS) return;
    r->status = fvlm_fail(r->err, FVLM_LIMIT, "JPEG with more than %d scans: refused", MAX_SCANS);
    give_up(c);
}

/* Huffman coding spends at least one bit on each 8x8 block, so a header that claims more blocks is wrong. (Arithmetic
 * coding has no such minimum.) */
static fvlm_status check_header(const jpeg_reader *r, fvlm_err *err)
{
    const struct jpeg_decompress_struct *c = &r->c;
    const fvlm_status st = fvlm_image_check_size(c->image_width, c->image_height, err);
    if (st) return st;
    if (c->num_components != 1 && c->num_components != 3 && c->num_components != 4)
        return fvlm_fail(err, FVLM_UNSUPPORTED, "JPEG with %d components: only gray, color and CMYK are read",
                         c->num_components);
    uint64_t blocks = 0;
    for (int i = 0; i < c->num_components; i++)
        blocks += (uint64_t)c->comp_info[i].width_in_blocks * c->comp_info[i].height_in_blocks;
    if (!c->arith_code && blocks / 8 > r->n_bytes)
        return fvlm_fail(err, FVLM_BAD_INPUT, "damaged JPEG: %u x %u pixels cannot fit in %zu bytes", c->image_width,
                         c->image_height, r->n_bytes);
    return FVLM_OK;
}

/* Pillow's CMYK to RGB of a value v and black k, both inverted in the file: 255 - k' - v' * (255 - k') / 255 with
 * v' = 255 - v and k' = 255 - k, where the division rounds like Pillow's MULDIV255. */
static uint8_t uncmyk(uint8_t v, uint8_t k)
{
    const unsigned t = (255u - v) * k + 128u;
    return (uint8_t)(k - (((t >> 8) + t) >> 8));
}

static void row_to_rgb(const uint8_t *in, int channels, size_t width, uint8_t *rgb)
{
    for (size_t x = 0; x < width; x++)
        for (size_t i = 0; i < 3; i++) rgb[3 * x + i] = channels == 1 ? in[x] : uncmyk(in[4 * x + i], in[4 * x + 3]);
}

static fvlm_status decode_rows(jpeg_reader *r, const fvlm_row_sink *sink, fvlm_err *err)
{
    struct jpeg_decompress_struct *c = &r->c;
    jpeg_read_header(c, TRUE);
    fvlm_status st = check_header(r, err);
    if (!st) st = sink->begin(sink->ctx, c->image_width, c->image_height, err);
    if (st) return st;
    const int channels = c->num_components;
    const size_t width = c->image_width;
    r->buffer = fvlm_alloc(width, 3 + 4);
    if (!r->buffer) return fvlm_fail_nomem(err);
    uint8_t *rgb = r->buffer, *in = channels == 3 ? rgb : rgb + 3 * width;
    c->out_color_space = channels == 1 ? JCS_GRAYSCALE : channels == 3 ? JCS_RGB : JCS_CMYK;
    jpeg_start_decompress(c);
    while (c->output_scanline < c->output_height) {
        JSAMPROW line = in;
        jpeg_read_scanlines(c, &line, 1);
        if (in != rgb) row_to_rgb(in, channels, width, rgb);
        sink->row(sink->ctx, rgb);
    }
    jpeg_finish_decompress(c); /* reads up to the end marker, so that a file cut in its last bytes is refused too */
    return FVLM_OK;
}

/* The target of longjmp. It must not change its own variables after setjmp. */
static fvlm_status read_guarded(jpeg_reader *r, const uint8_t *bytes, const fvlm_row_sink *sink, fvlm_err *err)
{
    if (setjmp(r->env)) return r->status;
    jpeg_create_decompress(&r->c);
    r->c.progress = &r->progress;
    jpeg_mem_src(&r->c, bytes, r->n_bytes);
    return decode_rows(r, sink, err);
}

fvlm_status fvlm_jpeg_decode(const uint8_t *bytes, size_t n_bytes, const fvlm_row_sink *sink, fvlm_err *err)
{
    jpeg_reader *r = fvlm_alloc(1, sizeof *r);
    if (!r) return fvlm_fail_nomem(err);
    r->c.err = jpeg_std_error(&r->errors);
    r->c.client_data = r;
    r->errors.error_exit = give_up;
    r->errors.emit_message = on_message;
    r->progress.progress_monitor = on_progress;
    r->n_bytes = n_bytes;
    r->err = err;
    const fvlm_status st = read_guarded(r, bytes, sink, err);
    jpeg_destroy_decompress(&r->c);
    free(r->buffer);
    free(r);
    return st;
}
