/* SPDX-License-Identifier: Apache-2.0 */
/* resize.h - Pillow's 8-bit BICUBIC (src/libImaging/Resample.c), fed row by row. Private to reference/image. */
#ifndef FVLM_REFERENCE_IMAGE_RESIZE_H
#define FVLM_REFERENCE_IMAGE_RESIZE_H

#include "format/base/base.h"

/* The image lies at (left, top) of a black canvas, and the canvas is resized to out_width x out_height. Black adds
 * nothing to a sum, so the canvas takes neither memory nor time. */
typedef struct {
    uint32_t width, height, left, top;
    uint32_t canvas_width, canvas_height;
    uint32_t out_width, out_height;
} fvlm_resize_plan;

typedef struct fvlm_resizer fvlm_resizer;

/* cpu as fvlm_cpu_select (format/base/cpu.h) takes it; NULL: the best this machine has. */
fvlm_status fvlm_resizer_create(fvlm_resizer **out, const fvlm_resize_plan *plan, const char *cpu, fvlm_err *err);
void fvlm_resizer_destroy(fvlm_resizer **r);

/* The next row of the image, [width, 3]. Cannot fail; rows beyond height are ignored. */
void fvlm_resizer_push(fvlm_resizer *r, const uint8_t *rgb);

/* After the last row: the result, [out_height, out_width, 3]. */
void fvlm_resizer_get(fvlm_resizer *r, uint8_t *rgb);

#endif
