/* SPDX-License-Identifier: Apache-2.0 */
/* source.c - opens a checkpoint folder: one weights file, or an index and its shards. */
#include "convert/source/source.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "convert/source/source_internal.h"

static fvlm_status open_folder(fvlm_source *src, const char *folder, fvlm_err *err)
{
    size_t n = strlen(folder);
    src->folder = fvlm_strdup(folder);
    src->files = fvlm_alloc(FVLM_SOURCE_MAX_FILES, sizeof *src->files);
    if (!src->folder || !src->files) return fvlm_fail_nomem(err);
    while (n > 1 && src->folder[n - 1] == '/') src->folder[--n] = 0; /* "folder/" reads better as "folder" */
    src->dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (src->dir < 0 && errno == ENOTDIR)
        return fvlm_fail(
            err, FVLM_BAD_INPUT,
            "\"%s\" is a file; give the folder that holds it, with config.json and the tokenizer beside it", folder);
    if (src->dir < 0) return fvlm_fail_errno(err, "\"%s\"", folder);
    return FVLM_OK;
}

fvlm_status fvlm_source_open(fvlm_source **out, const char *folder, fvlm_err *err)
{
    static const char *const single = "model.safetensors", *const index = "model.safetensors.index.json";
    *out = NULL;
    fvlm_source *src = fvlm_alloc(1, sizeof *src);
    if (!src) return fvlm_fail_nomem(err);
    src->dir = -1;
    fvlm_status st = open_folder(src, folder, err);
    if (!st) {
        bool has_single = fvlm_source_has(src, single), has_index = fvlm_source_has(src, index);
        if (has_single && has_index)
            st = fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\" has both %s and %s; remove one of them", src->folder, single,
                           index);
        else if (has_index)
            st = fvlm_source_add_shards(src, index, err);
        else if (has_single)
            st = fvlm_source_add_weights(src, &single, 1, err);
        else
            st = fvlm_fail(err, FVLM_BAD_INPUT,
                           "\"%s\" has neither %s nor %s; give a checkpoint folder as downloaded (safetensors)",
                           src->folder, single, index);
    }
    st = fvlm_source_check_unchanged(src, st, err);
    if (st)
        fvlm_source_close(&src);
    else
        *out = src;
    return st;
}

void fvlm_source_close(fvlm_source **src)
{
    fvlm_source *s = *src;
    *src = NULL;
    if (!s) return;
    for (size_t i = 0; i < s->n_files; i++) {
        if (s->files[i].fd >= 0) close(s->files[i].fd);
        free(s->files[i].name);
        free(s->files[i].header);
    }
    if (s->dir >= 0) close(s->dir);
    free(s->files);
    free(s->tensors);
    free(s->folder);
    free(s);
}
