/* SPDX-License-Identifier: Apache-2.0 */
/* jpeg.c - decodes JPEG with libjpeg-turbo and libjpeg's defaults (exact integer DCT, fancy upsampling), as Pillow
 * does. Gray becomes three equal channels. CMYK and YCCK are read as Adobe writes them, inverted, and reduced to RGB by
 * Pillow's formula. As in Pillow, a file that ends early is refused, but damage that the decoder can conceal is not,
 * and of several pictures in a file (MPO) the first is read. */
#include "reference/image/exif.h"
#include "reference/image/formats.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* In this order: the numbers of the messages in jerror.h depend on the version that jpeglib.h defines. */
#include <jpeglib.h>
#include <jerror.h>

/* What a hostile file may cost. A progressive image has about ten scans, of which each covers some of the components:
 * in all every block is visited up to ten times. Arithmetic decoding takes longer. */
#define MAX_SCANS 500
#define MAX_VISITS(arithmetic) ((arithmetic) ? 12 : 16) /* of all blocks together, on average */
#define FREE_VISITS ((uint64_t)1 << 18)      /* some milliseconds, for small images with scans for every coefficient */
#define BLOCK_BYTES ((uint64_t)64 * 2)       /* coefficients are kept until the last scan */
#define MAX_COEFFICIENTS ((uint64_t)1 << 30) /* bytes; 108 megapixels of CMYK in several scans fit */
#define MAX_EXIF ((size_t)1 << 20)           /* bytes; the orientation lies in its first kilobytes */
#define FREE_BLOCKS ((uint64_t)1 << 21)      /* that any file may claim; beyond, a byte holds at most 8 */

/* On the heap, so that its contents survive a longjmp out of the library. Callbacks find it through client_data. */
typedef struct {
    struct jpeg_decompress_struct c;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf env;
    uint8_t *buffer; /* one row as decoded and one as RGB */
    uint8_t *exif;   /* of several segments */
    size_t n_bytes;  /* of the file */
    uint64_t n_blocks;
    uint64_t n_visits; /* of blocks, by the scans so far */
    int scan;          /* the last one that counted */
    fvlm_image_job *job;
    fvlm_err *err;
    fvlm_status status;
} jpeg_reader;

static _Noreturn void give_up(j_common_ptr c)
{
    jpeg_reader *r = c->client_data;
    char text[JMSG_LENGTH_MAX];
    if (r->status == FVLM_OK) {
        c->err->format_message(c, text);
        const int code = c->err->msg_code;
        if (code == JERR_OUT_OF_MEMORY)
            r->status = fvlm_fail_nomem(r->err);
        else if (code == JERR_BAD_PRECISION || code == JERR_SOF_UNSUPPORTED)
            r->status = fvlm_fail(r->err, FVLM_UNSUPPORTED,
                                  "JPEG of a rare kind (%s): save it as an 8-bit baseline JPEG", text);
        else
            r->status = fvlm_fail(r->err, FVLM_BAD_INPUT, "damaged JPEG: %s", text);
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

/* Called for every row of blocks of every scan. */
static void on_progress(j_common_ptr common)
{
    jpeg_reader *r = common->client_data;
    j_decompress_ptr c = (j_decompress_ptr)common;
    if (c->input_scan_number > r->scan) {
        r->scan = c->input_scan_number;
        for (int i = 0; i < c->comps_in_scan; i++)
            r->n_visits += (uint64_t)c->cur_comp_info[i]->width_in_blocks * c->cur_comp_info[i]->height_in_blocks;
    }
    r->status = fvlm_stop_check(r->job->stop, r->err);
    if (!r->status && (r->scan > MAX_SCANS || r->n_visits > FREE_VISITS + MAX_VISITS(c->arith_code) * r->n_blocks))
        r->status =
            fvlm_fail(r->err, FVLM_LIMIT,
                      "JPEG of %u x %u pixels in %d or more scans, which takes too long: save it with fewer scans",
                      c->image_width, c->image_height, r->scan);
    if (r->status) give_up(common);
}

/* Huffman coding spends at least one bit on each 8x8 block, so a header that claims more blocks is wrong. Arithmetic
 * coding has no such minimum, but what people draw does not come near it. */
static fvlm_status check_header(jpeg_reader *r, fvlm_err *err)
{
    struct jpeg_decompress_struct *c = &r->c;
    const fvlm_status st = fvlm_image_check_size(c->image_width, c->image_height, err);
    if (st) return st;
    if (c->num_components != 1 && c->num_components != 3 && c->num_components != 4)
        return fvlm_fail(err, FVLM_UNSUPPORTED, "JPEG with %d components: only gray, color and CMYK are read",
                         c->num_components);
    for (int i = 0; i < c->num_components; i++)
        r->n_blocks += (uint64_t)c->comp_info[i].width_in_blocks * c->comp_info[i].height_in_blocks;
    if (!c->arith_code && r->n_blocks / 8 > r->n_bytes)
        return fvlm_fail(err, FVLM_BAD_INPUT, "damaged JPEG: %u x %u pixels cannot fit in %zu bytes", c->image_width,
                         c->image_height, r->n_bytes);
    if (c->arith_code && r->n_blocks > FREE_BLOCKS + 8 * (uint64_t)r->n_bytes)
        return fvlm_fail(err, FVLM_LIMIT,
                         "JPEG of %u x %u pixels in %zu bytes: refused, as no picture of that size is so small",
                         c->image_width, c->image_height, r->n_bytes);
    if (jpeg_has_multiple_scans(c) && r->n_blocks * BLOCK_BYTES > MAX_COEFFICIENTS)
        return fvlm_fail(
            err, FVLM_LIMIT,
            "JPEG of %u x %u pixels in several scans, which takes more than 1 GiB to decode: save it smaller "
            "or as a baseline JPEG",
            c->image_width, c->image_height);
    return FVLM_OK;
}

/* Adds the data of a second or later EXIF segment to the block. What lies beyond MAX_EXIF is left out. */
static fvlm_status add_exif(jpeg_reader *r, fvlm_image_metadata *m, const uint8_t *data, size_t n, fvlm_err *err)
{
    if (n > MAX_EXIF - m->n_exif) n = MAX_EXIF - m->n_exif;
    uint8_t *all = realloc(r->exif, m->n_exif + n);
    if (!all) return fvlm_fail_nomem(err);
    if (!r->exif) memcpy(all, m->exif, m->n_exif);
    memcpy(all + m->n_exif, data, n);
    m->exif = r->exif = all;
    m->n_exif += n;
    return FVLM_OK;
}

/* By the metadata before the first scan, as Pillow finds them: all EXIF segments, joined, and the last XMP segment. */
static fvlm_status find_orientation(jpeg_reader *r, const uint8_t *b, unsigned *orientation, fvlm_err *err)
{
    const size_t n = r->n_bytes;
    static const char exif[] = "Exif\0", xmp[] = "http://ns.adobe.com/xap/1.0/"; /* with their last zero */
    fvlm_image_metadata m = {0};
    for (size_t at = 2; at + 4 <= n;) {
        if (b[at] != 0xff || b[at + 1] == 0xff || b[at + 1] == 0) {
            at++; /* padding or junk */
            continue;
        }
        const uint8_t marker = b[at + 1];
        if (marker == 0xda || marker == 0xd9) break;
        at += 2;
        if (marker == 0x01 || (marker >= 0xd0 && marker <= 0xd8)) continue; /* alone, without a segment */
        const size_t length = (size_t)b[at] << 8 | b[at + 1];
        if (length < 2 || length > n - at) break;
        const uint8_t *data = b + at + 2;
        const size_t n_data = length - 2;
        at += length;
        if (marker != 0xe1) continue;
        if (n_data >= sizeof exif && !memcmp(data, exif, sizeof exif)) {
            const fvlm_status st = m.exif ? add_exif(r, &m, data + sizeof exif, n_data - sizeof exif, err) : FVLM_OK;
            if (st) return st;
            if (!m.exif) m.exif = data, m.n_exif = n_data;
        } else if (n_data >= sizeof xmp && !memcmp(data, xmp, sizeof xmp)) {
            m.xmp = data + sizeof xmp, m.n_xmp = n_data - sizeof xmp;
        }
    }
    *orientation = fvlm_exif_orientation(&m);
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

static fvlm_status decode_rows(jpeg_reader *r, const uint8_t *bytes, fvlm_err *err)
{
    unsigned orientation = 1;
    struct jpeg_decompress_struct *c = &r->c;
    jpeg_read_header(c, TRUE);
    fvlm_status st = check_header(r, err);
    if (!st) st = find_orientation(r, bytes, &orientation, err);
    if (!st) st = fvlm_image_begin(r->job, c->image_width, c->image_height, orientation, err);
    if (st) return st;
    const int channels = c->num_components;
    const size_t width = c->image_width;
    r->buffer = fvlm_alloc(width, 3 + 4);
    if (!r->buffer) return fvlm_fail_nomem(err);
    uint8_t *rgb = r->buffer, *in = channels == 3 ? rgb : rgb + 3 * width;
    c->out_color_space = channels == 1 ? JCS_GRAYSCALE : channels == 3 ? JCS_RGB : JCS_CMYK;
    jpeg_start_decompress(c);
    while (c->output_scanline < c->output_height && !st) {
        JSAMPROW line = in;
        jpeg_read_scanlines(c, &line, 1);
        if (in != rgb) row_to_rgb(in, channels, width, rgb);
        st = fvlm_image_row(r->job, rgb, err);
    }
    if (!st)
        jpeg_finish_decompress(c); /* reads up to the end marker, so that a file cut in its last bytes is refused */
    return st;
}

/* The target of longjmp. It must not change its own variables after setjmp. */
static fvlm_status read_guarded(jpeg_reader *r, const uint8_t *bytes, fvlm_err *err)
{
    if (setjmp(r->env)) return r->status;
    jpeg_create_decompress(&r->c);
    r->c.progress = &r->progress;
    jpeg_mem_src(&r->c, bytes, r->n_bytes);
    return decode_rows(r, bytes, err);
}

fvlm_status fvlm_jpeg_decode(const uint8_t *bytes, size_t n_bytes, fvlm_image_job *job, fvlm_err *err)
{
    jpeg_reader *r = fvlm_alloc(1, sizeof *r);
    if (!r) return fvlm_fail_nomem(err);
    r->c.err = jpeg_std_error(&r->errors);
    r->c.client_data = r;
    r->errors.error_exit = give_up;
    r->errors.emit_message = on_message;
    r->progress.progress_monitor = on_progress;
    r->n_bytes = n_bytes;
    r->job = job;
    r->err = err;
    const fvlm_status st = read_guarded(r, bytes, err);
    jpeg_destroy_decompress(&r->c);
    free(r->buffer);
    free(r->exif);
    free(r);
    return st;
}
