/* SPDX-License-Identifier: Apache-2.0 */
/* export_names.h - private to convert/export: what upstream's programs call the modules of a model. */
#ifndef FVLM_CONVERT_EXPORT_EXPORT_NAMES_H
#define FVLM_CONVERT_EXPORT_EXPORT_NAMES_H

#include "format/tensors.h"

#define FVLM_EXPORT_MAX_NAME 128

typedef enum { FVLM_EXPORT_APPLE, FVLM_EXPORT_TRANSFORMERS } fvlm_export_naming;

/* What a .fvlm file has folded into others, in the block of a module. */
typedef enum {
    FVLM_FOLDED_BATCH_NORM,   /* after ffn.dw */
    FVLM_FOLDED_NORM,         /* before attn.qkv */
    FVLM_FOLDED_LAYER_SCALE,  /* of a RepMixer block, in ffn.fc2; a whole tensor's name */
    FVLM_FOLDED_LAYER_SCALE1, /* of an attention block, in attn.proj; the same */
    FVLM_FOLDED_LAYER_SCALE2, /* of an attention block, in ffn.fc2; the same */
} fvlm_folded;

/* "model.layers.3.mlp.up_proj.weight": the name of the tensor at. Returns out. */
const char *fvlm_export_name(fvlm_export_naming n, const fvlm_tensors *at, char out[FVLM_EXPORT_MAX_NAME]);

/* The same for a folded module, in the block that at is in, with end ("weight") behind a dot; "": nothing is added. */
const char *fvlm_export_name_folded(fvlm_export_naming n, const fvlm_tensors *at, fvlm_folded what, const char *end,
                                    char out[FVLM_EXPORT_MAX_NAME]);

#endif
