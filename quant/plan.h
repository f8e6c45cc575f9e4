/* SPDX-License-Identifier: Apache-2.0 */
/* plan.h - private to quant/: what happens to each tensor. */
#ifndef FVLM_QUANT_PLAN_H
#define FVLM_QUANT_PLAN_H

#include "format/base/cpu.h"
#include "format/tensors.h"
#include "quant/quant.h"

struct json_t; /* of <jansson.h> */

/* What a tensor is to quantization; its layout tells, but for the stem's. */
typedef enum { FVLM_QUANT_MATRIX, FVLM_QUANT_TAPS, FVLM_QUANT_VECTOR } fvlm_quant_role;

typedef struct {
    const fvlm_tensor *source;
    fvlm_part part;
    fvlm_quant_role role;
    fvlm_type type;     /* of the result */
    uint64_t n_bytes;   /* of the result */
    uint64_t n_weights; /* without padding */
    double sums[2];     /* squared error, squared norm; after writing */
} fvlm_quant_item;

struct fvlm_quantization {
    fvlm_quant_options options;
    fvlm_cpu cpu;
    fvlm_reader *reader;
    fvlm_quant_item *items; /* [n_items], in the order of the tensors in the source file */
    size_t n_items;
    size_t *n_left; /* [options.n_rules] tensors that the rule matches and its type does not fit */
    bool written;
    uint64_t bytes_after; /* size of the new file; before writing, an estimate */
};

/* The source's metadata with an entry for q appended to "transforms". Caller owns; NULL if out of memory. */
struct json_t *fvlm_quantization_metadata(const fvlm_quantization *q);

#endif
