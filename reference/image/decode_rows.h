/* SPDX-License-Identifier: Apache-2.0 */
/* decode_rows.h - inside reference/: decoders hand over a picture row by row, so that a 12-megapixel
 * photograph can be shrunk while it is being decoded. */
#ifndef FVLM_REFERENCE_IMAGE_DECODE_ROWS_H
#define FVLM_REFERENCE_IMAGE_DECODE_ROWS_H

#include "reference/image/image.h"

/* begin is called once, after width and height were checked against the limits and against what the file
 * can hold; then row for y = 0, 1, ... height - 1. rgb [width, 3] is only lent. */
typedef struct {
    fvlm_status (*begin)(void *ctx, uint32_t width, uint32_t height, fvlm_err *err);
    void (*row)(void *ctx, const uint8_t *rgb);
    void *ctx;
} fvlm_row_sink;

fvlm_status fvlm_jpeg_decode(const uint8_t *bytes, size_t n_bytes, const fvlm_row_sink *sink, fvlm_err *err);
fvlm_status fvlm_png_decode(const uint8_t *bytes, size_t n_bytes, const fvlm_row_sink *sink, fvlm_err *err);

/* Refuses a size of zero and one over the limits of image.h. */
fvlm_status fvlm_image_check_size(uint64_t width, uint64_t height, fvlm_err *err);

#endif
