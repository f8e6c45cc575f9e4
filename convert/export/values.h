/* SPDX-License-Identifier: Apache-2.0 */
/* values.h - private to convert/export: the values of a tensor, row by row in logical order ([out, in, kh, kw] with
 * the last dimension fastest), whatever its type and layout; and rows rounded to a float type. */
#ifndef FVLM_CONVERT_EXPORT_VALUES_H
#define FVLM_CONVERT_EXPORT_VALUES_H

#include "convert/export/target.h"
#include "format/decode.h"
#include "format/reader.h"

typedef struct {
    const fvlm_tensor *tensor;
    const uint8_t *bytes; /* mapped */
    fvlm_weight weight;   /* of panels */
    uint64_t rows;
    size_t cols; /* of a row; a vector is one row */
    size_t taps; /* kernel elements of a convolution in panels, 1 for a matrix */
} fvlm_export_values;

/* Refuses a tensor that is missing. */
fvlm_status fvlm_export_values_open(fvlm_export_values *v, const fvlm_reader *r, const char *name, fvlm_err *err);

/* Row n: v->cols values, bit for bit those that the executor computes with in f32 mode. scratch holds as many. */
void fvlm_export_values_row(const fvlm_export_values *v, uint64_t n, float *out, float *scratch);

/* Writes row n of the tensor called name in a float type, rounded to nearest, ties to even. t->scratch holds its cols
 * values and space for as many again. Adds to t what rounding changed. Refuses NaN, infinity, and what overflows f16.
 */
fvlm_status fvlm_export_round_row(const char *name, uint64_t n, size_t cols, fvlm_type type, fvlm_export_thread *t,
                                  uint8_t *out, fvlm_err *err);

/* A whole tensor of one row, malloc'd. */
fvlm_status fvlm_export_values_vector(float **out, const fvlm_reader *r, const char *name, fvlm_err *err);

#endif
