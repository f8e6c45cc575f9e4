/* SPDX-License-Identifier: Apache-2.0 */
/* formats.c - see formats.h. Every image format that fvlm recognizes is a row of the table. */
#include "reference/image/formats.h"

#include <string.h>

#define MAGIC(text) text, sizeof text - 1

/* decode is NULL for a format that is only recognized, so that the message can name it. ISO media files (HEIC, AVIF)
 * have their brand after "ftyp". */
static const struct {
    size_t offset;
    const char *magic;
    size_t n_magic;
    const char *name;
    fvlm_image_decoder *decode;
} formats[] = {
    {0, MAGIC("\xff\xd8\xff"), "a JPEG image", fvlm_jpeg_decode},
    {0, MAGIC("\x89PNG\r\n\x1a\n"), "a PNG image", fvlm_png_decode},
    {0, MAGIC("GIF8"), "a GIF image", NULL},
    {8, MAGIC("WEBP"), "a WebP image", NULL},
    {4, MAGIC("ftypheic"), "an HEIC image", NULL},
    {4, MAGIC("ftypheix"), "an HEIC image", NULL},
    {4, MAGIC("ftypmif1"), "an HEIF image", NULL},
    {4, MAGIC("ftypavif"), "an AVIF image", NULL},
    {0, MAGIC("BM"), "a BMP image", NULL},
    {0, MAGIC("II*\0"), "a TIFF image", NULL},
    {0, MAGIC("MM\0*"), "a TIFF image", NULL},
    {0, MAGIC("\xff\x0a"), "a JPEG XL image", NULL},
    {0, MAGIC("\0\0\0\x0cJXL "), "a JPEG XL image", NULL},
    {0, MAGIC("\0\0\0\x0cjP  "), "a JPEG 2000 image", NULL},
    {0, MAGIC("P5"), "a PGM image", NULL},
    {0, MAGIC("P6"), "a PPM image", NULL},
    {0, MAGIC("%PDF"), "a PDF document", NULL},
    {0, MAGIC("<svg"), "an SVG drawing", NULL},
};

fvlm_status fvlm_image_decode(const uint8_t *bytes, size_t n_bytes, const fvlm_row_sink *sink, fvlm_err *err)
{
    if (!n_bytes) return fvlm_fail(err, FVLM_BAD_INPUT, "an empty file");
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        const size_t at = formats[i].offset, n = formats[i].n_magic;
        if (n_bytes < at + n || memcmp(bytes + at, formats[i].magic, n) != 0) continue;
        if (formats[i].decode) return formats[i].decode(bytes, n_bytes, sink, err);
        return fvlm_fail(err, FVLM_UNSUPPORTED, "%s: convert it to PNG or JPEG first", formats[i].name);
    }
    return fvlm_fail(err, FVLM_UNSUPPORTED, "not a known image format: convert it to PNG or JPEG first");
}
