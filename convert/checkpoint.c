/* SPDX-License-Identifier: Apache-2.0 */
/* checkpoint.c - config.json and generation_config.json of a LLaVA-style FastVLM checkpoint: sizes and end tokens.
 * checkpoint_keys.c, checkpoint_rope.c and checkpoint_tiles.c refuse what we would run wrongly. */
#include "convert/checkpoint.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "convert/checkpoint_internal.h"
#include "convert/conversations.h"
#include "convert/vocabulary/vocabulary.h"

#define NAME "\"config.json\""

/* "mobileclip_l_1024": the number is the side of the picture in pixels. */
static void read_image_size(fvlm_json_fields *r, fvlm_config *c)
{
    const json_t *v = json_object_get(r->object, "mm_vision_tower");
    const char *name = json_is_string(v) ? json_string_value(v) : "", *digits = name;
    uint32_t side = 0;
    if (!json_is_string(v))
        fvlm_config_refuse(r, FVLM_BAD_INPUT,
                           "\"mm_vision_tower\" is %s, expected a name such as \"mobileclip_l_1024\"",
                           fvlm_json_kind(v));
    if (strncmp(name, "mobileclip_l_", 13) == 0)
        for (digits += 13; *digits >= '0' && *digits <= '9' && side < 100000; digits++)
            side = 10 * side + (uint32_t)(*digits - '0');
    if (side == 0 || side > FVLM_MAX_SIDE || *digits)
        fvlm_config_refuse(
            r, FVLM_UNSUPPORTED,
            "\"mm_vision_tower\" is \"%.64s\"; expected \"mobileclip_l_\" and the picture's side, at most %d", name,
            FVLM_MAX_SIDE);
    c->vision.image_size = side;
}

static bool given(const fvlm_json_fields *r, const char *key)
{
    const json_t *v = json_object_get(r->object, key);
    return v && !json_is_null(v);
}

/* max_position_embeddings, or tokenizer_model_max_length where that is lower; it is 1e30 where a tokenizer has no
 * limit. */
static void read_context(fvlm_json_fields *r, fvlm_config *c)
{
    fvlm_json_fields_u32(r, "max_position_embeddings", 1, FVLM_MAX_CONTEXT, &c->llm.context);
    const json_t *most = json_object_get(r->object, "tokenizer_model_max_length");
    if (given(r, "tokenizer_model_max_length") && !(json_number_value(most) >= c->llm.context))
        fvlm_json_fields_u32(r, "tokenizer_model_max_length", 1, FVLM_MAX_CONTEXT, &c->llm.context);
}

static void read_heads(fvlm_json_fields *r, const fvlm_family_traits *f, fvlm_config *c)
{
    const uint32_t hidden = c->llm.hidden, heads = c->llm.heads;
    if (r->st) return;
    c->llm.head_dim = hidden / heads;
    const bool own = f->free_head_dim && given(r, "head_dim");
    if (own) fvlm_json_fields_u32(r, "head_dim", 2, FVLM_MAX_WIDTH / heads, &c->llm.head_dim);
    if (own && c->llm.head_dim % 2)
        fvlm_config_refuse(r, FVLM_BAD_INPUT, "\"head_dim\" is %" PRIu32 ", expected an even number", c->llm.head_dim);
    else if (!own && (hidden % heads != 0 || c->llm.head_dim % 2 != 0))
        fvlm_config_refuse(r, FVLM_BAD_INPUT,
                           "\"hidden_size\" %" PRIu32 " does not divide into %" PRIu32 " heads of an even width",
                           hidden, heads);
    else if (heads % c->llm.kv_heads != 0)
        fvlm_config_refuse(r, FVLM_BAD_INPUT,
                           "%" PRIu32 " attention heads do not divide among %" PRIu32 " key-value heads", heads,
                           c->llm.kv_heads);
    uint32_t stated = c->llm.head_dim;
    if (given(r, "head_dim")) fvlm_json_fields_u32(r, "head_dim", 1, FVLM_MAX_WIDTH, &stated);
    if (stated != c->llm.head_dim)
        fvlm_config_refuse(r, FVLM_UNSUPPORTED,
                           "\"head_dim\" is %" PRIu32 ", but \"hidden_size\" / \"num_attention_heads\" is %" PRIu32,
                           stated, c->llm.head_dim);
}

static void read_llm(fvlm_json_fields *r, const fvlm_family_traits *f, fvlm_checkpoint *out)
{
    fvlm_config *c = &out->config;
    c->llm.family = f->family;
    fvlm_config_read_bias(r, f, c);
    fvlm_json_fields_u32(r, "hidden_size", 1, FVLM_MAX_WIDTH, &c->llm.hidden);
    fvlm_json_fields_u32(r, "num_hidden_layers", 1, FVLM_MAX_DEPTH, &c->llm.layers);
    fvlm_json_fields_u32(r, "num_attention_heads", 1, FVLM_MAX_HEADS, &c->llm.heads);
    c->llm.kv_heads = c->llm.heads;
    if (given(r, "num_key_value_heads"))
        fvlm_json_fields_u32(r, "num_key_value_heads", 1, FVLM_MAX_HEADS, &c->llm.kv_heads);
    fvlm_json_fields_u32(r, "intermediate_size", 1, FVLM_MAX_WIDTH, &c->llm.intermediate);
    fvlm_json_fields_u32(r, "vocab_size", 1, FVLM_MAX_TOKENS, &out->embed_rows);
    fvlm_json_fields_real(r, "rms_norm_eps", FVLM_MIN_NORM_EPS, FVLM_MAX_NORM_EPS, &c->llm.norm_eps);
    fvlm_config_read_rope(r, f, c);
    read_context(r, c);
    fvlm_json_fields_u32(r, "mm_hidden_size", 1, FVLM_MAX_WIDTH, &c->projector.in);
    c->projector.hidden = c->projector.out = c->llm.hidden;
    read_heads(r, f, c);
    out->tied_given = given(r, "tie_word_embeddings");
    if (out->tied_given) fvlm_json_fields_bool(r, "tie_word_embeddings", &out->tied);
}

/* Adds the id unless it is there. */
static fvlm_status add_eos(fvlm_config *c, const json_t *id, const char *file, fvlm_err *err)
{
    char text[64];
    const json_int_t value = json_integer_value(id);
    if (!json_is_integer(id) || value < 0)
        return fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\": \"eos_token_id\" is %s, expected a token's id", file,
                         fvlm_config_value(id, text));
    if (value >= (json_int_t)c->llm.vocab)
        return fvlm_fail(err, FVLM_BAD_INPUT,
                         "\"%s\": \"eos_token_id\" %" JSON_INTEGER_FORMAT
                         " is not an id of the tokenizer, which has %" PRIu32
                         "; its files and this one do not belong together",
                         file, value, c->llm.vocab);
    if (fvlm_config_is_eos(c, (uint32_t)value)) return FVLM_OK;
    if (c->n_eos == FVLM_MAX_EOS - 1) /* the last is for the prompt's */
        return fvlm_fail(err, FVLM_LIMIT, "\"%s\": \"eos_token_id\" lists over %d ids", file, FVLM_MAX_EOS - 1);
    c->eos[c->n_eos++] = (uint32_t)value;
    return FVLM_OK;
}

/* One id, a list, or nothing. */
static fvlm_status add_eos_of(fvlm_config *c, const json_t *object, const char *file, fvlm_err *err)
{
    const json_t *v = json_object_get(object, "eos_token_id");
    const size_t n = json_is_array(v) ? json_array_size(v) : v && !json_is_null(v);
    fvlm_status st = FVLM_OK;
    for (size_t i = 0; !st && i < n; i++) st = add_eos(c, json_is_array(v) ? json_array_get(v, i) : v, file, err);
    return st;
}

/* Any token that one of the files calls an end ends an answer, and so does the one that ends a turn in the prompt's
 * template: trainers leave one of the files as it was. */
static fvlm_status read_eos(fvlm_config *c, const json_t *config, const json_t *generation, uint32_t turn_end,
                            fvlm_err *err)
{
    fvlm_status st = add_eos_of(c, generation, "generation_config.json", err);
    if (!st) st = add_eos_of(c, config, "config.json", err);
    if (!st && turn_end != FVLM_NO_ID && !fvlm_config_is_eos(c, turn_end)) c->eos[c->n_eos++] = turn_end;
    if (!st && !c->n_eos)
        st = fvlm_fail(err, FVLM_BAD_INPUT,
                       "nothing ends an answer: " NAME " and \"generation_config.json\" have no \"eos_token_id\"");
    return st;
}

/* Warns if the checkpoint states another template than the one that is used. A tokenizer's chat_template is that of the
 * language model before FastVLM's training: one of the same tokens is no contradiction, unless the user chose. */
static fvlm_status compare_conversation(const fvlm_conversation_choice *used, fvlm_source *src, const json_t *config,
                                        bool chosen, fvlm_err *err)
{
    fvlm_conversation_choice stated;
    const fvlm_status st = fvlm_conversation_peek(&stated, src, config, err);
    if (st || !stated.conversation || stated.conversation == used->conversation) return st;
    if (!chosen && !strcmp(stated.conversation->needed, used->conversation->needed)) return FVLM_OK;
    return fvlm_source_warn(src, err, "the prompt is %s, %s, but the checkpoint states %s: %s; %s",
                            used->conversation->name, used->why, stated.conversation->name, stated.why,
                            chosen ? "leave out --chat if that is right" : "if that is right, choose it with --chat");
}

/* The prompt's template, from the option, the checkpoint or its family. */
static fvlm_status choose_conversation(fvlm_conversation_choice *out, fvlm_source *src, const json_t *config,
                                       const fvlm_family_traits *f, const char *name, fvlm_err *err)
{
    *out = (fvlm_conversation_choice){.conversation = name ? fvlm_conversation_find(name) : NULL};
    if (name && !out->conversation)
        return fvlm_fail(err, FVLM_USAGE, "there is no conversation \"%.64s\"; known are " FVLM_CONVERSATION_NAMES,
                         name);
    fvlm_status st = FVLM_OK;
    if (!name && f->states_conversation) st = fvlm_conversation_stated(out, src, config, err);
    if (st || out->why[0]) return st;
    if (!name) out->conversation = fvlm_conversation_find(f->conversation);
    snprintf(out->why, sizeof out->why, "%s", name ? "chosen with --chat" : f->why);
    return name || !f->states_conversation ? compare_conversation(out, src, config, name, err) : FVLM_OK;
}

/* Reads the tokenizer as the family and the prompt's template want it. */
static fvlm_status read_tokenizer(fvlm_checkpoint *out, uint32_t *turn_end, fvlm_source *src,
                                  const fvlm_family_traits *f, const fvlm_conversation_choice *choice,
                                  const fvlm_vocabulary_options *options, fvlm_err *err)
{
    const fvlm_conversation *conversation = choice->conversation;
    fvlm_config *c = &out->config;
    fvlm_vocabulary_text text;
    fvlm_vocabulary_options o = *options;
    o.may_add_bos = f->may_add_bos;
    o.needed = conversation->needed;
    o.turn_end = conversation->turn_end;
    const fvlm_status st = fvlm_vocabulary_read(&text, src, &o, err);
    if (st) return st;
    out->conversation = conversation->name;
    memcpy(out->conversation_why, choice->why, sizeof choice->why);
    out->tokenizer = text.json;
    out->tokenizer_bytes = text.n_bytes;
    c->llm.vocab = text.n_ids;
    c->llm.has_bos = text.bos != FVLM_NO_ID;
    c->llm.bos = c->llm.has_bos ? text.bos : 0;
    *turn_end = text.turn_end;
    memcpy(c->prompt, conversation->prompt, strlen(conversation->prompt) + 1);
    return FVLM_OK;
}

/* Every token id needs a row of the embedding. */
static fvlm_status check_ids(const fvlm_checkpoint *c, fvlm_err *err)
{
    const uint32_t n_ids = c->config.llm.vocab;
    if (n_ids <= c->embed_rows) return FVLM_OK;
    return fvlm_fail(err, FVLM_BAD_INPUT,
                     "the tokenizer has ids up to %" PRIu32 ", but " NAME " says \"vocab_size\" %" PRIu32
                     "; tokenizer and weights do not belong together",
                     n_ids - 1, c->embed_rows);
}

fvlm_status fvlm_checkpoint_read(fvlm_checkpoint *out, fvlm_source *src, const fvlm_vocabulary_options *tokenizer,
                                 const char *conversation, fvlm_err *err)
{
    const fvlm_family_traits *family = NULL;
    fvlm_conversation_choice prompt;
    uint32_t turn_end = FVLM_NO_ID;
    json_t *config = NULL, *generation = NULL;
    *out = (fvlm_checkpoint){0};
    fvlm_json_fields r = {.name = NAME, .quoted = true, .err = err};
    r.st = fvlm_source_json(&config, src, "config.json", FVLM_SOURCE_MAX_CONFIG_BYTES, err);
    if (!r.st && !config)
        r.st = fvlm_fail(err, FVLM_BAD_INPUT,
                         NAME " is missing; give a checkpoint folder as downloaded, or copy it from there");
    if (!r.st) r.st = fvlm_config_port(&config, src, err);
    r.object = config;
    if (!r.st) r.st = fvlm_source_json(&generation, src, "generation_config.json", FVLM_SOURCE_MAX_CONFIG_BYTES, err);
    if (!r.st) family = fvlm_config_read_family(&r);
    if (!r.st) fvlm_config_check_keys(&r);
    read_image_size(&r, &out->config);
    if (!r.st) fvlm_config_read_tiles(&r, &out->config);
    if (!r.st) read_llm(&r, family, out);
    if (!r.st) r.st = fvlm_preprocessor_check(src, out->config.vision.image_size, err);
    if (!r.st) r.st = choose_conversation(&prompt, src, config, family, conversation, err);
    if (!r.st) r.st = read_tokenizer(out, &turn_end, src, family, &prompt, tokenizer, err);
    if (!r.st) r.st = check_ids(out, err);
    if (!r.st) r.st = read_eos(&out->config, config, generation, turn_end, err);
    json_decref(config);
    json_decref(generation);
    if (r.st) fvlm_checkpoint_free(out);
    return r.st;
}

void fvlm_checkpoint_free(fvlm_checkpoint *c)
{
    free(c->tokenizer);
    c->tokenizer = NULL;
}
