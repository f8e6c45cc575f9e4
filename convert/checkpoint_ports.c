/* SPDX-License-Identifier: Apache-2.0 */
/* checkpoint_ports.c - config.json of transformers' fast_vlm and of mlx-vlm's fastvlm, in the keys of Apple's LLaVA.
 * What those keys cannot say is refused. */
#include <stdio.h>
#include <string.h>

#include "convert/checkpoint_internal.h"

#define DEFAULT_SIDE 1024 /* of every published FastVLM */

/* The side of a picture in preprocessor_config.json or its like; 0: it does not say. */
static json_int_t side_of(const json_t *processor)
{
    static const char *const keys[] = {"crop_size", "size"}, *const members[] = {"height", "shortest_edge"};
    for (size_t i = 0; i < 2; i++) {
        const json_t *v = json_object_get(processor, keys[i]);
        for (size_t m = 0; m < 2 && json_is_object(v); m++)
            if (json_is_integer(json_object_get(v, members[m]))) v = json_object_get(v, members[m]);
        if (json_is_integer(v)) return json_integer_value(v);
    }
    return 0;
}

/* transformers has the side in its processor alone. Notes what it would do with a picture that is not square. */
static fvlm_status read_processor(json_int_t *side, fvlm_source *src, fvlm_err *err)
{
    json_t *outer = NULL, *own = NULL;
    fvlm_status st = fvlm_source_peek_json(&own, src, "preprocessor_config.json", FVLM_SOURCE_MAX_CONFIG_BYTES, err);
    if (!st) st = fvlm_source_peek_json(&outer, src, "processor_config.json", FVLM_SOURCE_MAX_CONFIG_BYTES, err);
    const json_t *processor = own ? own : json_object_get(outer, "image_processor");
    *side = side_of(processor);
    if (*side == 0) *side = DEFAULT_SIDE;
    if (!st && json_is_true(json_object_get(processor, "do_center_crop")))
        st = fvlm_source_warn(src, err,
                              "transformers crops a picture to its central square; run pads it with black, as Apple's "
                              "predict.py does");
    json_decref(own);
    json_decref(outer);
    return st;
}

/* Values that the port may have, and the executor needs; absent and null are the default. */
static void check_port(fvlm_json_fields *r, const json_t *vision)
{
    const struct {
        const char *key;
        json_t *wanted;
    } fixed[] = {
        {"projector_hidden_act", json_string("gelu")},
        {"multimodal_projector_bias", json_true()},
        {"vision_feature_select_strategy", json_string("full")},
        {"vision_feature_layer", json_integer(-1)},
    };
    char found[64], wanted[64];
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) {
        const json_t *v = json_object_get(r->object, fixed[i].key);
        if (!fixed[i].wanted)
            r->st = fvlm_fail_nomem(r->err);
        else if (v && !json_is_null(v) && !json_equal(v, fixed[i].wanted))
            fvlm_config_refuse(r, FVLM_UNSUPPORTED, "\"%s\" is %s; only %s is supported", fixed[i].key,
                               fvlm_config_value(v, found), fvlm_config_value(fixed[i].wanted, wanted));
        json_decref(fixed[i].wanted);
    }
    const json_t *tower = json_object_get(vision, "architecture");
    if (!json_is_string(tower) || strncmp(json_string_value(tower), "fastvit", 7))
        fvlm_config_refuse(r, FVLM_UNSUPPORTED,
                           "\"vision_config\": \"architecture\" is %s; only FastViTs of timm, such as "
                           "\"fastvit_mci3\", are supported",
                           fvlm_config_value(tower, found));
    if (!json_is_integer(json_object_get(vision, "hidden_size")))
        fvlm_config_refuse(r, FVLM_BAD_INPUT, "\"vision_config\": \"hidden_size\" is %s, expected the tower's channels",
                           fvlm_json_kind(json_object_get(vision, "hidden_size")));
}

/* Both lists of end tokens. */
static json_t *join_eos(const json_t *a, const json_t *b)
{
    json_t *all = json_array();
    json_t *const lists[] = {(json_t *)a, (json_t *)b};
    for (size_t i = 0; i < 2; i++) {
        const size_t n = json_is_array(lists[i]) ? json_array_size(lists[i]) : lists[i] && !json_is_null(lists[i]);
        for (size_t k = 0; k < n; k++)
            fvlm_json_append(&all, json_incref(json_is_array(lists[i]) ? json_array_get(lists[i], k) : lists[i]));
    }
    return all;
}

/* The language model's keys go outside. transformers builds it from text_config alone; only tie_word_embeddings counts
 * in both. */
static json_t *flatten(const json_t *config, const json_t *text, const json_t *vision, json_int_t side)
{
    char family[64], tower[48];
    json_t *flat = json_object(), /* json_copy and json_deep_copy drop members that they have no memory for */
        *eos = join_eos(json_object_get(config, "eos_token_id"), json_object_get(text, "eos_token_id"));
    const bool tied = json_is_true(json_object_get(config, "tie_word_embeddings")) ||
                      json_is_true(json_object_get(text, "tie_word_embeddings"));
    const bool tied_given =
        tied || json_object_get(config, "tie_word_embeddings") || json_object_get(text, "tie_word_embeddings");
    if (flat && (json_object_update(flat, (json_t *)config) || json_object_update(flat, (json_t *)text))) {
        json_decref(flat);
        flat = NULL;
    }
    json_object_del(flat, "architectures"); /* names the port's class, and the language model's where it has one */
    json_object_del(flat, "text_config");
    json_object_del(flat, "vision_config");
    snprintf(family, sizeof family, "llava_%.48s", json_string_value(json_object_get(text, "model_type")));
    snprintf(tower, sizeof tower, "mobileclip_l_%" JSON_INTEGER_FORMAT, side);
    fvlm_json_set(&flat, "model_type", json_string(family));
    fvlm_json_set(&flat, "mm_vision_tower", json_string(tower));
    fvlm_json_set(&flat, "mm_projector_type", json_string("mlp2x_gelu"));
    fvlm_json_set(&flat, "image_aspect_ratio", json_string("pad"));
    fvlm_json_set(&flat, "mm_hidden_size", json_incref(json_object_get(vision, "hidden_size")));
    fvlm_json_set(&flat, "eos_token_id", eos);
    if (tied_given) fvlm_json_set(&flat, "tie_word_embeddings", json_boolean(tied));
    return flat;
}

static fvlm_status port_transformers(json_t **config, fvlm_source *src, fvlm_err *err)
{
    fvlm_json_fields r = {.object = *config, .name = "\"config.json\"", .quoted = true, .err = err};
    const json_t *text = fvlm_json_fields_child(&r, "text_config", JSON_OBJECT);
    const json_t *vision = fvlm_json_fields_child(&r, "vision_config", JSON_OBJECT);
    json_int_t side = 0;
    if (!r.st && !json_is_string(json_object_get(text, "model_type")))
        fvlm_config_refuse(&r, FVLM_BAD_INPUT, "\"text_config\": \"model_type\" is %s, expected \"qwen2\"",
                           fvlm_json_kind(json_object_get(text, "model_type")));
    if (!r.st) check_port(&r, vision);
    if (!r.st) r.st = read_processor(&side, src, err);
    if (r.st) return r.st;
    json_t *flat = flatten(*config, text, vision, side);
    if (!flat) return fvlm_fail_nomem(err);
    json_decref(*config);
    *config = flat;
    return FVLM_OK;
}

fvlm_status fvlm_config_port(json_t **config, fvlm_source *src, fvlm_err *err)
{
    const char *type = json_string_value(json_object_get(*config, "model_type"));
    if (type && !strcmp(type, "fast_vlm")) return port_transformers(config, src, err);
    if (type && !strcmp(type, "fastvlm") && json_object_set_new(*config, "model_type", json_string("llava_qwen2")))
        return fvlm_fail_nomem(err);
    return FVLM_OK;
}
