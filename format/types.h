/* SPDX-License-Identifier: Apache-2.0 */
/* types.h - element types and physical layouts of tensors in a .fvlm file.
 *
 * A type is data, not a name from a list: float width, or {bits, symmetric or
 * asymmetric, group size}. Layout is address arithmetic only: this file knows
 * where a value lies, never what it means. Encoding lives in quant/, decoding in
 * reference/, written apart. SPEC.md is the prose of this header. */
#ifndef FVLM_FORMAT_TYPES_H
#define FVLM_FORMAT_TYPES_H

#include "format/base/base.h"

typedef enum { FVLM_F32 = 1, FVLM_F16 = 2, FVLM_BF16 = 3, FVLM_INT = 4 } fvlm_kind;

typedef struct {
    uint8_t kind;       /* fvlm_kind */
    uint8_t bits;       /* FVLM_INT: 8 or 4, else 0 */
    uint8_t asymmetric; /* FVLM_INT: 1 = scale and offset a group, 0 = scale only */
    uint16_t group;     /* FVLM_INT: 32, 64, 128 inputs to a group, or 0 = the whole row */
} fvlm_type;

/* FVLM_INT values: q is unsigned, 0 .. 2^bits - 1.
 *   symmetric:   w = scale * (q - 2^(bits-1))     every q may occur; scale may be negative, so that the
 *                                                 extreme value of a group can take the longer end
 *   asymmetric:  w = scale * q + offset
 * scale and offset are bf16: the range of f32, so that layer-scaled rows (1e-5
 * times a weight) cannot underflow as they would in f16; what bf16 loses in
 * mantissa costs nothing, since q is rounded against the stored scale. */

/* "f32" "f16" "bf16" "int8-sym-g32" "int4-asym-g64" "int8-sym-row" ... and the
 * short forms "int8" = int8-sym-g64 and "int4" = int4-asym-g64. */
fvlm_status fvlm_type_parse(fvlm_type *out, const char *text, fvlm_err *err);
const char *fvlm_type_name(fvlm_type t, char out[24]); /* canonical long form; returns out */
bool fvlm_type_valid(fvlm_type t);
bool fvlm_type_equal(fvlm_type a, fvlm_type b);
size_t fvlm_type_float_bytes(fvlm_type t); /* 4 or 2; 0 for FVLM_INT */

typedef enum {
    FVLM_ROWS = 1,   /* logical order, row-major; float types only                     */
    FVLM_PANELS = 2, /* a matrix in panels of 16 output rows; any type                  */
    FVLM_TAPS = 3    /* depthwise kernel [C,1,kh,kw] stored [kh][kw][C]; float types only */
} fvlm_layout;

const char *fvlm_layout_name(unsigned layout); /* "rows" "panels" "taps"; "?" for any other number */

#define FVLM_MAX_RANK 4
#define FVLM_PANEL 16 /* output rows to a panel */

/* Where everything of a FVLM_PANELS tensor lies. A logical tensor [N, ...] is the
 * matrix [N, K], K = product of the other dims; for a convolution [N,I,kh,kw] the
 * inputs run k = (y*kw + x)*I + i.
 *
 * float (N16K1):   value(n,k) at element (n/16 * k_padded + k)*16 + n%16; k_padded = K.
 * int8 (N16K4):    q(n,k) at byte (n/16)*panel_bytes + (k/4)*64 + (n%16)*4 + k%4; K padded to 4.
 * int4 (N16K4 x2): tile t = k/4: byte (n/16)*panel_bytes + (t/2)*64 + (n%16)*4 + k%4,
 *                  low nibble for even t, high nibble for odd t; K padded to 8.
 * scale(n,g)  at bf16 element (n/16 * n_groups + g)*16 + n%16 from scales_at,
 * offset(n,g) likewise from offsets_at (asymmetric only).
 * Group g covers inputs g*group .. min(K, (g+1)*group) - 1: the last may be short.
 * Everything padded is zero. scales_at and offsets_at are 64-byte aligned. */
typedef struct {
    fvlm_type type;
    size_t n, k;        /* logical output rows, inputs                              */
    size_t n_panels;    /* ceil(n / 16)                                             */
    size_t k_padded;    /* inputs stored to a row                                   */
    size_t group;       /* inputs to a group (k for "row"; 0 for floats)            */
    size_t n_groups;    /* groups to a row (0 for floats)                           */
    size_t panel_bytes; /* bytes of one panel's values                              */
    size_t scales_at;   /* byte offset of the scales from the tensor's start        */
    size_t offsets_at;  /* byte offset of the offsets (asymmetric), else n_bytes    */
    size_t n_bytes;     /* the whole tensor                                         */
} fvlm_matrix;

fvlm_status fvlm_matrix_layout(fvlm_matrix *out, fvlm_type t, uint64_t n, uint64_t k, fvlm_err *err);

/* Byte position (and nibble shift, 0 or 4) of one integer; element index of one
 * float; element index of a scale or offset. n < m->n, k < m->k, g < m->n_groups. */
size_t fvlm_matrix_q_at(const fvlm_matrix *m, size_t n, size_t k, unsigned *shift);
size_t fvlm_matrix_float_at(const fvlm_matrix *m, size_t n, size_t k);
size_t fvlm_matrix_scale_at(const fvlm_matrix *m, size_t n, size_t g);

/* Bytes a tensor takes in a layout; refuses combinations that do not exist. */
fvlm_status fvlm_type_tensor_bytes(uint64_t *out, fvlm_type t, fvlm_layout l, unsigned rank, const uint64_t *dims,
                                   fvlm_err *err);

#endif
