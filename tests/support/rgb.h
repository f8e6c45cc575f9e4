/* SPDX-License-Identifier: Apache-2.0 */
/* rgb.h - whole images, for tests that compare the decoders and the resizer one by one. */
#ifndef FVLM_TESTS_SUPPORT_RGB_H
#define FVLM_TESTS_SUPPORT_RGB_H

#include "reference/image/image.h"

typedef struct {
    uint32_t width, height;
    uint8_t *rgb; /* [height, width, 3] */
} test_rgb;

/* Through fvlm_image_decode. On failure *out is empty. */
fvlm_status test_rgb_decode(test_rgb *out, const uint8_t *bytes, size_t n_bytes, fvlm_picture picture, fvlm_err *err);

/* Pads black to a square, in bytes. */
void test_rgb_square(test_rgb *image);

/* Through fvlm_resizer. */
fvlm_status test_rgb_resize(test_rgb *image, uint32_t width, uint32_t height, const char *cpu, fvlm_err *err);
void test_rgb_free(test_rgb *image);

#endif
