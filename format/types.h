/* SPDX-License-Identifier: Apache-2.0 */
/* types.h - element types of tensors, and where a layout stores each value. SPEC.md, section 4.
 *
 * A type is data, not an entry in a list of names: a float width, or {bits, symmetric or asymmetric, group size}.
 * This file is address arithmetic only; decode.h says what the values at those addresses mean. */
#ifndef FVLM_FORMAT_TYPES_H
#define FVLM_FORMAT_TYPES_H

#include "format/base/base.h"

typedef enum { FVLM_F32 = 1, FVLM_F16 = 2, FVLM_BF16 = 3, FVLM_INT = 4 } fvlm_kind;

typedef struct {
    uint8_t kind;       /* fvlm_kind */
    uint8_t bits;       /* FVLM_INT: 8 or 4, else 0 */
    uint8_t asymmetric; /* FVLM_INT: 1 = scale and offset per group, 0 = scale only */
    uint16_t group;     /* FVLM_INT: inputs per group: 32, 64, 128, or 0 = the whole row */
} fvlm_type;

/* FVLM_INT values: q is unsigned, 0 .. 2^bits - 1.
 *   symmetric:   w = scale * (q - 2^(bits-1))   every q may occur; scale may be negative, so that the extreme value of
 *                                               a group can use the side that has one code more
 *   asymmetric:  w = scale * q + offset
 * scale and offset are bf16, which has the range of f32: rows that a layer scale of 1e-5 was folded into would
 * underflow in f16. The short mantissa costs nothing, since q is rounded against the stored scale. */

/* "f32" "f16" "bf16" "int8-sym-g32" "int4-asym-g64" "int8-sym-row" ..., and the short forms "int8" = int8-sym-g64 and
 * "int4" = int4-asym-g64. Anything else is FVLM_USAGE. */
fvlm_status fvlm_type_parse(fvlm_type *out, const char *text, fvlm_err *err);
const char *fvlm_type_name(fvlm_type t, char out[24]); /* the long form; returns out */
bool fvlm_type_valid(fvlm_type t);
bool fvlm_type_equal(fvlm_type a, fvlm_type b);
size_t fvlm_type_float_bytes(fvlm_type t); /* 4 or 2; 0 for FVLM_INT */

typedef enum {
    FVLM_ROWS = 1,   /* logical order, row-major; float types only */
    FVLM_PANELS = 2, /* a matrix in panels of 16 output rows; any type */
    FVLM_TAPS = 3    /* depthwise kernel [C,1,kh,kw] stored [kh][kw][C]; float types only */
} fvlm_layout;

const char *fvlm_layout_name(unsigned layout); /* "rows" "panels" "taps"; "?" for any other number */

#define FVLM_MAX_RANK 4
#define FVLM_PANEL 16 /* output rows in a panel */

/* Where a tensor in panels stores its values. The logical tensor [N, ...] is the matrix [N, K], K = the product of the
 * other dimensions; a convolution [N, I, kh, kw] has its inputs in the order k = (y*kw + x)*I + i.
 *
 * float (N16K1):   value(n,k) at element (n/16 * k_padded + k)*16 + n%16; k_padded = K.
 * int8 (N16K4):    q(n,k) at byte (n/16)*panel_bytes + (k/4)*64 + (n%16)*4 + k%4; K padded to 4.
 * int4 (N16K4 x2): tile t = k/4: byte (n/16)*panel_bytes + (t/2)*64 + (n%16)*4 + k%4,
 *                  low nibble for even t, high nibble for odd t; K padded to 8.
 * scale(n,g)  at bf16 element (n/16 * n_groups + g)*16 + n%16 from scales_at,
 * offset(n,g) likewise from offsets_at (asymmetric only).
 * Group g covers inputs g*group .. min(K, (g+1)*group) - 1: the last may be short.
 * Padding is zero. scales_at and offsets_at are multiples of 64. */
typedef struct {
    fvlm_type type;
    size_t n, k;        /* output rows and inputs, without padding */
    size_t n_panels;    /* ceil(n / 16) */
    size_t k_padded;    /* inputs stored per row */
    size_t group;       /* inputs per group (k for "row"; 0 for floats) */
    size_t n_groups;    /* groups per row (0 for floats) */
    size_t panel_bytes; /* bytes of one panel's values */
    size_t scales_at;   /* byte offset of the scales from the tensor's start */
    size_t offsets_at;  /* byte offset of the offsets (asymmetric), else n_bytes */
    size_t n_bytes;     /* the whole tensor */
} fvlm_matrix;

/* Refuses invalid types, n or k of 0, and what does not fit size_t. */
fvlm_status fvlm_matrix_layout(fvlm_matrix *out, fvlm_type t, uint64_t n, uint64_t k, fvlm_err *err);

/* Byte offset of an integer (*shift: 0 or 4, of its bits in that byte); element index of a float; element index of a
 * scale or offset. n < m->n, k < m->k, g < m->n_groups. */
size_t fvlm_matrix_q_at(const fvlm_matrix *m, size_t n, size_t k, unsigned *shift);
size_t fvlm_matrix_float_at(const fvlm_matrix *m, size_t n, size_t k);
size_t fvlm_matrix_scale_at(const fvlm_matrix *m, size_t n, size_t g);

/* Bytes that a tensor takes, for any layout. Refuses dimensions of 0, sizes beyond 64 bits, integers outside panels,
 * and taps of a shape that is not [C, 1, kh, kw]. */
fvlm_status fvlm_type_tensor_bytes(uint64_t *out, fvlm_type t, fvlm_layout l, unsigned rank, const uint64_t *dims,
                                   fvlm_err *err);

#endif
