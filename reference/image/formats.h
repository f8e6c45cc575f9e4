/* SPDX-License-Identifier: Apache-2.0 */
/* formats.h - the image formats that fvlm reads. To add one, write a decoder like png.c, declare it here, and give
 * its row in formats.c a pointer to it. Private to reference/image.
 *
 * Decoders pass an image on row by row, so that a 12-megapixel photograph is resized while it is being decoded. */
#ifndef FVLM_REFERENCE_IMAGE_FORMATS_H
#define FVLM_REFERENCE_IMAGE_FORMATS_H

#include "reference/image/image.h"

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

/* An image on its way from its decoder (fvlm_image_begin, then fvlm_image_row for each row of the file from top to
 * bottom) to its receiver (begin, then row for each row of the image as it is to be read, from top to bottom). The two
 * differ when the image is turned. */
typedef struct {
    /* The receiver's: */
    fvlm_picture picture;
    const fvlm_stop *stop;
    fvlm_status (*begin)(void *ctx, uint32_t width, uint32_t height, fvlm_err *err);
    void (*row)(void *ctx, const uint8_t *rgb); /* [width, 3], only lent */
    void *ctx;
    /* The decoder's: */
    unsigned notes; /* as in fvlm_pixels */
    /* Private to turn.c, of the file: */
    unsigned orientation;
    uint32_t width, height, n_rows;
    uint8_t *turned; /* one mirrored row, or the whole image */
} fvlm_image_job;

/* turn.c. Call begin once, after fvlm_image_check_size and a check against what a file of this length can hold.
 * orientation is EXIF's, 1 to 8. Fail when the receiver does, when memory is out, or when it is time to stop. */
fvlm_status fvlm_image_begin(fvlm_image_job *job, uint32_t width, uint32_t height, unsigned orientation, fvlm_err *err);
fvlm_status fvlm_image_row(fvlm_image_job *job, const uint8_t *rgb, fvlm_err *err);
fvlm_status fvlm_image_end(fvlm_image_job *job, fvlm_err *err); /* after the last row: passes on what was collected */

/* A color sample of opacity alpha over white, rounded as Pillow's alpha_composite (AlphaComposite.c) does. */
static inline uint8_t fvlm_image_over_white(uint8_t v, uint8_t alpha)
{
    const uint32_t sum = (v * (uint32_t)alpha + 255u * (255u - alpha)) * 128u + (0x80u << 7);
    return alpha ? (uint8_t)((((sum >> 8) + sum) >> 8) >> 7) : 255;
}

/* Decodes a whole file to RGB.
 *   FVLM_PICTURE_APPLE  as Pillow's convert("RGB"): alpha is dropped, palettes and gray are expanded, CMYK is reduced;
 *                       16-bit gray is clipped to 255, other 16-bit samples keep their high byte
 *   FVLM_PICTURE_SEEN   as Pillow's ImageOps.exif_transpose, then alpha_composite over white, then the same; every
 *                       16-bit sample keeps its high byte
 * A file that ends before its image does is refused. After a failure some rows may have been passed on. */
typedef fvlm_status fvlm_image_decoder(const uint8_t *bytes, size_t n_bytes, fvlm_image_job *job, fvlm_err *err);

fvlm_image_decoder fvlm_jpeg_decode; /* jpeg.c */
fvlm_image_decoder fvlm_png_decode;  /* png.c */
fvlm_image_decoder fvlm_webp_decode; /* webp.c */

/* formats.c: chooses the decoder by the first bytes of the file. */
fvlm_image_decoder fvlm_image_decode;

/* foreign.c: refuses what no decoder reads. Names it, if it is known, and tells how to convert it. */
fvlm_status fvlm_image_refuse_foreign(const uint8_t *bytes, size_t n_bytes, fvlm_err *err);

#endif
