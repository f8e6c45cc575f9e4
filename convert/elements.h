/* SPDX-License-Identifier: Apache-2.0 */
/* elements.h - elements of a source tensor: decoded exactly to f64, checked, and rounded once to a type of the
 * container. */
#ifndef FVLM_CONVERT_ELEMENTS_H
#define FVLM_CONVERT_ELEMENTS_H

#include "convert/source/source.h"

/* n elements to f64, exactly; src_type is F32, F16 or BF16. */
void fvlm_elements_decode(unsigned src_type, const uint8_t *raw, size_t n, double *out);

/* Index of the first NaN or infinity; n if all are finite. */
size_t fvlm_elements_check(unsigned src_type, const uint8_t *raw, size_t n);

/* The container's type with the same bits as the source type. */
fvlm_type fvlm_elements_keep(unsigned src_type);

/* f64 to type with one rounding, to nearest, ties to even. Returns the index of the first value that overflows the
 * type (for f16 above 65504); n if all fit. */
size_t fvlm_elements_encode(fvlm_type type, const double *x, size_t n, void *out);

/* The same as decode, then encode, but copies or shifts bits where that is enough. raw must be finite. */
size_t fvlm_elements_convert(unsigned src_type, const uint8_t *raw, fvlm_type type, size_t n, void *out);

/* Refusals that name the element: "tensor "x": element [3, 7] is ..." */
fvlm_status fvlm_elements_not_finite(const fvlm_source_tensor *t, uint64_t index, fvlm_err *err);
fvlm_status fvlm_elements_too_large(const char *module, const char *what, uint64_t row, uint64_t column, fvlm_type type,
                                    fvlm_err *err);

/* A whole vector as f64; refuses NaN and infinity. *out is malloc'd, and NULL on failure or if t is NULL. */
fvlm_status fvlm_elements_read(const fvlm_source *src, const fvlm_source_tensor *t, double **out, fvlm_err *err);

#endif
