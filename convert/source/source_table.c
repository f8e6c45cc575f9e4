/* SPDX-License-Identifier: Apache-2.0 */
/* source_table.c - the tensors of a checkpoint in one table, sorted by name. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "convert/source/magic.h"
#include "convert/source/safetensors.h"
#include "convert/source/source_internal.h"
#include "format/base/grow.h"

/* The length of the header. A file of another format is refused by its name. */
static fvlm_status read_length(const fvlm_source *src, size_t file, uint64_t *n_header, fvlm_err *err)
{
    const fvlm_open_file *f = &src->files[file];
    uint8_t first[FVLM_MAGIC_BYTES] = {0};
    const size_t n = f->stamp.n_bytes < sizeof first ? (size_t)f->stamp.n_bytes : sizeof first;
    fvlm_status st = fvlm_source_read_file(src, file, 0, n, first, err);
    if (st) return st;
    st = fvlm_safetensors_length(n_header, first, f->stamp.n_bytes, f->name, err);
    if (!st && *n_header > 0) return st;
    fvlm_status known = fvlm_magic_check_weights(first, n, f->name, err);
    return known ? known : st;
}

/* Adds what __metadata__ says about shared tensors: {"lm_head.weight": "model.embed_tokens.weight"}. Other notes look
 * like aliases of tensors that do not exist and are left out later. */
static fvlm_status add_aliases(fvlm_source *src, const fvlm_safetensors *found, fvlm_err *err)
{
    if (!fvlm_grow(&src->aliases, &src->alias_capacity, src->n_aliases + found->n_notes, sizeof *src->aliases))
        return fvlm_fail_nomem(err);
    for (size_t i = 0; i < found->n_notes; i++)
        src->aliases[src->n_aliases++] = (fvlm_alias){found->notes[i].key, found->notes[i].value};
    return FVLM_OK;
}

/* Reads the header of an opened weights file and appends its tensors. */
static fvlm_status add_tensors(fvlm_source *src, size_t file, fvlm_err *err)
{
    fvlm_open_file *f = &src->files[file];
    uint64_t n_header = 0;
    fvlm_status st = read_length(src, file, &n_header, err);
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
    if (!st) st = add_aliases(src, &found, err);
    fvlm_safetensors_free(&found);
    return st;
}

/* Tensors of one key, which are refused, are named in the order of the files. */
static int by_key(const void *a, const void *b)
{
    const fvlm_source_tensor *x = a, *y = b;
    const int order = strcmp(x->key, y->key);
    if (order) return order;
    return x->file != y->file ? (x->file < y->file ? -1 : 1) : (x->offset > y->offset) - (x->offset < y->offset);
}

/* Where a tensor is, for messages. A view's origin is optional. */
static const char *file_name(const fvlm_source *src, const fvlm_source_tensor *t)
{
    if (t->of) src = t->of;
    if (t->file != FVLM_SOURCE_NO_FILE) return src->files[t->file].name;
    return t->origin ? t->origin : t->name;
}

static fvlm_status refuse_double(const fvlm_source *src, const fvlm_source_tensor *a, const fvlm_source_tensor *b,
                                 fvlm_err *err)
{
    if (strcmp(a->name, b->name))
        return fvlm_fail(err, FVLM_BAD_INPUT,
                         "tensors \"%.200s\" and \"%.200s\" are the same weight under two names; remove one of them",
                         a->name, b->name);
    return fvlm_fail(err, FVLM_BAD_INPUT, "tensor \"%.200s\" is in \"%s\" and in \"%s\"; download the folder again",
                     a->name, file_name(src, a), file_name(src, b));
}

fvlm_status fvlm_source_sort(fvlm_source *src, fvlm_err *err)
{
    if (src->n_tensors == 0) return fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\" has no tensors", src->folder);
    for (size_t i = 0; i < src->n_tensors; i++)
        if (!src->tensors[i].key) src->tensors[i].key = src->tensors[i].name;
    qsort(src->tensors, src->n_tensors, sizeof *src->tensors, by_key);
    for (size_t i = 1; i < src->n_tensors; i++) {
        const fvlm_source_tensor *a = &src->tensors[i - 1], *b = &src->tensors[i];
        if (!strcmp(a->key, b->key)) return refuse_double(src, a, b, err);
    }
    return FVLM_OK;
}

bool fvlm_source_is_unlisted(const fvlm_source *src, const char *name)
{
    size_t i = 0;
    while (i < src->n_unlisted && strcmp(src->unlisted[i], name)) i++;
    return i < src->n_unlisted;
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
        if (strcmp(src->tensors[middle].key, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static const fvlm_source_tensor *find_stored(const fvlm_source *src, const char *name)
{
    size_t i = fvlm_source_first_at_or_after(src, name);
    return i < src->n_tensors && !strcmp(src->tensors[i].key, name) ? &src->tensors[i] : NULL;
}

static int by_alias(const void *a, const void *b)
{
    const fvlm_alias *x = a, *y = b;
    int order = strcmp(x->name, y->name);
    return order ? order : strcmp(x->stored, y->stored);
}

void fvlm_source_sort_aliases(fvlm_source *src)
{
    if (src->n_aliases) qsort(src->aliases, src->n_aliases, sizeof *src->aliases, by_alias);
}

/* Keeps the notes that give another name to a stored tensor. */
static fvlm_status keep_aliases(fvlm_source *src, fvlm_err *err)
{
    size_t n = 0;
    for (size_t i = 0; i < src->n_aliases; i++) {
        const fvlm_alias a = src->aliases[i];
        if (find_stored(src, a.stored) && !find_stored(src, a.name)) src->aliases[n++] = a;
    }
    src->n_aliases = n;
    fvlm_source_sort_aliases(src);
    for (size_t i = 1; i < n; i++)
        if (!strcmp(src->aliases[i - 1].name, src->aliases[i].name) &&
            strcmp(src->aliases[i - 1].stored, src->aliases[i].stored))
            return fvlm_fail(err, FVLM_BAD_INPUT,
                             "__metadata__ says that tensor \"%.150s\" is \"%.150s\" and that it is \"%.150s\"",
                             src->aliases[i].name, src->aliases[i - 1].stored, src->aliases[i].stored);
    return FVLM_OK;
}

const fvlm_source_tensor *fvlm_source_find(const fvlm_source *src, const char *name)
{
    const fvlm_source_tensor *t = find_stored(src, name);
    size_t low = 0, high = src->n_aliases;
    while (!t && low < high) {
        const size_t middle = low + (high - low) / 2;
        const int order = strcmp(src->aliases[middle].name, name);
        if (order == 0) return find_stored(src, src->aliases[middle].stored);
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return t;
}

fvlm_status fvlm_source_add_weights(fvlm_source *src, const char *const *names, size_t n, fvlm_err *err)
{
    for (size_t i = 0; i < n; i++) {
        size_t file;
        fvlm_status st = fvlm_source_add_file(src, names[i], &file, err);
        if (!st) st = add_tensors(src, file, err);
        if (st) return st;
    }
    fvlm_status st = fvlm_source_sort(src, err);
    return st ? st : keep_aliases(src, err);
}
