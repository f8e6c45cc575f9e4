/* SPDX-License-Identifier: Apache-2.0 */
/* decode.h - what the stored bytes of a tensor mean, as plain code (SPEC.md, section 4).
 *
 * This is the definition that everything else is tested against: quant/ encodes and reference/ops/kernels
 * decode in SIMD with code of their own, and the tests compare all three bit for bit. */
#ifndef FVLM_FORMAT_DECODE_H
#define FVLM_FORMAT_DECODE_H

#include "format/tensor.h"

/* n stored floats, little-endian, as f32. type is f32, f16 or bf16; bytes holds
 * n * fvlm_type_float_bytes(type) and needs no alignment. Exact. */
void fvlm_decode_floats(fvlm_type type, const uint8_t *bytes, size_t n, float *out);

/* Writes "llm.embed.weight[17,3]": the index of stored element number at, which counts in storage order from 0, in the
 * tensor's own dimensions. Returns out. */
#define FVLM_MAX_ELEMENT_NAME (FVLM_MAX_NAME + 96)
const char *fvlm_element_name(const fvlm_tensor *t, uint64_t at, char out[FVLM_MAX_ELEMENT_NAME]);

/* A matrix in panels (types.h): pointers into the tensor's bytes, borrowed. */
typedef struct {
    fvlm_matrix m;
    const uint8_t *values;
    const uint16_t *scales, *offsets; /* bf16; NULL for float types; offsets also NULL if symmetric */
} fvlm_weight;

/* Points w into bytes, the t->n_bytes bytes of tensor t, which must outlive w. Refuses a tensor that is not in
 * panels, one whose size is not what its type and shape need, and groups of more than 65536 inputs. */
fvlm_status fvlm_weight_bind(fvlm_weight *w, const fvlm_tensor *t, const uint8_t *bytes, fvlm_err *err);

/* The stored integer of row n and input k, 0 to 2^bits - 1; of an integer type. */
unsigned fvlm_weight_code(const fvlm_weight *w, size_t n, size_t k);

/* Row n as m.k floats: bit for bit what the executor multiplies with in f32 mode. */
void fvlm_weight_row(const fvlm_weight *w, size_t n, float *out);

#endif
