/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_source.h - an ONNX file, or a folder of them, as a source of tensors with the names of Apple's checkpoint.
 *
 * What the exporter called them does not matter: the weights are found by the structure of the graphs (match.h). */
#ifndef FVLM_CONVERT_GRAPH_ONNX_SOURCE_H
#define FVLM_CONVERT_GRAPH_ONNX_SOURCE_H

#include "convert/source/source.h"
#include "format/config.h"

/* What the graphs show about the model; 0: they do not. */
typedef struct {
    bool has_llm;                   /* false: the vision part alone */
    fvlm_config config;             /* vision.image_size, projector and llm only */
    uint32_t rows;                  /* of the embedding */
    char vision[256], decoder[256]; /* names of the files, for messages */
} fvlm_onnx_facts;

/* Opens the graphs and matches their weights. variant: one of FVLM_CONVERT_VARIANTS or another suffix, NULL: see
 * onnx_files.h. Refuses by name what is no FastVLM, or lacks a part. On failure *out is NULL. */
fvlm_status fvlm_onnx_open(fvlm_source **out, fvlm_onnx_facts *facts, const char *path, const char *variant,
                           fvlm_err *err);

/* Compares config.json, or the fields of it that are not 0, with the graphs; a contradiction is refused and names both.
 * *rows, of the embedding as config.json has it, becomes what is stored. Defined in onnx_check.c. */
fvlm_status fvlm_onnx_check(const fvlm_onnx_facts *facts, const fvlm_config *config, uint32_t *rows, fvlm_err *err);

#endif
