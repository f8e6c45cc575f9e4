/* SPDX-License-Identifier: Apache-2.0 */
/* stem.h - the tower's first two convolutions, a band of rows at a time. Private to reference/. */
#ifndef FVLM_REFERENCE_STEM_H
#define FVLM_REFERENCE_STEM_H

#include "reference/bind.h"

#define FVLM_STEM_BAND 16 /* rows of the second convolution that are computed together */

/* Rows [first, end) of a convolution's output. The top halo rows, 0 or 1, come out wrong. */
typedef struct {
    size_t first, end, halo;
} fvlm_stem_rows;

/* Drawn in stem.c. */
typedef struct {
    size_t pixel, pixel_end;     /* rows of the image that are read */
    fvlm_stem_rows half, output; /* of the first and of the second convolution */
} fvlm_stem_band;

/* Band i, from the top, of the bands of a second convolution with that many output rows. */
fvlm_stem_band fvlm_stem_band_at(size_t rows, size_t i);
size_t fvlm_stem_count_bands(size_t rows);

/* Floats of scratch for an image of that side and a stem of dim channels. */
size_t fvlm_stem_scratch(size_t side, size_t dim);

/* gelu(stem1(gelu(stem0(pixels)))): output [side / 4, side / 4, dim]. */
void fvlm_stem_run(fvlm_exec *e, const fvlm_vision_weights *v, const fvlm_pixels *pixels, float *scratch,
                   float *output);

#endif
