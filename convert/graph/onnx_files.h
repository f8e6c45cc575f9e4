/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_files.h - private to graph/: which files of a folder are the parts of a FastVLM.
 *
 * The community's names are PART[_VARIANT].onnx, in the folder or in its subfolder onnx/; PART is vision_encoder,
 * embed_tokens, decoder_model_merged, decoder_model or model, VARIANT as in FVLM_CONVERT_VARIANTS, none for fp32. In a
 * folder without such names, the graphs' inputs and outputs tell what they are (match.h). */
#ifndef FVLM_CONVERT_GRAPH_ONNX_FILES_H
#define FVLM_CONVERT_GRAPH_ONNX_FILES_H

#include "convert/graph/match.h"
#include "convert/source/listing.h"

typedef struct {
    char *name;           /* "onnx/vision_encoder_q4.onnx", relative to 'folder' */
    const char *variant;  /* "fp32", ...; NULL: unknown */
    fvlm_graph_role role; /* FVLM_GRAPH_FOREIGN: the graph decides */
} fvlm_onnx_file;

typedef struct {
    char *folder;  /* where config.json and the tokenizer are, or would be */
    char *given;   /* the path, for messages */
    bool one_file; /* a file was given, not a folder */
    fvlm_onnx_file files[16];
    size_t n_files;
    const char *wanted; /* the requested variant; NULL: none */
    char *unused;       /* a file beside them under no known name; NULL: there is none */
    size_t n_unused;
} fvlm_onnx_files;

/* Whether path is an .onnx file, or a folder with such files and without safetensors ('prefer': or even with those). A
 * folder of Hugging Face's cache counts as its snapshot. */
bool fvlm_onnx_files_are(const char *path, bool prefer);

/* Chooses the files to open. variant NULL: fp32, else the only one there is. A part that lacks the
 * variant is taken as fp32, else as fp16; for q4f16 in the other order. Refuses an ambiguous choice, and a variant that
 * no part has, and names those that there are. On failure *out is empty. */
fvlm_status fvlm_onnx_files_find(fvlm_onnx_files *out, const char *path, const char *variant, fvlm_err *err);
void fvlm_onnx_files_free(fvlm_onnx_files *f);

#endif
