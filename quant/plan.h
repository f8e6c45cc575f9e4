/* SPDX-License-Identifier: Apache-2.0 */
/* plan.h - inside quant/: what is to be done with every tensor. */
#ifndef FVLM_QUANT_PLAN_H
#define FVLM_QUANT_PLAN_H

#include <jansson.h>

#include "format/tensors.h"
#include "quant/quant.h"

/* What a tensor is to quantization, told by its layout: matrices are the bulk of the model. */
typedef enum { FVLM_QUANT_MATRIX, FVLM_QUANT_TAPS, FVLM_QUANT_VECTOR } fvlm_quant_role;

typedef struct {
    const fvlm_tensor *source;
    fvlm_part part;
    fvlm_quant_role role;
    fvlm_type type;     /* what it becomes */
    uint64_t n_bytes;   /* what it will take */
    uint64_t n_weights; /* without padding */
    double sums[2];     /* squared error, squared norm; after writing */
} fvlm_quant_item;

struct fvlm_quantization {
    fvlm_quant_options options;
    fvlm_reader *reader;
    fvlm_quant_item *items; /* in the order the tensors lie in the source */
    size_t n_items;
    bool written;
    uint64_t bytes_after; /* of the file once written, of the plan before */
};

/* The rules of --set, compiled. */
typedef struct fvlm_quant_rules fvlm_quant_rules;
fvlm_status fvlm_quant_rules_create(fvlm_quant_rules **out, const fvlm_quant_rule *rules, size_t n, fvlm_err *err);
void fvlm_quant_rules_destroy(fvlm_quant_rules **r);
/* The last rule that matches decides: *type changes (or becomes 'keep'); *by is its regex, NULL if none matched. */
fvlm_status fvlm_quant_rules_apply(fvlm_quant_rules *r, const char *name, fvlm_type keep, fvlm_type *type,
                                   const char **by, fvlm_err *err);
fvlm_status fvlm_quant_rules_all_used(const fvlm_quant_rules *r, fvlm_err *err);

/* The metadata of the new file: the source's, and what was done appended to "transforms". */
json_t *fvlm_quant_metadata(const fvlm_quantization *q);

#endif
