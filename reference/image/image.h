/* SPDX-License-Identifier: Apache-2.0 */
/* image.h - a picture file to the pixels FastVLM was trained on: decoded, padded
 * black to a square, resized as Pillow's BICUBIC does, divided by 255.
 *
 * Every step gives what the reference pipeline gives (PIL.Image.open(f).convert("RGB"),
 * expand2square, CLIPImageProcessor), bit for bit where the JPEG decoder is the same version. */
#ifndef FVLM_REFERENCE_IMAGE_IMAGE_H
#define FVLM_REFERENCE_IMAGE_IMAGE_H

#include "format/base/base.h"

#define FVLM_IMAGE_MAX_PIXELS 500000000u /* the reference's guard */
#define FVLM_IMAGE_MAX_SIDE 1000000u     /* libpng's own limit; keeps every table below 100 MB */

typedef struct {
    uint32_t width, height;
    uint8_t *rgb; /* [height, width, 3] */
} fvlm_rgb;

/* JPEG or PNG, told by their first bytes; as Pillow's convert("RGB") sees it: alpha dropped,
 * palette and gray expanded, 16-bit and CMYK as Pillow reduces them (16-bit gray: everything above 255
 * becomes 255; other 16-bit: the high byte), EXIF orientation not applied. Truncated and damaged files are
 * refused, and so is a size the file is too short for. On failure *out is empty. */
fvlm_status fvlm_rgb_load(fvlm_rgb *out, const char *path, fvlm_err *err);
fvlm_status fvlm_rgb_decode(fvlm_rgb *out, const uint8_t *bytes, size_t n_bytes, fvlm_err *err);
fvlm_status fvlm_rgb_square(fvlm_rgb *image, fvlm_err *err); /* pad black to a square, in place */
fvlm_status fvlm_rgb_resize(fvlm_rgb *image, uint32_t width, uint32_t height, fvlm_err *err);
void fvlm_rgb_free(fvlm_rgb *image);

typedef struct {
    uint32_t side;
    float *values; /* [side, side, 3], 0..1 */
} fvlm_pixels;

/* Load, square, resize and scale in one pass over the rows as they are decoded: the picture itself is
 * never held whole (but for interlaced PNG), and a thin strip costs no more than its own pixels. */
fvlm_status fvlm_pixels_load(fvlm_pixels *out, const char *path, uint32_t side, fvlm_err *err);
void fvlm_pixels_free(fvlm_pixels *p);

#endif
