/* SPDX-License-Identifier: Apache-2.0 */
/* formats.h - the image formats that fvlm reads. To add one, write a decoder like png.c, declare it here, and give
 * its row in formats.c a pointer to it. Private to reference/image.
 *
 * Decoders pass an image on row by row, so that a 12-megapixel photograph is resized while it is being decoded. */
#ifndef FVLM_REFERENCE_IMAGE_FORMATS_H
#define FVLM_REFERENCE_IMAGE_FORMATS_H

#include "format/base/base.h"

#define FVLM_IMAGE_MAX_PIXELS 500000000u /* in all; upstream's limit too */
#define FVLM_IMAGE_MAX_SIDE 1000000u     /* libpng's own limit; keeps every table below 100 MB */

/* Refuses a size of zero and one over the limits. */
static inline fvlm_status fvlm_image_check_size(uint64_t width, uint64_t height, fvlm_err *err)
{
    if (!width || !height) return fvlm_fail(err, FVLM_BAD_INPUT, "an image without pixels");
    if (width <= FVLM_IMAGE_MAX_SIDE && height <= FVLM_IMAGE_MAX_SIDE && width * height <= FVLM_IMAGE_MAX_PIXELS)
        return FVLM_OK;
    return fvlm_fail(err, FVLM_LIMIT, "%llu x %llu pixels: the limits are %u in all and %u on a side",
                     (unsigned long long)width, (unsigned long long)height, FVLM_IMAGE_MAX_PIXELS, FVLM_IMAGE_MAX_SIDE);
}

/* begin is called once, after fvlm_image_check_size and against what a file of this length can hold.
 * Then row is called for y = 0, 1, ... height - 1 with rgb [width, 3], which is only lent. */
typedef struct {
    fvlm_status (*begin)(void *ctx, uint32_t width, uint32_t height, fvlm_err *err);
    void (*row)(void *ctx, const uint8_t *rgb);
    void *ctx;
} fvlm_row_sink;

/* Decodes a whole file to RGB as Pillow's convert("RGB") does: alpha is dropped, palettes and gray are expanded, CMYK
 * and 16 bits are reduced, EXIF orientation is not applied. Truncated and damaged files are refused. After a failure
 * the sink may have received some rows. */
typedef fvlm_status fvlm_image_decoder(const uint8_t *bytes, size_t n_bytes, const fvlm_row_sink *sink, fvlm_err *err);

fvlm_image_decoder fvlm_jpeg_decode; /* jpeg.c */
fvlm_image_decoder fvlm_png_decode;  /* png.c */

/* formats.c: chooses the decoder by the first bytes of the file. Formats that are known but not read are refused by
 * name. */
fvlm_image_decoder fvlm_image_decode;

#endif
