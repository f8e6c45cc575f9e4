/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_paths.h - which paths convert and verify read as ONNX, and which .onnx files they open there. */
#ifndef FVLM_CONVERT_GRAPH_ONNX_PATHS_H
#define FVLM_CONVERT_GRAPH_ONNX_PATHS_H

#include "format/base/base.h"

typedef struct {
    char **paths; /* owned, as the strings are */
    size_t n;
} fvlm_onnx_paths;

/* Whether convert reads path as ONNX: a file, or a folder without safetensors; with a variant also one that has both.
 */
bool fvlm_onnx_paths_are(const char *path, const char *variant);

/* Refuses as convert does (onnx_files.h). On failure *out is empty. */
fvlm_status fvlm_onnx_paths_find(fvlm_onnx_paths *out, const char *path, const char *variant, fvlm_err *err);
void fvlm_onnx_paths_free(fvlm_onnx_paths *p);

#endif
