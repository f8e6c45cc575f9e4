/* SPDX-License-Identifier: Apache-2.0 */
/* conversion.h - inside of a conversion; conversion.c does it, report.c tells about it. */
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
    fvlm_checkpoint checkpoint;
    fvlm_names names;
    fvlm_planned *planned; /* one a recipe */
    size_t n_tensors, n_fused;
    uint64_t tensor_bytes;
    bool written;
    double seconds;
};

/* The container's metadata: config, provenance, and where each tensor comes from; caller owns. No times, no
 * folders: the same source, version and options give the same text. NULL when memory is out. */
json_t *fvlm_conversion_metadata(const fvlm_conversion *c);

#endif
