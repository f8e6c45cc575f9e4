/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_elements.h - private to export/: the elements of a stored tensor in the orders that ONNX wants, as contents of
 * initializers (fvlm_onnx_fill). */
#ifndef FVLM_CONVERT_EXPORT_ONNX_ELEMENTS_H
#define FVLM_CONVERT_EXPORT_ONNX_ELEMENTS_H

#include "convert/export/onnx_graph.h"
#include "format/decode.h"
#include "format/reader.h"

/* A tensor as n rows of k inputs; bytes are those of the file's mapping. The container numbers the inputs of a
 * convolution (tap, channel), ONNX (channel, tap). */
typedef struct {
    const char *name;
    fvlm_type type;
    fvlm_layout layout;
    const uint8_t *bytes;
    fvlm_weight weight; /* of a tensor in panels */
    size_t n, k, taps;
    bool transposed; /* [k][n] (offsets: [groups][n]) instead of [n][k] */
    fvlm_type as;    /* of floats in the output */
    uint8_t flip;    /* codes: 2^(bits-1) to make them signed, else 0 */
    size_t row;      /* codes of MatMulNBits: k padded to whole blocks */
} fvlm_onnx_elements;

/* Refuses what cannot be bound: see fvlm_weight_bind. */
fvlm_status fvlm_onnx_elements_bind(fvlm_onnx_elements *e, const fvlm_reader *r, const fvlm_tensor *t, fvlm_err *err);

bool fvlm_onnx_fill_floats(const void *of, uint64_t first, size_t n, uint8_t *out);
bool fvlm_onnx_fill_codes8(const void *of, uint64_t first, size_t n, uint8_t *out); /* a byte each, [n][k] */
bool fvlm_onnx_fill_codes4(const void *of, uint64_t first, size_t n, uint8_t *out); /* 4-bit elements, [n][k] */
bool fvlm_onnx_fill_blocks(const void *of, uint64_t first, size_t n, uint8_t *out); /* bytes of [n][row] codes */
bool fvlm_onnx_fill_scales(const void *of, uint64_t first, size_t n, uint8_t *out); /* f32 [n][groups] */
bool fvlm_onnx_fill_offsets(const void *of, uint64_t first, size_t n, uint8_t *out);
bool fvlm_onnx_fill_zeros(const void *of, uint64_t first, size_t n, uint8_t *out); /* bytes */

/* E of onnx_layers.h: f32, [k][groups], or transposed [groups][k]. */
bool fvlm_onnx_fill_groups(const void *of, uint64_t first, size_t n, uint8_t *out);

#endif
