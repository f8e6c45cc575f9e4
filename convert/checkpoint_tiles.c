/* SPDX-License-Identifier: Apache-2.0 */
/* checkpoint_tiles.c - keys of config.json that say how a picture becomes squares. "pad" makes one of it, "anyres"
 * (LLaVA 1.6) an overview and tiles: image_grid_pinpoints lists the sizes, mm_patch_merge_type merges the rows. With
 * any other image_aspect_ratio upstream crops. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "convert/checkpoint_internal.h"

#define PINPOINTS "image_grid_pinpoints"

enum { MAX_TEXT = 8192 };

/* A list, or as LLaVA's scripts write it the text of one: "[(336, 672), (672, 336)]". The caller frees it; NULL if it
 * is neither. */
static json_t *pinpoints_of(const json_t *v)
{
    char text[MAX_TEXT];
    const char *from = json_string_value(v);
    if (json_is_array(v)) return json_incref((json_t *)(uintptr_t)v);
    if (!from || strlen(from) >= sizeof text) return NULL;
    snprintf(text, sizeof text, "%s", from);
    for (char *at = text; *at; at++) *at = *at == '(' ? '[' : *at == ')' ? ']' : *at;
    json_t *list = json_loads(text, 0, NULL);
    if (json_is_array(list)) return list;
    json_decref(list);
    return NULL;
}

static void read_size(fvlm_json_fields *r, const json_t *size, size_t i, fvlm_config *c)
{
    const uint32_t side = c->vision.image_size;
    char text[64];
    if (!json_is_array(size) || json_array_size(size) != 2) {
        fvlm_config_refuse(r, FVLM_BAD_INPUT, "\"" PINPOINTS "\"[%zu] is %s, expected [width, height]", i,
                           json_is_array(size) ? "not two numbers" : fvlm_json_kind(size));
        return;
    }
    for (size_t k = 0; k < 2; k++) {
        const json_t *v = json_array_get(size, k);
        const json_int_t n = json_integer_value(v);
        if (!json_is_integer(v) || n < 1)
            fvlm_config_refuse(r, FVLM_BAD_INPUT, "\"" PINPOINTS "\"[%zu] has %s, expected pixels", i,
                               fvlm_config_value(v, text));
        else if (n > FVLM_MAX_SIDE)
            fvlm_config_refuse(r, FVLM_LIMIT,
                               "\"" PINPOINTS "\"[%zu] has %" JSON_INTEGER_FORMAT " pixels; at most %d are supported",
                               i, n, FVLM_MAX_SIDE);
        else if (n % side)
            fvlm_config_refuse(r, FVLM_UNSUPPORTED,
                               "\"" PINPOINTS "\"[%zu] has %" JSON_INTEGER_FORMAT " pixels, which tiles of %" PRIu32
                               " do not divide",
                               i, n, side);
        c->tiles.size[i][k] = r->st ? 0 : (uint32_t)n;
    }
}

static void read_sizes(fvlm_json_fields *r, fvlm_config *c)
{
    const json_t *v = json_object_get(r->object, PINPOINTS);
    char text[64];
    json_t *list = pinpoints_of(v);
    const size_t n = json_array_size(list);
    if (!v || json_is_null(v))
        fvlm_config_refuse(r, FVLM_BAD_INPUT,
                           "\"image_aspect_ratio\" is \"anyres\", but there is no \"" PINPOINTS
                           "\"; it lists the sizes of pictures");
    else if (!list)
        fvlm_config_refuse(r, FVLM_UNSUPPORTED, "\"" PINPOINTS "\" is %s, expected a list of [width, height]",
                           fvlm_config_value(v, text));
    else if (n < 1 || n > FVLM_MAX_TILE_SIZES)
        fvlm_config_refuse(r, FVLM_LIMIT, "\"" PINPOINTS "\" lists %zu sizes, expected 1 to %d", n,
                           FVLM_MAX_TILE_SIZES);
    for (size_t i = 0; i < n && !r->st; i++) read_size(r, json_array_get(list, i), i, c);
    c->tiles.n_sizes = r->st ? 0 : (uint32_t)n;
    json_decref(list);
}

/* Absent means "flat". */
static void read_merge(fvlm_json_fields *r, bool tiles, fvlm_config *c)
{
    const json_t *v = json_object_get(r->object, "mm_patch_merge_type");
    const char *name = json_is_string(v) ? json_string_value(v) : !v || (json_is_null(v) && !tiles) ? "flat" : NULL;
    const uint32_t merge = name ? fvlm_merge_named(name) : 0;
    if (!name)
        fvlm_config_refuse(r, FVLM_BAD_INPUT, "\"mm_patch_merge_type\" is %s, expected \"flat\"", fvlm_json_kind(v));
    else if (!tiles && merge != FVLM_MERGE_FLAT)
        fvlm_config_refuse(r, FVLM_UNSUPPORTED, "\"mm_patch_merge_type\" is \"%.64s\"; only \"flat\" is supported",
                           name);
    else if (!merge)
        fvlm_config_refuse(
            r, FVLM_UNSUPPORTED,
            "\"mm_patch_merge_type\" is \"%.64s\"; only \"flat\", \"spatial\" and \"spatial_unpad\" are supported",
            name);
    c->tiles.merge = tiles ? merge : 0;
}

void fvlm_config_read_tiles(fvlm_json_fields *r, fvlm_config *c)
{
    const json_t *v = json_object_get(r->object, "image_aspect_ratio"), *sizes = json_object_get(r->object, PINPOINTS);
    const char *name = json_is_string(v) ? json_string_value(v) : "";
    const bool tiles = !strcmp(name, "anyres");
    char text[64];
    if (!json_is_string(v))
        fvlm_config_refuse(r, FVLM_BAD_INPUT, "\"image_aspect_ratio\" is %s, expected \"pad\"", fvlm_json_kind(v));
    else if (!tiles && strcmp(name, "pad"))
        fvlm_config_refuse(r, FVLM_UNSUPPORTED,
                           "\"image_aspect_ratio\" is \"%.64s\"; only \"pad\" and \"anyres\" are supported", name);
    else if (!tiles && !fvlm_config_is_off(sizes))
        fvlm_config_refuse(r, FVLM_UNSUPPORTED, "\"" PINPOINTS "\" is %s, but \"image_aspect_ratio\" is not \"anyres\"",
                           fvlm_config_value(sizes, text));
    if (!r->st) read_merge(r, tiles, c);
    if (!r->st && tiles) read_sizes(r, c);
}
