/* SPDX-License-Identifier: Apache-2.0 */
/* checkpoint_tower.c - what lies beside the weights of a tower alone: config.json of timm, open_clip_config.json, or
 * nothing. Only the pictures matter: their side, and that they are not normalized. */
#include <string.h>

#include "convert/checkpoint.h"
#include "convert/checkpoint_internal.h"

#define DEFAULT_SIDE 256 /* of MobileCLIP's and FastViT's towers */

/* Three equal numbers, or nothing. */
static bool is_three(const json_t *v, double value)
{
    if (!v || json_is_null(v)) return true;
    if (json_array_size(v) != 3) return false;
    for (size_t i = 0; i < 3; i++)
        if (!fvlm_config_is_number(json_array_get(v, i), value)) return false;
    return true;
}

static void check_normalization(fvlm_json_fields *r, const json_t *pictures)
{
    if (!is_three(json_object_get(pictures, "mean"), 0) || !is_three(json_object_get(pictures, "std"), 1))
        fvlm_config_refuse(r, FVLM_UNSUPPORTED,
                           "pictures are normalized (\"mean\", \"std\"), which is not supported; "
                           "MobileCLIP's and FastVLM's towers have mean 0 and std 1");
}

/* One side, or height and width that are the same; of timm's [3, height, width] the last two. */
static void read_side(fvlm_json_fields *r, const json_t *v, const char *key, uint32_t *side)
{
    const size_t n = json_array_size(v);
    const json_t *height = n ? json_array_get(v, n == 3 ? 1 : 0) : v, *width = n ? json_array_get(v, n - 1) : v;
    const json_int_t found = json_integer_value(height);
    char text[64];
    if (!v || json_is_null(v)) return;
    if (!json_is_integer(height) || !json_equal(height, width) || found < 1 || found > FVLM_MAX_SIDE)
        fvlm_config_refuse(r, FVLM_UNSUPPORTED, "\"%s\" is %s; expected a square of at most %d pixels", key,
                           n ? "not one side" : fvlm_config_value(v, text), FVLM_MAX_SIDE);
    else
        *side = (uint32_t)found;
}

/* Whether this is the config of a whole FastVLM, whose language model got lost. */
static bool is_whole(const json_t *config)
{
    const char *type = json_string_value(json_object_get(config, "model_type"));
    return json_object_get(config, "mm_vision_tower") || (type && !strcmp(type, "fast_vlm"));
}

fvlm_status fvlm_checkpoint_read_tower(fvlm_checkpoint *out, fvlm_source *src, fvlm_err *err)
{
    json_t *timm = NULL, *clip = NULL;
    uint32_t side = 0;
    *out = (fvlm_checkpoint){0};
    fvlm_json_fields r = {.name = "\"config.json\"", .err = err};
    r.st = fvlm_source_json(&timm, src, "config.json", FVLM_SOURCE_MAX_CONFIG_BYTES, err);
    if (!r.st) r.st = fvlm_source_json(&clip, src, "open_clip_config.json", FVLM_SOURCE_MAX_CONFIG_BYTES, err);
    if (!r.st && is_whole(timm))
        r.st = fvlm_fail(err, FVLM_UNSUPPORTED,
                         "\"%s\" is a vision tower without the language model that its config.json describes; download "
                         "the rest, or remove config.json to convert the tower alone",
                         fvlm_source_folder(src));
    const json_t *pretrained = json_object_get(timm, "pretrained_cfg");
    if (!r.st) check_normalization(&r, pretrained);
    if (!r.st) read_side(&r, json_object_get(pretrained, "input_size"), "input_size", &side);
    r.name = "\"open_clip_config.json\"";
    if (!r.st) check_normalization(&r, json_object_get(clip, "preprocess_cfg"));
    const json_t *vision = json_object_get(json_object_get(clip, "model_cfg"), "vision_cfg");
    if (!r.st) read_side(&r, json_object_get(vision, "image_size"), "image_size", &side);
    if (!r.st && !side)
        r.st = fvlm_source_warn(src, err,
                                "no config.json says for which pictures the tower was trained: %d pixels are "
                                "assumed; 'fvlm run --size' takes others",
                                DEFAULT_SIDE);
    if (!r.st)
        r.st = fvlm_source_warn(src, err,
                                "run pads pictures with black to a square; timm and OpenCLIP crop or squash them");
    out->config.vision.image_size = side ? side : DEFAULT_SIDE;
    if (!r.st) r.st = fvlm_preprocessor_check(src, out->config.vision.image_size, err);
    json_decref(timm);
    json_decref(clip);
    return r.st;
}
