/* SPDX-License-Identifier: Apache-2.0 */
/* vocab_files.c - reads vocab.json, merges.txt and added_tokens.json, the files of a Qwen2 tokenizer. */
#include <stdlib.h>
#include <string.h>

#include "convert/vocabulary/vocabulary_parts.h"
#include "format/base/json.h"

/* The splitting regex of transformers' Qwen2Tokenizer; the files do not contain it. */
static const char qwen2_pattern[] =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|"
    "\\s+(?!\\S)|\\s+";

static fvlm_status read_vocab(fvlm_vocabulary *v, fvlm_source *src, fvlm_err *err)
{
    char *text;
    size_t n_bytes;
    fvlm_status st = fvlm_source_text(src, "vocab.json", FVLM_MAX_VOCABULARY_BYTES, &text, &n_bytes, err);
    if (st) return st;
    v->texts[v->n_texts++] = text;
    fvlm_json_pull s = fvlm_json_pull_over(text, n_bytes, "vocab.json", 0, err);
    if (fvlm_vocabulary_scan_tokens(v, &s)) fvlm_json_pull_end(&s);
    return s.st;
}

/* Lines "left right"; a first line "#version..." is skipped. */
static fvlm_status read_merges(fvlm_vocabulary *v, fvlm_source *src, fvlm_err *err)
{
    char *text;
    size_t n_bytes, line = 0;
    fvlm_status st = fvlm_source_text(src, "merges.txt", FVLM_MAX_VOCABULARY_BYTES, &text, &n_bytes, err);
    if (st) return st;
    if (!text) return fvlm_fail(err, FVLM_BAD_INPUT, "\"merges.txt\" is missing beside vocab.json; download it");
    v->texts[v->n_texts++] = text;
    if (strlen(text) != n_bytes)
        return fvlm_refuse(err, strlen(text), "\"merges.txt\": byte %zu: NUL in a text file", strlen(text));
    for (char *next, *at = text; *at; at = next) {
        char *end = strchr(at, '\n');
        next = end ? end + 1 : at + strlen(at);
        if (end) *end = 0;
        size_t n = strlen(at);
        if (n > 0 && at[n - 1] == '\r') at[--n] = 0;
        line++;
        if (n == 0 || (line == 1 && !strncmp(at, "#version", 8))) continue;
        char *space = strchr(at, ' ');
        if (!space || space == at || !space[1] || strchr(space + 1, ' '))
            return fvlm_refuse(err, (uint64_t)(at - text),
                               "\"merges.txt\": line %zu: expected two tokens separated by one space", line);
        *space = 0;
        st = fvlm_vocabulary_add_merge(v, at, space + 1, err);
        if (st) return st;
    }
    return FVLM_OK;
}

/* A small JSON file as a tree owned by v. *out is NULL if the file is absent. */
static fvlm_status read_tree(json_t **out, fvlm_vocabulary *v, fvlm_source *src, const char *name, fvlm_err *err)
{
    fvlm_status st = fvlm_source_json(out, src, name, FVLM_MAX_VOCABULARY_BYTES, err);
    if (*out) v->trees[v->n_trees++] = *out;
    return st;
}

static fvlm_status check_tokenizer_config(const json_t *config, fvlm_err *err)
{
    static const char name[] = "\"tokenizer_config.json\"";
    const json_t *class = json_object_get(config, "tokenizer_class");
    if (json_is_string(class) && strncmp(json_string_value(class), "Qwen2Tokenizer", 14) != 0)
        return fvlm_fail(err, FVLM_UNSUPPORTED,
                         "%s: \"tokenizer_class\" is \"%.64s\"; only Qwen2Tokenizer is supported", name,
                         json_string_value(class));
    if (json_is_true(json_object_get(config, "add_prefix_space")))
        return fvlm_fail(err, FVLM_UNSUPPORTED, "%s: \"add_prefix_space\" is set, which is not supported", name);
    return FVLM_OK;
}

/* {"151643": {"content": "<|endoftext|>", "special": true, ...}, ...} */
static fvlm_status add_from_decoder(fvlm_vocabulary *v, const json_t *decoder, fvlm_err *err)
{
    static const char name[] = "tokenizer_config.json";
    const char *key;
    json_t *token;
    json_object_foreach((json_t *)decoder, key, token)
    {
        const char *text = json_string_value(json_object_get(token, "content"));
        char *end;
        long id = strtol(key, &end, 10);
        if (!text || end == key || *end)
            return fvlm_fail(err, FVLM_BAD_INPUT,
                             "\"%s\": added_tokens_decoder[\"%.32s\"]: expected an id and an object with \"content\"",
                             name, key);
        fvlm_status st = fvlm_vocabulary_add_added(v, name, id, text, token, err);
        if (st) return st;
    }
    return FVLM_OK;
}

/* {"<|endoftext|>": 151643, ...}. If there is a decoder, the two must agree, and the tokens come from the decoder,
 * which also has flags. */
static fvlm_status add_from_file(fvlm_vocabulary *v, const json_t *file, const json_t *decoder, fvlm_err *err)
{
    static const char name[] = "added_tokens.json";
    const char *text;
    json_t *id;
    json_object_foreach((json_t *)file, text, id)
    {
        char key[32];
        if (!json_is_integer(id))
            return fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\": \"%.64s\" is %s, expected an id", name, text,
                             fvlm_json_kind(id));
        snprintf(key, sizeof key, "%" JSON_INTEGER_FORMAT, json_integer_value(id));
        const char *said = json_string_value(json_object_get(json_object_get(decoder, key), "content"));
        if (decoder && (!said || strcmp(said, text) != 0))
            return fvlm_fail(err, FVLM_BAD_INPUT,
                             "\"%s\" and \"tokenizer_config.json\" disagree: the id %s is \"%.64s\" in one and "
                             "%s%.64s%s in the other",
                             name, key, text, said ? "\"" : "", said ? said : "missing", said ? "\"" : "");
        fvlm_status st =
            decoder ? FVLM_OK : fvlm_vocabulary_add_added(v, name, json_integer_value(id), text, NULL, err);
        if (st) return st;
    }
    return decoder ? add_from_decoder(v, decoder, err) : FVLM_OK;
}

fvlm_status fvlm_vocabulary_from_files(fvlm_vocabulary *v, fvlm_source *src, fvlm_err *err)
{
    json_t *config = NULL, *file = NULL;
    v->pattern = qwen2_pattern;
    v->normalizer = "NFC";
    fvlm_status st = read_vocab(v, src, err);
    if (!st) st = read_merges(v, src, err);
    if (!st) st = read_tree(&config, v, src, "tokenizer_config.json", err);
    if (!st) st = check_tokenizer_config(config, err);
    if (!st) st = read_tree(&file, v, src, "added_tokens.json", err);
    if (st) return st;
    const json_t *decoder = json_object_get(config, "added_tokens_decoder");
    if (!file && !decoder)
        return fvlm_fail(
            err, FVLM_BAD_INPUT,
            "there is neither added_tokens.json nor an added_tokens_decoder in tokenizer_config.json; download them");
    return file ? add_from_file(v, file, decoder, err) : add_from_decoder(v, decoder, err);
}
