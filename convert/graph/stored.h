/* SPDX-License-Identifier: Apache-2.0 */
/* stored.h - private to graph/: a part of a weight as rows of floats, or as integers with their scales, however the
 * file stores it: transposed, in blocks, in nibbles. Element (row, column) of the part is number row * row_step +
 * column * column_step of what is stored. */
#ifndef FVLM_CONVERT_GRAPH_STORED_H
#define FVLM_CONVERT_GRAPH_STORED_H

#include "convert/graph/match.h"
#include "convert/source/views.h"

/* Scales, zero points, or the elements of a float weight. */
typedef struct {
    const uint8_t *bytes; /* NULL: every element is 'constant' */
    unsigned type;        /* fvlm_source_type, or 0: integers of 'bits' bits */
    unsigned bits;        /* 8 or 4 */
    uint8_t flip;         /* turns a signed integer into an unsigned one: 8 or 128 */
    bool high_first;      /* the first of two nibbles is the high one */
    uint64_t row, stride; /* packed zero points: 'row' elements take 'stride', since rows end on a byte; row 0: flat */
    float constant;
} fvlm_stored_array;

typedef struct {
    fvlm_stored_array elements, scales, zeros, offsets; /* offsets: bytes NULL if there are none */
    uint64_t offsets_rows, offsets_groups;              /* of offsets [groups][rows]; 0: in the order of the scales */
    uint64_t n_rows, columns, first_row;
    uint64_t row_step, column_step;
    bool twice; /* what is read is doubled: elements, or scales */
    /* Integers only: the number of an element's scale is
     * element / outer_size * outer_scales + element % outer_size / along / block * along + element % along, without the
     * last term for a scale of a whole axis. */
    const float *table; /* of the 16 values of a code, for FVLM_PACKED_BNB4 */
    uint64_t outer_size, outer_scales, along, block;
    bool per_axis;
    uint64_t n_zeros; /* of the whole weight */
    uint64_t group;   /* columns that share a scale: 0, group, 2 * group, ... begin one; 1 if they do not lie so */
} fvlm_stored;

/* Interprets a part of a tensor with this many columns. Refuses what does not fit, with text in front: "tensor "x" of
 * node "y"". p must outlive *out. */
fvlm_status fvlm_stored_bind(fvlm_stored *out, const fvlm_match_part *p, uint64_t columns, const char *text,
                             fvlm_err *err);

/* The type of the container that has the same groups of the same codes; kind 0: none. */
fvlm_type fvlm_stored_type(const fvlm_stored *s);

/* Reads rows first .. first + n_rows - 1 of the part, columns from .. from + n_columns - 1, as elements of type 'as',
 * FVLM_SOURCE_F32 or the stored one; [n_rows][n_columns]. Integers are dequantized in f32, as onnxruntime does. */
typedef struct {
    uint64_t first, n_rows, from, n_columns;
} fvlm_stored_range;
void fvlm_stored_read(const fvlm_stored *s, fvlm_stored_range range, unsigned as, uint8_t *out);

/* Codes, scales and offsets of the same, for whole rows; [n_rows][groups of type]. */
void fvlm_stored_codes(const fvlm_stored *s, uint64_t first, size_t n_rows, fvlm_type type, fvlm_source_codes out);

#endif
