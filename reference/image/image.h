/* SPDX-License-Identifier: Apache-2.0 */
/* image.h - from an image file to the pixels FastVLM was trained on: decoded, padded black to a square, resized as
 * Pillow's BICUBIC does, divided by 255.
 *
 * Every step gives what upstream gives (Apple's predict.py: PIL.Image.open(f).convert("RGB"), expand2square,
 * CLIPImageProcessor), bit for bit where the JPEG decoder is the same version. */
#ifndef FVLM_REFERENCE_IMAGE_IMAGE_H
#define FVLM_REFERENCE_IMAGE_IMAGE_H

#include "format/base/base.h"

typedef struct {
    uint32_t side;
    float *values; /* [side, side, 3], 0..1; owned */
} fvlm_pixels;

/* Reads a file of a format that formats.h lists. Rows are resized as they are decoded: the image itself is never held
 * whole (except an interlaced PNG), and a thin strip costs no more than its own pixels. Refuses sizes over the limits
 * of formats.h. cpu as fvlm_cpu_select (format/base/cpu.h) takes it, NULL for the best; the values do not depend on it.
 * On failure *out is empty. Safe from several threads. */
fvlm_status fvlm_pixels_load(fvlm_pixels *out, const char *path, uint32_t side, const char *cpu, fvlm_err *err);
void fvlm_pixels_free(fvlm_pixels *p);

#endif
