/* SPDX-License-Identifier: Apache-2.0 */
/* checkpoint.c - config.json and generation_config.json of a LLaVA-style FastVLM checkpoint.
 *
 * Keys that change the arithmetic are either read or required to have the one value that the executor implements, so
 * that a model we would run wrongly is refused by name. Keys about training are ignored. */
#include "convert/checkpoint.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "convert/vocabulary/vocabulary.h"
#include "format/base/json_fields.h"

#define MAX_CONFIG_BYTES (1u << 20)
#define NAME "\"config.json\""

/* conv_mode qwen_2, which upstream's predict.py uses. */
static const char qwen_2[] = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n<image>\n"
                             "{prompt}<|im_end|>\n<|im_start|>assistant\n";

/* Keys with the only value that is supported. */
static const struct {
    const char *key, *value;
    bool optional;
} fixed[] = {
    {"model_type", "llava_qwen2", false},  {"mm_projector_type", "mlp2x_gelu", false},
    {"hidden_act", "silu", true},          {"image_aspect_ratio", "pad", false}, /* otherwise upstream crops */
    {"mm_patch_merge_type", "flat", true},
};

/* Keys that must be absent, null or false. */
static const char *const off[] = {"mm_use_im_start_end", "mm_use_im_patch_token", "use_sliding_window", "rope_scaling",
                                  "image_grid_pinpoints"};

static void refuse(fvlm_json_fields *r, fvlm_status code, const char *fmt, ...) FVLM_PRINTF(3, 4);
static void refuse(fvlm_json_fields *r, fvlm_status code, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (!r->st) r->st = fvlm_fail(r->err, code, NAME ": %s", text);
}

/* The kind of model. Checked first: a wrong kind explains every other fault. (source/kinds.h has named the kinds that are
 * known.) */
static void read_kind(fvlm_json_fields *r)
{
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++) {
        const char *key = fixed[i].key, *wanted = fixed[i].value;
        const json_t *v = json_object_get(r->object, key);
        if (fixed[i].optional && (!v || json_is_null(v))) continue;
        if (!json_is_string(v))
            refuse(r, FVLM_BAD_INPUT, "\"%s\" is %s, expected \"%s\"", key, fvlm_json_kind(v), wanted);
        else if (strcmp(json_string_value(v), wanted) != 0)
            refuse(r, FVLM_UNSUPPORTED, "\"%s\" is \"%.64s\"; only \"%s\" is supported", key, json_string_value(v),
                   wanted);
    }
    for (size_t i = 0; i < sizeof off / sizeof off[0]; i++) {
        const json_t *v = json_object_get(r->object, off[i]);
        if (v && !json_is_null(v) && !json_is_false(v))
            refuse(r, FVLM_UNSUPPORTED, "\"%s\" is set, which is not supported", off[i]);
    }
}

/* "mobileclip_l_1024": the number is the side of the picture in pixels. */
static void read_image_size(fvlm_json_fields *r, fvlm_config *c)
{
    const json_t *v = json_object_get(r->object, "mm_vision_tower");
    const char *name = json_is_string(v) ? json_string_value(v) : "", *digits = strrchr(name, '_');
    uint32_t side = 0;
    if (!json_is_string(v))
        refuse(r, FVLM_BAD_INPUT, "\"mm_vision_tower\" is %s, expected a name such as \"mobileclip_l_1024\"",
               fvlm_json_kind(v));
    if (strncmp(name, "mobileclip_", 11) == 0 && digits)
        for (digits++; *digits >= '0' && *digits <= '9' && side < 100000; digits++)
            side = 10 * side + (uint32_t)(*digits - '0');
    if (side == 0 || side > 16384 || *digits)
        refuse(r, FVLM_UNSUPPORTED,
               "\"mm_vision_tower\" is \"%.64s\"; expected \"mobileclip_l_\" and the picture's side, at most 16384",
               name);
    c->vision.image_size = side;
}

static void read_llm(fvlm_json_fields *r, fvlm_checkpoint *out)
{
    fvlm_config *c = &out->config;
    fvlm_json_fields_u32(r, "hidden_size", 1, 1u << 18, &c->llm.hidden);
    fvlm_json_fields_u32(r, "num_hidden_layers", 1, 1024, &c->llm.layers);
    fvlm_json_fields_u32(r, "num_attention_heads", 1, 1024, &c->llm.heads);
    c->llm.kv_heads = c->llm.heads;
    if (json_object_get(r->object, "num_key_value_heads"))
        fvlm_json_fields_u32(r, "num_key_value_heads", 1, 1024, &c->llm.kv_heads);
    fvlm_json_fields_u32(r, "intermediate_size", 1, 1u << 18, &c->llm.intermediate);
    fvlm_json_fields_u32(r, "vocab_size", 1, FVLM_MAX_TOKENS, &out->embed_rows);
    fvlm_json_fields_positive(r, "rms_norm_eps", &c->llm.norm_eps);
    fvlm_json_fields rope = *r;
    const json_t *parameters = json_object_get(r->object, "rope_parameters"); /* from transformers 5 on */
    if (parameters && !json_object_get(r->object, "rope_theta")) rope.object = parameters;
    fvlm_json_fields_positive(&rope, "rope_theta", &c->llm.rope_theta);
    r->st = rope.st;
    fvlm_json_fields_u32(r, "max_position_embeddings", 1, 1u << 20, &c->llm.context);
    if (json_object_get(r->object, "tokenizer_model_max_length")) {
        uint32_t most = c->llm.context;
        fvlm_json_fields_u32(r, "tokenizer_model_max_length", 1, 1u << 20, &most);
        if (most < c->llm.context) c->llm.context = most;
    }
    fvlm_json_fields_u32(r, "mm_hidden_size", 1, 1u << 18, &c->projector.in);
    c->projector.hidden = c->projector.out = c->llm.hidden;
    if (r->st) return;
    if (c->llm.hidden % c->llm.heads != 0 || c->llm.hidden / c->llm.heads % 2 != 0)
        refuse(r, FVLM_BAD_INPUT, "\"hidden_size\" %" PRIu32 " does not divide into %" PRIu32 " heads of an even width",
               c->llm.hidden, c->llm.heads);
    else if (c->llm.heads % c->llm.kv_heads != 0)
        refuse(r, FVLM_BAD_INPUT, "%" PRIu32 " attention heads do not divide among %" PRIu32 " key-value heads",
               c->llm.heads, c->llm.kv_heads);
    c->llm.head_dim = c->llm.hidden / c->llm.heads;
    const json_t *tied = json_object_get(r->object, "tie_word_embeddings");
    out->tied_given = json_is_boolean(tied);
    out->tied = json_is_true(tied);
}

/* One id or a list of at most four; generation_config.json overrides config.json, as in transformers. */
static void read_eos(fvlm_json_fields *r, const json_t *generation, fvlm_config *c)
{
    const char *file = "generation_config.json";
    const json_t *v = json_object_get(generation, "eos_token_id");
    if (r->st) return;
    if (!v || json_is_null(v)) v = json_object_get(r->object, "eos_token_id"), file = "config.json";
    size_t n = json_is_array(v) ? json_array_size(v) : 1;
    if (n < 1 || n > 4)
        r->st = fvlm_fail(r->err, FVLM_LIMIT, "\"%s\": \"eos_token_id\" lists %zu ids, expected 1 to 4", file, n);
    for (size_t i = 0; !r->st && i < n; i++) {
        const json_t *id = json_is_array(v) ? json_array_get(v, i) : v;
        if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) > INT32_MAX)
            r->st = fvlm_fail(r->err, FVLM_BAD_INPUT, "\"%s\": \"eos_token_id\" is %s, expected a token's id", file,
                              json_is_integer(id) ? "out of range" : fvlm_json_kind(id));
        else
            c->eos[i] = (uint32_t)json_integer_value(id);
    }
    c->n_eos = r->st ? 0 : (uint32_t)n;
}

/* Every token id needs a row of the embedding; the ids that end an answer must be token ids. */
static fvlm_status check_ids(const fvlm_checkpoint *c, fvlm_err *err)
{
    const uint32_t n_ids = c->config.llm.vocab;
    if (n_ids > c->embed_rows)
        return fvlm_fail(err, FVLM_BAD_INPUT,
                         "the tokenizer has ids up to %" PRIu32 ", but " NAME " says \"vocab_size\" %" PRIu32
                         "; tokenizer and weights do not belong together",
                         n_ids - 1, c->embed_rows);
    for (uint32_t i = 0; i < c->config.n_eos; i++)
        if (c->config.eos[i] >= n_ids)
            return fvlm_fail(err, FVLM_BAD_INPUT,
                             "\"eos_token_id\" %" PRIu32 " is not an id of the tokenizer, which has %" PRIu32,
                             c->config.eos[i], n_ids);
    return FVLM_OK;
}

fvlm_status fvlm_checkpoint_read(fvlm_checkpoint *out, fvlm_source *src, const fvlm_vocabulary_options *tokenizer,
                                 fvlm_err *err)
{
    json_t *config = NULL, *generation = NULL;
    *out = (fvlm_checkpoint){0};
    fvlm_json_fields r = {.name = NAME, .quoted = true, .err = err};
    r.st = fvlm_source_json(&config, src, "config.json", MAX_CONFIG_BYTES, err);
    if (!r.st && !config)
        r.st = fvlm_fail(err, FVLM_BAD_INPUT, NAME " is missing; give a checkpoint folder as downloaded");
    r.object = config;
    if (!r.st) r.st = fvlm_source_json(&generation, src, "generation_config.json", MAX_CONFIG_BYTES, err);
    if (!r.st) read_kind(&r);
    read_image_size(&r, &out->config);
    if (!r.st) read_llm(&r, out);
    read_eos(&r, generation, &out->config);
    json_decref(config);
    json_decref(generation);
    memcpy(out->config.prompt, qwen_2, sizeof qwen_2);
    if (!r.st)
        r.st =
            fvlm_vocabulary_read(&out->tokenizer, &out->tokenizer_bytes, &out->config.llm.vocab, src, tokenizer, err);
    if (!r.st) r.st = check_ids(out, err);
    if (r.st) fvlm_checkpoint_free(out);
    return r.st;
}

void fvlm_checkpoint_free(fvlm_checkpoint *c)
{
    free(c->tokenizer);
    c->tokenizer = NULL;
}
