/* SPDX-License-Identifier: Apache-2.0 */
/* shards.c - model.safetensors.index.json: {"metadata": ..., "weight_map": {tensor: shard, ...}}.
 *
 * The index repeats what the headers of the shards say, so the two must agree: the map has every tensor of every shard,
 * under that shard, and no other. total_size is ignored: writers disagree on what it counts. */
#include <stdlib.h>
#include <string.h>

#include "convert/source/source_internal.h"
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

/* The shard names of the map, sorted, with duplicates: one for each tensor. */
static fvlm_status collect_names(const json_t *map, const char *index, const char **names, fvlm_err *err)
{
    const char *tensor;
    json_t *shard;
    size_t n = 0;
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
        names[n++] = name;
    }
    qsort(names, n, sizeof *names, text_order);
    return FVLM_OK;
}

/* Removes duplicate names; every shard must be in the folder. */
static fvlm_status find_shards(const fvlm_source *src, const char **names, size_t *n, const char *index, fvlm_err *err)
{
    size_t n_found = 0;
    for (size_t i = 0; i < *n; i++) {
        if (n_found > 0 && !strcmp(names[i], names[n_found - 1])) continue;
        if (!fvlm_source_has(src, names[i]))
            return fvlm_fail(err, FVLM_BAD_INPUT,
                             "\"%s\" names the shard \"%s\", which is not in the folder; download it", index, names[i]);
        names[n_found++] = names[i];
    }
    *n = n_found;
    return FVLM_OK;
}

static fvlm_status cross_check(const fvlm_source *src, const json_t *map, const char *index, fvlm_err *err)
{
    size_t agreed = 0;
    for (size_t i = 0; i < src->n_tensors; i++) {
        const fvlm_source_tensor *t = &src->tensors[i];
        const char *held = src->files[t->file].name, *said = json_string_value(json_object_get(map, t->name));
        if (!said)
            return fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\" has tensor \"%.200s\", which \"%s\" does not list", held,
                             t->name, index);
        if (!strcmp(said, held)) agreed++;
    }
    if (agreed == json_object_size(map)) return FVLM_OK;
    const char *tensor;
    json_t *shard;
    json_object_foreach((json_t *)map, tensor, shard)
    {
        const fvlm_source_tensor *t = fvlm_source_find(src, tensor);
        bool found = t && !strcmp(src->files[t->file].name, json_string_value(shard));
        if (!found)
            return fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\" says that tensor \"%.200s\" is in \"%s\", but it is not",
                             index, tensor, json_string_value(shard));
    }
    return FVLM_OK;
}

fvlm_status fvlm_source_add_shards(fvlm_source *src, const char *index, fvlm_err *err)
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
    if (!st) st = collect_names(map, index, names, err);
    if (!st) st = find_shards(src, names, &n, index, err);
    if (!st) st = fvlm_source_add_weights(src, names, n, err);
    if (!st) st = cross_check(src, map, index, err);
    free(names);
    json_decref(json);
    return st;
}
