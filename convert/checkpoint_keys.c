/* SPDX-License-Identifier: Apache-2.0 */
/* checkpoint_keys.c - refuses by name the keys of config.json that ask for other arithmetic than the executor's. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "convert/checkpoint_internal.h"

void fvlm_config_refuse(fvlm_json_fields *r, fvlm_status code, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (!r->st) r->st = fvlm_fail(r->err, code, "%s: %s", r->name, text);
}

const char *fvlm_config_value(const json_t *v, char out[64])
{
    if (json_is_string(v))
        snprintf(out, 64, "\"%.48s\"", json_string_value(v));
    else if (json_is_number(v))
        snprintf(out, 64, fabs(json_number_value(v)) == FVLM_JSON_NOT_FINITE ? "NaN, infinite or too large" : "%.12g",
                 json_number_value(v));
    else
        snprintf(out, 64, "%s", json_is_true(v) ? "true" : json_is_false(v) ? "false" : fvlm_json_kind(v));
    return out;
}

bool fvlm_config_is_off(const json_t *v)
{
    return !v || json_is_null(v) || json_is_false(v) || fvlm_config_is_number(v, 0) ||
           (json_is_string(v) && json_string_length(v) == 0) || (json_is_array(v) && json_array_size(v) == 0) ||
           (json_is_object(v) && json_object_size(v) == 0);
}

bool fvlm_config_is_number(const json_t *v, double value)
{
    return json_is_number(v) && json_number_value(v) == value;
}

/* Keys with the only value that is supported. */
static const struct {
    const char *key, *value;
    bool optional;
} fixed[] = {
    {"mm_projector_type", "mlp2x_gelu", false},
    {"hidden_act", "silu", true},
};

/* Parts of the names under which models of transformers and forks of LLaVA have what Qwen2 does not. A key that
 * contains one is off, or, where a factor of 1 changes nothing, 1; the first match decides. */
static const struct {
    const char *part;
    bool one;
} unsupported[] = {
    {"mm_use_im_start_end", false}, /* wraps the image in tokens */
    {"mm_use_im_patch_token", false},
    {"mm_resampler", false},
    {"quantiz", false},
    {"rope", false}, /* is_read names those that are read */
    {"rotary", true},
    {"softcap", false},
    {"soft_cap", false},
    {"attention_multiplier", false},
    {"attention_scal", false},
    {"attn_scal", false},
    {"softmax_scal", false},
    {"query_pre_attn", false},
    {"multiplier", true},
    {"residual", true},
    {"mup", false},
    {"scal", true},
    {"qk_", false},
    {"alibi", false},
    {"clip_qkv", false},
    {"logn_attn", false},
    {"_ntk", false},
    {"sink", false},
    {"attention_chunk", false},
    {"cross_attention", false},
    {"bidirectional", false},
    {"encoder_decoder", false},
    {"pruned_heads", false},
    {"normalize_embed", false},
    {"expert", false},
    {"moe", false},
};

/* Read and checked elsewhere; by source/packed_config.c only outside of text_config and its like. */
static bool is_read(const char *key, bool nested)
{
    return !strcmp(key, "rope_theta") || !strcmp(key, "rope_scaling") || !strcmp(key, "rope_parameters") ||
           (!nested && (!strcmp(key, "quantization") || !strcmp(key, "quantization_config")));
}

/* Arguments of training scripts; a word of the key begins so: warmup_steps, initial_lr_multiplier. */
static bool is_of_training(const char *key)
{
    static const char *const words[] = {"warmup", "loss", "grad", "lora_", "lr_", "init_", "initial_"};
    for (const char *at = key; at; at = strchr(at, '_') ? strchr(at, '_') + 1 : NULL)
        for (size_t i = 0; i < sizeof words / sizeof *words; i++)
            if (!strncmp(at, words[i], strlen(words[i]))) return true;
    return false;
}

static void check_unsupported(fvlm_json_fields *r, bool nested)
{
    const char *key;
    json_t *v;
    char text[64];
    json_object_foreach((json_t *)r->object, key, v)
    {
        size_t i = 0;
        const size_t n = sizeof unsupported / sizeof unsupported[0];
        while (i < n && !strstr(key, unsupported[i].part)) i++;
        if (i == n || is_read(key, nested) || is_of_training(key)) continue;
        const bool neutral = unsupported[i].one ? fvlm_config_is_number(v, 1) || json_is_null(v) || json_is_false(v)
                                                : fvlm_config_is_off(v);
        if (!neutral)
            fvlm_config_refuse(r, FVLM_UNSUPPORTED, "\"%.64s\" is %s, which is not supported", key,
                               fvlm_config_value(v, text));
    }
}

static void check_fixed(fvlm_json_fields *r)
{
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++) {
        const char *key = fixed[i].key, *wanted = fixed[i].value;
        const json_t *v = json_object_get(r->object, key);
        if (fixed[i].optional && (!v || json_is_null(v))) continue;
        if (!json_is_string(v))
            fvlm_config_refuse(r, FVLM_BAD_INPUT, "\"%s\" is %s, expected \"%s\"", key, fvlm_json_kind(v), wanted);
        else if (strcmp(json_string_value(v), wanted) != 0)
            fvlm_config_refuse(r, FVLM_UNSUPPORTED, "\"%s\" is \"%.64s\"; only \"%s\" is supported", key,
                               json_string_value(v), wanted);
    }
}

/* Every layer attends to every position before it. In Qwen2 a window slides over the layers from max_window_layers on,
 * or those that layer_types names. Nests leave sizes out that are in 'outer'. */
static void check_attention(fvlm_json_fields *r, const json_t *outer)
{
    const json_t *types = json_object_get(r->object, "layer_types");
    const json_t *window = json_object_get(r->object, "sliding_window");
    const json_t *from = json_object_get(r->object, "max_window_layers");
    const double layers = json_number_value(json_object_get(outer, "num_hidden_layers"));
    const double context = json_number_value(json_object_get(outer, "max_position_embeddings"));
    char text[64];
    if (!fvlm_config_is_off(types) && !json_is_array(types))
        fvlm_config_refuse(r, FVLM_BAD_INPUT, "\"layer_types\" is %s, expected an array", fvlm_json_kind(types));
    for (size_t i = 0; i < json_array_size(types); i++) {
        const json_t *type = json_array_get(types, i);
        const char *name = json_string_value(type);
        if (!name || (strcmp(name, "full_attention") != 0 && strcmp(name, "attention") != 0))
            fvlm_config_refuse(r, FVLM_UNSUPPORTED, "\"layer_types\"[%zu] is %s; only \"full_attention\" is supported",
                               i, fvlm_config_value(type, text));
    }
    if (fvlm_config_is_off(json_object_get(r->object, "use_sliding_window")) || !window || json_is_null(window) ||
        json_array_size(types) > 0 || (json_is_number(from) && json_number_value(from) >= layers))
        return;
    if (!json_is_number(window) || json_number_value(window) < context)
        fvlm_config_refuse(
            r, FVLM_UNSUPPORTED,
            "\"use_sliding_window\" is set with \"sliding_window\" %s, below \"max_position_embeddings\"; "
            "sliding windows are not supported",
            fvlm_config_value(window, text));
}

bool fvlm_config_get_nest(fvlm_config_nest *out, const fvlm_json_fields *r, size_t i)
{
    static const char *const keys[FVLM_CONFIG_NESTS] = {"text_config", "llm_config", "language_config"};
    out->object = json_object_get(r->object, keys[i]);
    snprintf(out->name, sizeof out->name, "%s: \"%s\"", r->name, keys[i]);
    return json_is_object(out->object);
}

static void check_nests(fvlm_json_fields *r)
{
    static const char *const keys[] = {"hidden_size",         "num_hidden_layers", "num_attention_heads",
                                       "num_key_value_heads", "intermediate_size", "vocab_size",
                                       "rms_norm_eps",        "hidden_act",        "head_dim"};
    char a[64], b[64];
    fvlm_config_nest nest;
    for (size_t n = 0; n < FVLM_CONFIG_NESTS; n++) {
        if (!fvlm_config_get_nest(&nest, r, n)) continue;
        fvlm_json_fields inner = {.object = nest.object, .name = nest.name, .err = r->err, .st = r->st};
        check_unsupported(&inner, true);
        check_attention(&inner, r->object);
        for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
            const json_t *x = json_object_get(r->object, keys[i]), *y = json_object_get(nest.object, keys[i]);
            const bool same = json_is_number(x) ? fvlm_config_is_number(y, json_number_value(x)) : json_equal(x, y);
            if (x && y && !json_is_null(y) && !same)
                fvlm_config_refuse(&inner, FVLM_BAD_INPUT, "\"%s\" is %s, but %s outside of it; make them agree",
                                   keys[i], fvlm_config_value(y, b), fvlm_config_value(x, a));
        }
        r->st = inner.st;
    }
}

void fvlm_config_check_keys(fvlm_json_fields *r)
{
    check_fixed(r);
    check_unsupported(r, false);
    check_attention(r, r->object);
    check_nests(r);
}
