/* SPDX-License-Identifier: Apache-2.0 */
/* added_files.c - reads tokenizer_config.json, special_tokens_map.json and added_tokens.json, as transformers does:
 * added_tokens_decoder, in tokenizer_config.json, has ids and flags; without it, the ids are those of
 * added_tokens.json, and what the other two files name is special. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "convert/vocabulary/vocabulary_parts.h"
#include "format/base/json.h"

static const char config_name[] = "tokenizer_config.json", added_name[] = "added_tokens.json";

/* ---- what is special ---- */

const char *fvlm_vocabulary_token_text(const json_t *value)
{
    return json_string_value(json_is_object(value) ? json_object_get(value, "content") : value);
}

static fvlm_status name_one(fvlm_vocabulary *v, const json_t *value, fvlm_err *err)
{
    const char *text = fvlm_vocabulary_token_text(value);
    if (!text) return FVLM_OK;
    if (!v->named_special) v->named_special = json_object();
    return json_object_set_new(v->named_special, text, json_true()) ? fvlm_fail_nomem(err) : FVLM_OK;
}

static fvlm_status name_special(fvlm_vocabulary *v, const json_t *file, fvlm_err *err)
{
    static const char *const one[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                      "pad_token", "cls_token", "mask_token"};
    static const char *const many[] = {"additional_special_tokens", "extra_special_tokens"};
    fvlm_status st = FVLM_OK;
    for (size_t i = 0; !st && i < sizeof one / sizeof *one; i++) st = name_one(v, json_object_get(file, one[i]), err);
    for (size_t i = 0; !st && i < sizeof many / sizeof *many; i++) {
        const json_t *list = json_object_get(file, many[i]);
        for (size_t k = 0; !st && k < json_array_size(list); k++) st = name_one(v, json_array_get(list, k), err);
    }
    return st;
}

/* ---- tokenizer_config.json ---- */

static const char *class_of(const fvlm_vocabulary *v)
{
    return json_string_value(json_object_get(v->config, "tokenizer_class"));
}

/* The class without "Fast" is one of these. */
static bool is_class(const char *name, const char *const *known, size_t n)
{
    const size_t length = strlen(name), end = length > 4 && !strcmp(name + length - 4, "Fast") ? length - 4 : length;
    for (size_t i = 0; i < n; i++)
        if (strlen(known[i]) == end && !strncmp(name, known[i], end)) return true;
    return false;
}

/* Classes that stand for whatever tokenizer.json contains, and those of the family. */
static bool is_known_class(const fvlm_vocabulary *v, const char *name, bool has_tokenizer_json)
{
    static const char *const any[] = {"PreTrainedTokenizer", "TokenizersBackend"};
    static const char *const qwen2[] = {"Qwen2Tokenizer"}, *const llama[] = {"GPT2Tokenizer", "LlamaTokenizer"};
    if (has_tokenizer_json && strcmp(name, any[0]) != 0 && is_class(name, any, 2)) return true;
    return is_class(name, qwen2, 1) || (v->may_add_bos && is_class(name, llama, 2));
}

fvlm_status fvlm_vocabulary_read_config(fvlm_vocabulary *v, fvlm_source *src, fvlm_err *err)
{
    static const char *const unsupported[] = {"add_bos_token", "add_eos_token", "split_special_tokens"};
    fvlm_status st = fvlm_source_json(&v->config, src, config_name, FVLM_MAX_VOCABULARY_BYTES, err);
    if (st || !v->config) return st;
    const char *class = class_of(v);
    if (class && !is_known_class(v, class, fvlm_source_has(src, "tokenizer.json")))
        return fvlm_fail(err, FVLM_UNSUPPORTED, "\"%s\": \"tokenizer_class\" is \"%.64s\"; only %s supported",
                         config_name, class,
                         v->may_add_bos ? "GPT2Tokenizer, LlamaTokenizer and Qwen2Tokenizer are" : "Qwen2Tokenizer is");
    for (size_t i = v->may_add_bos; i < sizeof unsupported / sizeof *unsupported; i++)
        if (json_is_true(json_object_get(v->config, unsupported[i])))
            return fvlm_fail(err, FVLM_UNSUPPORTED, "\"%s\": \"%s\" is set, which is not supported", config_name,
                             unsupported[i]);
    return name_special(v, v->config, err);
}

fvlm_status fvlm_vocabulary_choose_splitting(fvlm_vocabulary *v, const fvlm_source *src, const fvlm_vocabulary *full,
                                             fvlm_err *err)
{
    static const char *const qwen2[] = {"Qwen2Tokenizer"}, *const gpt2[] = {"GPT2Tokenizer"};
    const char *class = class_of(v);
    const bool parts = fvlm_source_has(src, "vocab.json");
    if (v->pieces) return FVLM_OK; /* which do not split it */
    if (v != full && parts && (!v->may_add_bos || (class && is_class(class, qwen2, 1)))) {
        v->pattern = fvlm_qwen2_pattern;
        v->nfc = true;
    } else if (v != full && full) {
        v->pattern = full->pattern;
        v->nfc = full->nfc;
        v->prefix_space = full->prefix_space;
        v->ignore_merges = full->ignore_merges;
        v->has_unknown = full->has_unknown;
    } else if (!v->pattern && class && is_class(class, gpt2, 1)) {
        v->pattern = fvlm_gpt2_pattern;
    } else if (!v->pattern) {
        return fvlm_fail(err, FVLM_BAD_INPUT,
                         "vocab.json and merges.txt do not say how %.64s splits text; add tokenizer.json",
                         class ? class : "a tokenizer without \"tokenizer_class\"");
    }
    if (json_is_true(json_object_get(v->config, "add_prefix_space")) && !v->prefix_space)
        return fvlm_fail(err, FVLM_UNSUPPORTED, "\"%s\": \"add_prefix_space\" is set, which is not supported",
                         config_name);
    return FVLM_OK;
}

/* transformers' LlamaTokenizer adds bos_token unless told not to; other classes do what the post_processor says. */
fvlm_status fvlm_vocabulary_choose_bos(fvlm_vocabulary *v, const char *full_bos, fvlm_err *err)
{
    static const char *const llama[] = {"LlamaTokenizer"};
    const json_t *adds = json_object_get(v->config, "add_bos_token");
    const char *class = class_of(v), *bos = full_bos;
    const bool by_class = class && is_class(class, llama, 1);
    if (by_class && json_is_false(adds)) bos = NULL;
    if (by_class && !json_is_false(adds)) bos = fvlm_vocabulary_token_text(json_object_get(v->config, "bos_token"));
    if (!bos && json_is_true(adds))
        return fvlm_fail(err, by_class ? FVLM_BAD_INPUT : FVLM_UNSUPPORTED,
                         by_class ? "\"%s\": \"add_bos_token\" is set, but there is no \"bos_token\""
                                  : "\"%s\": \"add_bos_token\" is set, which is not supported",
                         config_name);
    char *copy = bos ? fvlm_strdup(bos) : NULL;
    free(v->bos);
    v->bos = copy;
    return bos && !copy ? fvlm_fail_nomem(err) : FVLM_OK;
}

/* ---- the added tokens ---- */

static bool flag(const json_t *token, const char *key, bool otherwise)
{
    const json_t *value = json_object_get(token, key);
    return value ? json_is_true(value) : otherwise;
}

/* {"151643": {"content": "<|endoftext|>", "special": true, ...}, ...}; the defaults are those of AddedToken. */
static fvlm_status add_from_decoder(fvlm_vocabulary *v, const json_t *decoder, fvlm_err *err)
{
    const char *key;
    json_t *token;
    fvlm_status st = FVLM_OK;
    json_object_foreach((json_t *)decoder, key, token)
    {
        const char *text = json_string_value(json_object_get(token, "content"));
        char *end;
        const long id = strtol(key, &end, 10);
        if (!text || end == key || *end)
            return fvlm_fail(err, FVLM_BAD_INPUT,
                             "\"%s\": added_tokens_decoder[\"%.32s\"]: expected an id and an object with \"content\"",
                             config_name, key);
        const bool special = flag(token, "special", false);
        const fvlm_vocabulary_flags flags = {.special = special || json_object_get(v->named_special, text),
                                             .normalized = flag(token, "normalized", !special),
                                             .lstrip = flag(token, "lstrip", false),
                                             .rstrip = flag(token, "rstrip", false),
                                             .single_word = flag(token, "single_word", false)};
        if (!st) st = fvlm_vocabulary_add_added(v, config_name, id, text, flags, err);
    }
    return st;
}

/* added_tokens.json beside a decoder. */
static fvlm_status check_decoder(const json_t *decoder, const char *text, json_int_t id, fvlm_err *err)
{
    char key[32];
    snprintf(key, sizeof key, "%" JSON_INTEGER_FORMAT, id);
    const char *other = json_string_value(json_object_get(json_object_get(decoder, key), "content"));
    if (other && !strcmp(other, text)) return FVLM_OK;
    return fvlm_fail(
        err, FVLM_BAD_INPUT,
        "\"%s\" and \"%s\" disagree: the id %s is \"%.64s\" in one and %s%.64s%s in the other; transformers reads "
        "the second: if that is the right one, remove the first",
        added_name, config_name, key, text, other ? "\"" : "", other ? other : "missing", other ? "\"" : "");
}

/* {"<|endoftext|>": 151643, ...} */
static fvlm_status add_from_file(fvlm_vocabulary *v, const json_t *file, const json_t *decoder, fvlm_err *err)
{
    const char *text;
    json_t *id;
    fvlm_status st = FVLM_OK;
    json_object_foreach((json_t *)file, text, id)
    {
        if (!json_is_integer(id))
            return fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\": \"%.64s\" is %s, expected an id", added_name, text,
                             fvlm_json_kind(id));
        const bool special = !v->named_special || json_object_get(v->named_special, text);
        const fvlm_vocabulary_flags flags = {.special = special, .normalized = !special};
        st = decoder ? check_decoder(decoder, text, json_integer_value(id), err)
                     : fvlm_vocabulary_add_added(v, added_name, json_integer_value(id), text, flags, err);
        if (st) return st;
    }
    return st;
}

fvlm_status fvlm_vocabulary_read_added(fvlm_vocabulary *v, fvlm_source *src, const fvlm_vocabulary *full, fvlm_err *err)
{
    json_t *map = NULL;
    const json_t *decoder = json_object_get(v->config, "added_tokens_decoder");
    fvlm_status st = fvlm_source_json(&v->added_json, src, added_name, FVLM_MAX_VOCABULARY_BYTES, err);
    if (!st && !decoder) st = fvlm_source_json(&map, src, "special_tokens_map.json", FVLM_MAX_VOCABULARY_BYTES, err);
    if (!st) st = name_special(v, map, err);
    json_decref(map);
    if (!st && v->added_json) st = add_from_file(v, v->added_json, decoder, err);
    if (!st && decoder) st = add_from_decoder(v, decoder, err);
    if (st || v->added_json || decoder) return st;
    if (!full)
        return fvlm_fail(
            err, FVLM_BAD_INPUT,
            "there is neither added_tokens.json nor an added_tokens_decoder in tokenizer_config.json; download them");
    for (size_t i = 0; !st && i < full->n_added; i++)
        st = fvlm_vocabulary_add_added(v, full->added_file, full->added[i].id, full->added[i].text,
                                       full->added[i].flags, err);
    return st;
}
