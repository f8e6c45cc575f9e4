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

/* value: a token's text, or an object with "content"; anything else names no token. */
static fvlm_status name_one(fvlm_vocabulary *v, const json_t *value, fvlm_err *err)
{
    const char *text = json_string_value(json_is_object(value) ? json_object_get(value, "content") : value);
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

static bool is_known_class(const char *name, bool has_tokenizer_json)
{
    static const char *const known[] = {"Qwen2Tokenizer", "Qwen2TokenizerFast", "PreTrainedTokenizerFast",
                                        "TokenizersBackend"};
    const size_t n = has_tokenizer_json ? 4 : 2; /* the last two stand for whatever tokenizer.json contains */
    for (size_t i = 0; i < n; i++)
        if (!strcmp(name, known[i])) return true;
    return false;
}

fvlm_status fvlm_vocabulary_read_config(fvlm_vocabulary *v, fvlm_source *src, fvlm_err *err)
{
    static const char *const unsupported[] = {"add_prefix_space", "add_bos_token", "add_eos_token",
                                              "split_special_tokens"};
    fvlm_status st = fvlm_source_json(&v->config, src, config_name, FVLM_MAX_VOCABULARY_BYTES, err);
    if (st || !v->config) return st;
    const char *class = json_string_value(json_object_get(v->config, "tokenizer_class"));
    if (class && !is_known_class(class, fvlm_source_has(src, "tokenizer.json")))
        return fvlm_fail(err, FVLM_UNSUPPORTED,
                         "\"%s\": \"tokenizer_class\" is \"%.64s\"; only Qwen2Tokenizer is supported", config_name,
                         class);
    for (size_t i = 0; i < sizeof unsupported / sizeof *unsupported; i++)
        if (json_is_true(json_object_get(v->config, unsupported[i])))
            return fvlm_fail(err, FVLM_UNSUPPORTED, "\"%s\": \"%s\" is set, which is not supported", config_name,
                             unsupported[i]);
    return name_special(v, v->config, err);
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
