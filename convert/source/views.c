/* SPDX-License-Identifier: Apache-2.0 */
/* views.c - see views.h. */
#include "convert/source/views.h"

#include <inttypes.h>
#include <stdlib.h>

#include "convert/source/source_internal.h"

/* A copy that the source owns; NULL stays NULL. False if out of memory. */
static bool keep(fvlm_source *src, const char **text)
{
    if (!*text) return true;
    *text = src->view_texts[src->n_view_texts] = fvlm_strdup(*text);
    if (*text) src->n_view_texts++;
    return *text != NULL;
}

static bool copy_tensors(fvlm_source *src, const fvlm_source_tensor *tensors, size_t n)
{
    src->view_texts = fvlm_alloc(2 * n, sizeof *src->view_texts);
    src->tensors = fvlm_alloc(n, sizeof *src->tensors);
    bool ok = src->view_texts && src->tensors;
    for (size_t i = 0; ok && i < n; i++) {
        fvlm_source_tensor *t = &src->tensors[src->n_tensors++];
        *t = tensors[i];
        t->file = FVLM_SOURCE_NO_FILE;
        t->offset = i;
        ok = keep(src, &t->name) && keep(src, &t->origin);
    }
    return ok;
}

static bool copy_files(fvlm_source *src, const fvlm_source_file *files, size_t n)
{
    src->view_files = fvlm_alloc(n, sizeof *src->view_files);
    for (size_t i = 0; src->view_files && i < n; i++) {
        src->view_files[i] = (fvlm_view_file){.name = fvlm_strdup(files[i].name), .n_bytes = files[i].n_bytes};
        if (!src->view_files[i].name) return false;
        src->n_view_files++;
    }
    return src->view_files != NULL;
}

fvlm_status fvlm_source_add_views(fvlm_source *src, const fvlm_source_reader *reader, void *ctx,
                                  const fvlm_source_tensor *tensors, size_t n, const fvlm_source_file *files,
                                  size_t n_files, fvlm_err *err)
{
    src->reader = reader;
    src->reader_ctx = ctx;
    fvlm_status st = FVLM_OK;
    if (n > FVLM_SOURCE_MAX_TENSORS)
        st = fvlm_fail(err, FVLM_LIMIT, "more than %u tensors in the checkpoint", FVLM_SOURCE_MAX_TENSORS);
    else if (!copy_tensors(src, tensors, n) || !copy_files(src, files, n_files))
        st = fvlm_fail_nomem(err);
    if (!st) st = fvlm_source_sort(src, err);
    if (st) fvlm_source_free_views(src);
    return st;
}

void fvlm_source_free_views(fvlm_source *src)
{
    if (!src->reader) return;
    for (size_t i = 0; i < src->n_view_texts; i++) free(src->view_texts[i]);
    for (size_t i = 0; i < src->n_view_files; i++) free(src->view_files[i].name);
    free(src->view_texts);
    free(src->view_files);
    src->view_texts = NULL;
    src->view_files = NULL;
    src->n_tensors = src->n_view_files = src->n_view_texts = 0;
    src->reader->close(src->reader_ctx);
    src->reader = NULL;
}

fvlm_status fvlm_source_read_codes(const fvlm_source *src, const fvlm_source_tensor *t, uint64_t first_row,
                                   size_t n_rows, fvlm_source_codes out, fvlm_err *err)
{
    if (!t->codes.kind || first_row > t->dims[0] || n_rows > t->dims[0] - first_row)
        return fvlm_fail(err, FVLM_BAD_INPUT, "tensor \"%.200s\" has no %zu rows of integers at row %" PRIu64, t->name,
                         n_rows, first_row);
    if (t->of) src = t->of;
    return src->reader->read_codes(src->reader_ctx, (size_t)t->offset, first_row, n_rows, out, err);
}
