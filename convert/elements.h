/* SPDX-License-Identifier: Apache-2.0 */
/* elements.h - numbers of a source: exact into f64, checked, rounded once into the container's types. */
#ifndef FVLM_CONVERT_ELEMENTS_H
#define FVLM_CONVERT_ELEMENTS_H

#include "convert/source/source.h"

/* n elements to f64; exact for every type that holds weights. */
void fvlm_elements_decode(unsigned src_type, const uint8_t *raw, size_t n, double *out);

/* Index of the first NaN or infinity, n if all are finite. */
size_t fvlm_elements_check(unsigned src_type, const uint8_t *raw, size_t n);

/* The container's type that holds a source type without loss. */
fvlm_type fvlm_elements_keep(unsigned src_type);

/* f64 to type, one rounding (to nearest, ties to even), little-endian at out. Returns the index of the
 * first value too large for the type (> 65504 for f16), n if all fit. */
size_t fvlm_elements_encode(fvlm_type type, const double *x, size_t n, void *out);

/* Stored elements to type without a detour where bits can stay or be shifted; the same result and return
 * value as decode then encode. raw must be finite. */
size_t fvlm_elements_convert(unsigned src_type, const uint8_t *raw, fvlm_type type, size_t n, void *out);

/* Refusals with the element's place: "tensor "x": element [3, 7] is nan; ..." */
fvlm_status fvlm_elements_not_finite(const fvlm_source_tensor *t, uint64_t index, fvlm_err *err);
fvlm_status fvlm_elements_too_large(const char *name, uint64_t row, uint64_t column, fvlm_type type, fvlm_err *err);

/* All of a tensor as f64, finite; *out is malloc'd. For vectors and small kernels. */
fvlm_status fvlm_elements_read(const fvlm_source *src, const fvlm_source_tensor *t, double **out, fvlm_err *err);

#endif
