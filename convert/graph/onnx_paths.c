/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_paths.c - see onnx_paths.h. */
#include "convert/graph/onnx_paths.h"

#include <stdlib.h>

#include "convert/graph/onnx_files.h"

bool fvlm_onnx_paths_are(const char *path, const char *variant)
{
    return fvlm_onnx_files_are(path, variant != NULL);
}

fvlm_status fvlm_onnx_paths_find(fvlm_onnx_paths *out, const char *path, const char *variant, fvlm_err *err)
{
    fvlm_onnx_files files;
    *out = (fvlm_onnx_paths){0};
    fvlm_status st = fvlm_onnx_files_find(&files, path, variant, err);
    if (st) return st;
    out->paths = fvlm_alloc(files.n_files, sizeof *out->paths);
    if (!out->paths) st = fvlm_fail_nomem(err);
    for (size_t i = 0; i < files.n_files && !st; i++) {
        char *p = files.one_file ? fvlm_strdup(path) : fvlm_asprintf("%s/%s", files.folder, files.files[i].name);
        if (!p) st = fvlm_fail_nomem(err);
        if (p) out->paths[out->n++] = p;
    }
    fvlm_onnx_files_free(&files);
    if (st) fvlm_onnx_paths_free(out);
    return st;
}

void fvlm_onnx_paths_free(fvlm_onnx_paths *p)
{
    for (size_t i = 0; i < p->n; i++) free(p->paths[i]);
    free(p->paths);
    *p = (fvlm_onnx_paths){0};
}
