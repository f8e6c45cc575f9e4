/* SPDX-License-Identifier: Apache-2.0 */
/* config_tiles.c - the config's "tiles": sizes that pictures are divided at, and how the tiles' rows are merged. */
#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "format/base/json_fields.h"
#include "format/config_internal.h"

static const char *const merges[] = {
    [FVLM_MERGE_FLAT] = "flat", [FVLM_MERGE_SPATIAL] = "spatial", [FVLM_MERGE_UNPAD] = "spatial_unpad"};

const char *fvlm_merge_name(uint32_t merge)
{
    return merge >= FVLM_MERGE_FLAT && merge <= FVLM_MERGE_UNPAD ? merges[merge] : "none";
}

uint32_t fvlm_merge_named(const char *text)
{
    for (uint32_t i = FVLM_MERGE_FLAT; i <= FVLM_MERGE_UNPAD; i++)
        if (!strcmp(text, merges[i])) return i;
    return 0;
}

json_t *fvlm_config_tiles_to_json(const fvlm_config *c)
{
    json_t *sizes = json_array(), *all = json_object();
    for (uint32_t i = 0; i < c->tiles.n_sizes && i < FVLM_MAX_TILE_SIZES; i++) {
        json_t *size = json_array();
        for (int k = 0; k < 2; k++) fvlm_json_append(&size, json_integer((json_int_t)c->tiles.size[i][k]));
        fvlm_json_append(&sizes, size);
    }
    fvlm_json_set(&all, "sizes", sizes);
    fvlm_json_set(&all, "merge", json_string(fvlm_merge_name(c->tiles.merge)));
    return all;
}

/* [width, height], each a multiple of a tile's side. */
static fvlm_status read_size(uint32_t out[2], const json_t *size, size_t i, uint32_t side, fvlm_err *err)
{
    if (!json_is_array(size) || json_array_size(size) != 2)
        return fvlm_fail(err, FVLM_BAD_INPUT, "config.tiles.sizes[%zu] is not [width, height]", i);
    for (size_t k = 0; k < 2; k++) {
        const json_t *v = json_array_get(size, k);
        const json_int_t n = json_integer_value(v);
        if (!json_is_integer(v) || n < side || n > FVLM_MAX_SIDE || n % side)
            return fvlm_fail(err, FVLM_BAD_INPUT,
                             "config.tiles.sizes[%zu][%zu] is not a multiple of config.vision.image_size (%" PRIu32
                             ") up to %d",
                             i, k, side, FVLM_MAX_SIDE);
        out[k] = (uint32_t)n;
    }
    return FVLM_OK;
}

fvlm_status fvlm_config_tiles_from_json(fvlm_config *out, const json_t *tiles, fvlm_err *err)
{
    fvlm_json_fields s = {.object = tiles, .name = "config.tiles", .err = err};
    const json_t *sizes = fvlm_json_fields_child(&s, "sizes", JSON_ARRAY);
    const json_t *merge = fvlm_json_fields_child(&s, "merge", JSON_STRING);
    if (s.st) return s.st;
    const size_t n = json_array_size(sizes);
    if (n < 1 || n > FVLM_MAX_TILE_SIZES)
        return fvlm_fail(err, FVLM_LIMIT, "config.tiles.sizes has %zu entries, expected 1 to %d", n,
                         FVLM_MAX_TILE_SIZES);
    out->tiles.merge = fvlm_merge_named(json_string_value(merge));
    if (!out->tiles.merge)
        return fvlm_fail(err, FVLM_UNSUPPORTED,
                         "config.tiles.merge is \"%.40s\", expected \"flat\", \"spatial\" or \"spatial_unpad\"",
                         json_string_value(merge));
    fvlm_status st = FVLM_OK;
    for (size_t i = 0; i < n && !st; i++)
        st = read_size(out->tiles.size[i], json_array_get(sizes, i), i, out->vision.image_size, err);
    out->tiles.n_sizes = (uint32_t)n;
    return st;
}
