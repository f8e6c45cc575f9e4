/* SPDX-License-Identifier: Apache-2.0 */
/* export_safetensors.h - private to convert/export: the tensors of a safetensors export, planned. */
#ifndef FVLM_CONVERT_EXPORT_EXPORT_SAFETENSORS_H
#define FVLM_CONVERT_EXPORT_EXPORT_SAFETENSORS_H

#include "convert/export/attention_bias.h"
#include "convert/export/export_names.h"
#include "convert/export/target.h"
#include "convert/export/values.h"

/* What a tensor of the output is made of. */
typedef enum {
    FVLM_ENTRY_TENSOR,    /* of the model; rows beyond its own are zero */
    FVLM_ENTRY_QKV,       /* of the model, the first third of its rows without the attention scale */
    FVLM_ENTRY_SHIFT,     /* fvlm_attention_bias.shift */
    FVLM_ENTRY_PROJ_BIAS, /* fvlm_attention_bias.proj_bias */
    FVLM_ENTRY_CONSTANT,  /* every element is constant */
    FVLM_ENTRY_COUNTER    /* BatchNorm's num_batches_tracked: an I64 of 0 */
} fvlm_entry_kind;

typedef struct {
    fvlm_entry_kind kind;
    fvlm_type type;
    unsigned rank;
    uint64_t dims[FVLM_MAX_RANK];
    uint64_t rows;
    size_t cols, row_bytes;
    fvlm_export_values values; /* of the first two kinds */
    float constant;
    size_t attention; /* index of the attention block */
    uint32_t head_dim;
    uint64_t q_rows;
    size_t shard;
    uint64_t at; /* from the first byte of tensors in the file */
} fvlm_entry;

typedef struct {
    fvlm_export_naming naming;
    fvlm_entry *entries; /* in the order of the report's tensors */
    size_t n, capacity;
    size_t n_shards;
    uint64_t tensor_bytes;
    struct {
        char name[64]; /* "vision.stage3.block0" */
        fvlm_attention_bias bias;
    } * attention;
    size_t n_attention, attention_capacity;
    bool image_row;    /* the embedding gets a row for <image> */
    uint32_t image_id; /* of naming transformers: the id of <image> */
} fvlm_safetensors_plan;

/* export_safetensors_write.c */
fvlm_status fvlm_safetensors_write(fvlm_export *x, fvlm_err *err);

#endif
