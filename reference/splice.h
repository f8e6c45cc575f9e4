/* SPDX-License-Identifier: Apache-2.0 */
/* splice.h - the order in which a picture's rows follow each other: the overview's, then the tiles', merged as
 * config.tiles.merge says (SPEC.md, section 5.1). Private to reference/. */
#ifndef FVLM_REFERENCE_SPLICE_H
#define FVLM_REFERENCE_SPLICE_H

#include "reference/image/tiles.h"
#include "reference/reference.h"

typedef struct {
    fvlm_merge merge;
    size_t side;                     /* tokens a side of each square */
    size_t columns;                  /* of tiles; 0: none */
    size_t top, bottom, left, right; /* the tokens of all tiles' grid that are kept; not for FVLM_MERGE_FLAT */
    size_t newlines;                 /* rows that end with projector.newline */
    size_t tokens;                   /* in all */
} fvlm_splice;

fvlm_splice fvlm_splice_plan(const fvlm_config *c, const fvlm_tiles *t);

/* Copies a square's rows [side * side, width] to where they belong among all of them; square 0 is the overview. Returns
 * how many are kept. */
size_t fvlm_splice_copy(const fvlm_splice *s, size_t square, const float *from, size_t width, float *rows);

/* Copies the newline [width] to where it belongs. */
void fvlm_splice_copy_newlines(const fvlm_splice *s, const float *newline, size_t width, float *rows);

#endif
