/* SPDX-License-Identifier: Apache-2.0 */
/* conversion.h - the inside of a conversion; private to convert/. conversion.c plans and runs it,
 * conversion_report.c describes it, conversion_json.c writes it as JSON. */
#ifndef FVLM_CONVERT_CONVERSION_H
#define FVLM_CONVERT_CONVERSION_H

#include <jansson.h>

#include "convert/checkpoint.h"
#include "convert/convert.h"
#include "convert/names/names.h"
#include "convert/pack.h"

typedef struct {
    fvlm_packing packing;
    uint64_t weight_bytes, bias_bytes; /* as stored */
} fvlm_planned;

struct fvlm_conversion {
    fvlm_convert_options options; /* strings borrowed from the caller */
    fvlm_source *source;
    fvlm_naming naming;
    fvlm_checkpoint checkpoint;
    fvlm_names names;
    fvlm_planned *planned;                             /* for each recipe */
    size_t n_tensors, n_fused, n_codes, n_dequantized; /* the last two: weights */
    uint64_t tensor_bytes;
    bool onnx; /* the source is one of graphs */
    bool written;
    double seconds;
};

/* The container's metadata: config, provenance, and the origin of each tensor. Holds no times and no folders, so that
 * the same source, version and options give the same text. The caller owns it; NULL if out of memory. */
json_t *fvlm_conversion_metadata(const fvlm_conversion *c);

#endif
