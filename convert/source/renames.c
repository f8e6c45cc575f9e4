/* SPDX-License-Identifier: Apache-2.0 */
/* renames.c - see renames.h. */
#include "convert/source/renames.h"

#include <stdlib.h>
#include <string.h>

#include "convert/source/source_internal.h"
#include "format/base/grow.h"

/* ---- prefixes ---- */

static bool begins_with(const char *name, const char *prefix, size_t n)
{
    return strncmp(name, prefix, n) == 0;
}

fvlm_status fvlm_source_strip(fvlm_source *src, const char *example, size_t n, fvlm_err *err)
{
    for (size_t i = 0; i < src->n_tensors; i++)
        if (!begins_with(src->tensors[i].name, example, n) || !src->tensors[i].name[n])
            return fvlm_fail(err, FVLM_BAD_INPUT,
                             "tensor names begin with \"%.*s\", but \"%.200s\" does not; a prefix is stripped only if "
                             "every name has it",
                             (int)(n < 200 ? n : 200), example, src->tensors[i].name);
    char *prefix = fvlm_asprintf("%.*s", (int)n, example);
    if (!prefix) return fvlm_fail_nomem(err);
    free(src->prefix);
    src->prefix = prefix;
    for (size_t i = 0; i < src->n_tensors; i++) src->tensors[i].key = src->tensors[i].name += n;
    for (size_t i = 0; i < src->n_aliases; i++) {
        fvlm_alias *a = &src->aliases[i];
        if (begins_with(a->stored, prefix, n)) a->stored += n; /* not if the index does not list it */
        if (begins_with(a->name, prefix, n)) a->name += n;
    }
    for (size_t i = 0; i < src->n_unlisted; i++)
        if (begins_with(src->unlisted[i], prefix, n)) src->unlisted[i] += n;
    fvlm_source_sort_aliases(src);
    return fvlm_source_warn(src, err, "names begin with \"%.200s\", stripped", prefix);
}

/* ---- keys ---- */

/* The key of a name, which the source keeps if it is new. */
static fvlm_status find_key(fvlm_source *src, fvlm_source_key_fn key_of, const void *ctx, const char **name,
                            fvlm_err *err)
{
    char *key = NULL;
    const fvlm_status st = key_of(ctx, *name, &key, err);
    if (st || !key) return st;
    *name = src->keys[src->n_keys++] = key;
    return FVLM_OK;
}

fvlm_status fvlm_source_rename(fvlm_source *src, fvlm_source_key_fn key_of, const void *ctx, fvlm_err *err)
{
    fvlm_status st = FVLM_OK;
    src->keys = fvlm_alloc(src->n_tensors + 2 * src->n_aliases, sizeof *src->keys);
    if (!src->keys) return fvlm_fail_nomem(err);
    for (size_t i = 0; i < src->n_tensors && !st; i++) st = find_key(src, key_of, ctx, &src->tensors[i].key, err);
    for (size_t i = 0; i < src->n_aliases && !st; i++) {
        st = find_key(src, key_of, ctx, &src->aliases[i].name, err);
        if (!st) st = find_key(src, key_of, ctx, &src->aliases[i].stored, err);
    }
    fvlm_source_sort_aliases(src);
    return st ? st : fvlm_source_sort(src, err);
}

/* ---- channels last ---- */

void fvlm_source_turn_channels(fvlm_source *src, const char *prefix)
{
    for (size_t i = 0; i < src->n_tensors; i++) {
        fvlm_source_tensor *t = &src->tensors[i];
        uint64_t *d = t->dims;
        if (!begins_with(t->key, prefix, strlen(prefix))) continue;
        if (t->rank == 4) {
            const uint64_t height = d[1], width = d[2], in = d[3];
            d[1] = in, d[2] = height, d[3] = width;
            t->channels_last = in > 1 && height * width > 1; /* else the order of elements is the same */
        } else if (t->rank == 3 && d[0] == 1 && d[1] == 1) {
            d[0] = d[2];
            d[2] = 1;
        }
    }
}

/* ---- a second source ---- */

fvlm_status fvlm_source_attach(fvlm_source *src, fvlm_source *other, const char *prefix, fvlm_err *err)
{
    size_t n = 0;
    src->attached = other;
    src->capacity = src->n_tensors; /* views have no more */
    if (!fvlm_grow(&src->tensors, &src->capacity, src->n_tensors + other->n_tensors, sizeof *src->tensors))
        return fvlm_fail_nomem(err);
    for (size_t i = 0; i < other->n_tensors; i++) {
        if (!begins_with(other->tensors[i].key, prefix, strlen(prefix))) continue;
        src->tensors[src->n_tensors + n] = other->tensors[i];
        src->tensors[src->n_tensors + n++].of = other;
    }
    src->n_tensors += n;
    fvlm_status st = fvlm_source_sort(src, err);
    for (size_t i = 0; i < other->n_warnings && !st; i++)
        st = fvlm_source_warn(src, err, "\"%.300s\": %s", other->folder, other->warnings[i]);
    for (size_t i = 0; i < other->n_notes && !st; i++)
        st = fvlm_source_note(src, err, "\"%.300s\": %s", other->folder, other->notes[i]);
    return st;
}
