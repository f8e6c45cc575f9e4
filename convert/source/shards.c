/* SPDX-License-Identifier: Apache-2.0 */
/* shards.c - model.safetensors.index.json: {"metadata": ..., "weight_map": {tensor: shard, ...}}.
 *
 * The index repeats what the headers of the shards say. Every tensor of the map must be in the file that the map says.
 * A tensor that the map does not list is left out with a warning, as transformers does; names/ then refuses what is
 * missing. total_size is ignored: writers disagree on what it counts, and transformers does not read it. */
#include "convert/source/shards.h"

#include <stdlib.h>
#include <string.h>

#include "format/base/grow.h"
#include "format/base/json.h"

#define MAX_INDEX_BYTES (64u << 20)

/* Names from inside a file are untrusted: they must not leave the folder. */
static bool plain_name(const char *name)
{
    size_t n = strlen(name);
    if (n == 0 || n > 255 || name[0] == '.') return false;
    for (size_t i = 0; i < n; i++)
        if (name[i] == '/' || name[i] == '\\' || (unsigned char)name[i] < 0x20 || name[i] == 0x7f) return false;
    return true;
}

static int text_order(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The shard names of the map, sorted, each once. */
static fvlm_status collect_names(const json_t *map, const char *index, const char **names, size_t *n, fvlm_err *err)
{
    const char *tensor;
    json_t *shard;
    size_t n_all = 0;
    json_object_foreach((json_t *)map, tensor, shard)
    {
        const char *name = json_string_value(shard);
        if (!name)
            return fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\": weight_map[\"%.200s\"] is %s, expected a shard's file name",
                             index, tensor, fvlm_json_kind(shard));
        if (!plain_name(name))
            return fvlm_fail(err, FVLM_BAD_INPUT,
                             "\"%s\": weight_map[\"%.150s\"] is \"%.100s\"; a shard must be a plain file name, in the "
                             "folder of the index",
                             index, tensor, name);
        names[n_all++] = name;
    }
    qsort(names, n_all, sizeof *names, text_order);
    *n = 0;
    for (size_t i = 0; i < n_all; i++)
        if (*n == 0 || strcmp(names[i], names[*n - 1])) names[(*n)++] = names[i];
    return FVLM_OK;
}

/* Every shard must be in the folder. Names what an unfinished download has left of a missing one. */
static fvlm_status find_shards(const fvlm_source *src, const char *const *names, size_t n, const char *index,
                               const fvlm_listing *files, fvlm_err *err)
{
    for (size_t i = 0; i < n; i++) {
        if (fvlm_source_has(src, names[i])) continue;
        const char *partial = NULL;
        for (size_t j = 0; j < files->n && !partial; j++)
            if (!strncmp(files->names[j], names[i], strlen(names[i]))) partial = files->names[j];
        if (partial)
            return fvlm_fail(err, FVLM_BAD_INPUT,
                             "\"%s\" names the shard \"%s\", of which the folder has only \"%.255s\", an unfinished "
                             "download; finish it",
                             index, names[i], partial);
        return fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\" names the shard \"%s\", which is not in the folder; download it",
                         index, names[i]);
    }
    return FVLM_OK;
}

/* An index beside a single file may name no other file. */
static fvlm_status check_single(const fvlm_source *src, const char *const *names, size_t n, const char *index,
                                const char *single, fvlm_err *err)
{
    if (n == 0)
        return fvlm_fail(err, FVLM_BAD_INPUT,
                         "\"%s\" has %s, but %s lists no tensors; remove the index if it is a leftover", src->folder,
                         single, index);
    for (size_t i = 0; i < n; i++)
        if (strcmp(names[i], single))
            return fvlm_fail(err, FVLM_BAD_INPUT,
                             "\"%s\" has two sets of weights: %s, and %s, which names \"%s\"%s; remove one of them",
                             src->folder, single, index, names[i],
                             fvlm_source_has(src, names[i]) ? "" : " (not in the folder)");
    return FVLM_OK;
}

/* Moves the tensors that the map does not list out of the table. */
static fvlm_status set_unlisted_aside(fvlm_source *src, const json_t *map, const char *index, fvlm_err *err)
{
    const char *held = NULL;
    size_t n = 0, capacity = 0;
    for (size_t i = 0; i < src->n_tensors; i++) {
        const fvlm_source_tensor t = src->tensors[i];
        if (json_object_get(map, t.name)) {
            src->tensors[n++] = t;
            continue;
        }
        if (!held) held = src->files[t.file].name;
        if (!fvlm_grow(&src->unlisted, &capacity, src->n_unlisted + 1, sizeof *src->unlisted))
            return fvlm_fail_nomem(err);
        src->unlisted[src->n_unlisted++] = t.name;
    }
    src->n_tensors = n;
    if (!held) return FVLM_OK;
    const bool one = src->n_unlisted == 1;
    return fvlm_source_warn(src, err, "%zu tensor%s not used, because \"%s\" does not list %s: \"%.200s\" in \"%s\"%s",
                            src->n_unlisted, one ? " is" : "s are", index, one ? "it" : "them", src->unlisted[0], held,
                            one ? "" : " and more");
}

static fvlm_status cross_check(const fvlm_source *src, const json_t *map, const char *index, fvlm_err *err)
{
    const char *tensor;
    json_t *shard;
    json_object_foreach((json_t *)map, tensor, shard)
    {
        const size_t i = fvlm_source_first_at_or_after(src, tensor);
        bool found = i < src->n_tensors && !strcmp(src->tensors[i].name, tensor) &&
                     !strcmp(src->files[src->tensors[i].file].name, json_string_value(shard));
        if (!found)
            return fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\" says that tensor \"%.200s\" is in \"%s\", but it is not",
                             index, tensor, json_string_value(shard));
    }
    return FVLM_OK;
}

fvlm_status fvlm_shards_add(fvlm_source *src, const char *index, const char *single, const fvlm_listing *files,
                            fvlm_err *err)
{
    json_t *json;
    const char **names = NULL;
    fvlm_status st = fvlm_source_json(&json, src, index, MAX_INDEX_BYTES, err);
    const json_t *map = st ? NULL : json_object_get(json, "weight_map");
    size_t n = json_object_size(map);
    if (!st && !json_is_object(map))
        st = fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\": weight_map is %s, expected an object", index, fvlm_json_kind(map));
    if (!st) {
        names = calloc(n ? n : 1, sizeof *names);
        if (!names) st = fvlm_fail_nomem(err);
    }
    if (!st) st = collect_names(map, index, names, &n, err);
    if (!st && single) st = check_single(src, names, n, index, single, err);
    if (!st) st = find_shards(src, names, n, index, files, err);
    if (!st) st = fvlm_source_add_weights(src, names, n, err);
    if (!st) st = cross_check(src, map, index, err);
    if (!st) st = set_unlisted_aside(src, map, index, err);
    free(names);
    json_decref(json);
    return st;
}
