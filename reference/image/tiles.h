/* SPDX-License-Identifier: Apache-2.0 */
/* tiles.h - from an image file to the squares that the tower takes: one, padded black (image.h); or an overview and
 * tiles, as LLaVA's process_anyres_image makes them. SPEC.md, section 5.1, has every rounding.
 *
 * The overview is the whole picture stretched to a square. For the tiles the picture is resized, its proportions kept,
 * to one of several sizes, put in the middle of a black canvas of that size, and the canvas is cut row by row. */
#ifndef FVLM_REFERENCE_IMAGE_TILES_H
#define FVLM_REFERENCE_IMAGE_TILES_H

#include "reference/image/image.h"

typedef struct {
    uint32_t columns, rows; /* of tiles; 0: none */
    uint32_t width, height; /* the picture's own, as it is to be read */
    fvlm_pixels overview;   /* without tiles the picture, padded. Its notes are those of the picture. Owned */
    uint8_t *rgb;           /* [inner_height, inner_width, 3], at (left, top) of the canvas; owned */
    uint32_t inner_width, inner_height, left, top;
} fvlm_tiles;

/* sizes: n_sizes widths and heights of the canvas to choose from, multiples of o->side; none: no tiles. The file is
 * read as fvlm_pixels_load does, once. Besides that it holds the chosen canvas, in 15 bytes a pixel while it decodes, 3
 * afterwards. On failure *out is empty. */
fvlm_status fvlm_tiles_load(fvlm_tiles *out, const char *path, const fvlm_pixels_options *o, const uint32_t (*sizes)[2],
                            size_t n_sizes, fvlm_err *err);
void fvlm_tiles_free(fvlm_tiles *t);

size_t fvlm_tiles_count(const fvlm_tiles *t); /* of squares: the overview and the tiles */

/* Values of tile i, counted row by row, [side, side, 3] with the overview's side, as in fvlm_pixels. */
void fvlm_tiles_get(const fvlm_tiles *t, size_t i, float *values);

/* The index of the size for a picture: LLaVA's select_best_resolution. Nothing is 0. */
size_t fvlm_tiles_choose(const uint32_t (*sizes)[2], size_t n_sizes, uint32_t width, uint32_t height);

#endif
