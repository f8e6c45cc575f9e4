/* SPDX-License-Identifier: Apache-2.0 */
/* quantization_report.h - what a quantization will do and, once written, has done, as plain structs. Texts are borrowed
 * from the quantization and valid until it is freed. */
#ifndef FVLM_QUANT_QUANTIZATION_REPORT_H
#define FVLM_QUANT_QUANTIZATION_REPORT_H

#include "quant/quant.h"

struct json_t; /* of <jansson.h> */

typedef struct {
    size_t n_tensors;
    uint64_t bytes_before, bytes_after; /* of the files; bytes_after is an estimate until written */
    bool written;
    size_t n_rules;
    const size_t *n_left; /* [n_rules] tensors that the rule matches and its type does not fit */
} fvlm_quantization_report;

/* One tensor, or all tensors of one family and type. */
typedef struct {
    const char *family;        /* "llm ffn", "biases and norms", ... */
    const fvlm_tensor *source; /* NULL for a family */
    fvlm_type type;            /* of the result */
    size_t n_tensors;
    uint64_t n_weights, bytes_before, n_bytes;
    double bits_per_weight;
    double error; /* relative L2 error of the weights; after writing */
} fvlm_quantization_row;

void fvlm_quantization_describe(const fvlm_quantization *q, fvlm_quantization_report *out);

/* Tensor i, in the order of the source file. */
void fvlm_quantization_describe_tensor(const fvlm_quantization *q, size_t i, fvlm_quantization_row *out);

/* The family and type of tensor i; false if an earlier tensor has the same. */
bool fvlm_quantization_describe_family(const fvlm_quantization *q, size_t i, fvlm_quantization_row *out);

/* All of it as JSON; NULL if out of memory. The caller owns it. */
struct json_t *fvlm_quantization_report_json(const fvlm_quantization *q);

#endif
