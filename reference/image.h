/* image.h - a picture file to the pixels FastVLM was trained on: decoded, padded
 * black to a square, resized as Pillow's BICUBIC does, divided by 255. */
#ifndef FVLM_IMAGE_H
#define FVLM_IMAGE_H

#include "format/base.h"

typedef struct {
    uint32_t width, height;
    uint8_t *rgb; /* [height, width, 3] */
} fvlm_rgb;

/* JPEG or PNG, told by their first bytes; as Pillow's convert("RGB") sees it: alpha dropped,
 * palette and gray expanded, 16-bit and CMYK as Pillow reduces them, EXIF orientation not applied.
 * At most 5e8 pixels. */
fvlm_status fvlm_rgb_load(fvlm_rgb *out, const char *path, fvlm_err *err);
fvlm_status fvlm_rgb_square(fvlm_rgb *image, fvlm_err *err); /* pad to square, in place */
fvlm_status fvlm_rgb_resize(fvlm_rgb *image, uint32_t width, uint32_t height, fvlm_err *err);
void fvlm_rgb_free(fvlm_rgb *image);

typedef struct {
    uint32_t side;
    float *values; /* [side, side, 3], 0..1 */
} fvlm_pixels;

fvlm_status fvlm_pixels_load(fvlm_pixels *out, const char *path, uint32_t side, fvlm_err *err);
void fvlm_pixels_free(fvlm_pixels *p);

#endif
