/* SPDX-License-Identifier: Apache-2.0 */
/* source_table.c - the tensors of a checkpoint in one table, sorted by name. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "convert/source/safetensors.h"
#include "convert/source/source_internal.h"
#include "format/base/grow.h"

/* Reads the header of an opened weights file and appends its tensors. */
static fvlm_status add_tensors(fvlm_source *src, size_t file, fvlm_err *err)
{
    fvlm_open_file *f = &src->files[file];
    uint8_t first[8] = {0};
    uint64_t n_header = 0;
    fvlm_status st =
        fvlm_source_read_file(src, file, 0, f->stamp.n_bytes < 8 ? (size_t)f->stamp.n_bytes : 8, first, err);
    if (!st) st = fvlm_safetensors_length(&n_header, first, f->stamp.n_bytes, f->name, err);
    if (st) return st;
    f->header = malloc((size_t)n_header + 1);
    if (!f->header) return fvlm_fail_nomem(err);
    st = fvlm_source_read_file(src, file, 8, (size_t)n_header, f->header, err);
    fvlm_safetensors found = {0};
    if (!st) st = fvlm_safetensors_parse(&found, f->header, (size_t)n_header, f->stamp.n_bytes, f->name, err);
    if (st) return st;
    if (found.n_tensors > FVLM_SOURCE_MAX_TENSORS - src->n_tensors)
        st = fvlm_fail(err, FVLM_LIMIT, "more than %u tensors in the checkpoint", FVLM_SOURCE_MAX_TENSORS);
    else if (!fvlm_grow(&src->tensors, &src->capacity, src->n_tensors + found.n_tensors, sizeof *src->tensors))
        st = fvlm_fail_nomem(err);
    for (size_t i = 0; i < found.n_tensors && !st; i++) {
        fvlm_source_tensor *t = &src->tensors[src->n_tensors++];
        *t = found.tensors[i];
        t->file = (uint32_t)file;
    }
    free(found.tensors);
    return st;
}

static int by_name(const void *a, const void *b)
{
    const fvlm_source_tensor *x = a, *y = b;
    int order = strcmp(x->name, y->name);
    return order ? order : x->file < y->file ? -1 : 1;
}

static fvlm_status sort(fvlm_source *src, fvlm_err *err)
{
    if (src->n_tensors == 0) return fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\" has no tensors", src->folder);
    qsort(src->tensors, src->n_tensors, sizeof *src->tensors, by_name);
    for (size_t i = 1; i < src->n_tensors; i++) {
        const fvlm_source_tensor *a = &src->tensors[i - 1], *b = &src->tensors[i];
        if (!strcmp(a->name, b->name))
            return fvlm_fail(err, FVLM_BAD_INPUT, "tensor \"%.200s\" is in \"%s\" and in \"%s\"", a->name,
                             src->files[a->file].name, src->files[b->file].name);
    }
    return FVLM_OK;
}

fvlm_status fvlm_source_add_weights(fvlm_source *src, const char *const *names, size_t n, fvlm_err *err)
{
    for (size_t i = 0; i < n; i++) {
        size_t file;
        fvlm_status st = fvlm_source_add_file(src, names[i], &file, err);
        if (!st) st = add_tensors(src, file, err);
        if (st) return st;
    }
    return sort(src, err);
}

size_t fvlm_source_n_tensors(const fvlm_source *src)
{
    return src->n_tensors;
}

const fvlm_source_tensor *fvlm_source_tensor_at(const fvlm_source *src, size_t i)
{
    return &src->tensors[i];
}

size_t fvlm_source_first_at_or_after(const fvlm_source *src, const char *name)
{
    size_t low = 0, high = src->n_tensors;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(src->tensors[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const fvlm_source_tensor *fvlm_source_find(const fvlm_source *src, const char *name)
{
    size_t i = fvlm_source_first_at_or_after(src, name);
    return i < src->n_tensors && !strcmp(src->tensors[i].name, name) ? &src->tensors[i] : NULL;
}

fvlm_status fvlm_source_read(const fvlm_source *src, const fvlm_source_tensor *t, uint64_t at, size_t n_bytes,
                             void *out, fvlm_err *err)
{
    if (at > t->n_bytes || n_bytes > t->n_bytes - at)
        return fvlm_fail(err, FVLM_BAD_INPUT, "tensor \"%.200s\" has no %zu bytes at offset %" PRIu64, t->name, n_bytes,
                         at);
    return fvlm_source_read_file(src, t->file, t->offset + at, n_bytes, out, err);
}
