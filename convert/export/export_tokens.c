/* SPDX-License-Identifier: Apache-2.0 */
/* export_tokens.c - see export_tokens.h. */
#include "convert/export/export_tokens.h"

#include <string.h>

#include "format/base/json.h"

const char fvlm_piece_letters[] = "nucdxb";

/* As convert/vocabulary/pre_tokenizer.c reads them. */
static const fvlm_split_form forms[] = {
    {.pattern = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|"
                "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
     .class_name = "Qwen2Tokenizer",
     .pre = "qwen2"},
    {.pattern = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|"
                "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
     .pre = "llama-bpe",
     .ignores_merges = true},
    {.pattern = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
     .pre = "gpt-2",
     .byte_level = true},
    {.pattern = "\\p{N}|'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?![^\\s\\p{N}])|\\s+",
     .pre = "smollm",
     .digits = true,
     .byte_level = true},
};

const fvlm_split_form *fvlm_tokens_form(const fvlm_tokens *t)
{
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++)
        if (t->pattern && !strcmp(forms[i].pattern, t->pattern)) return &forms[i];
    return NULL;
}

static bool all_strings(const json_t *array, bool or_null)
{
    for (size_t i = 0; i < json_array_size(array); i++) {
        const json_t *v = json_array_get(array, i);
        if (!json_is_string(v) && !(or_null && json_is_null(v))) return false;
    }
    return json_is_array(array);
}

static bool all_added(const json_t *array)
{
    for (size_t i = 0; i < json_array_size(array); i++) {
        const json_t *v = json_array_get(array, i), *id = json_object_get(v, "id");
        if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) >= FVLM_MAX_TOKENS ||
            !json_is_string(json_object_get(v, "text")))
            return false;
    }
    return json_is_array(array);
}

static bool flag(const fvlm_tokens *t, const char *key)
{
    return json_is_true(json_object_get(t->root, key));
}

static bool read_bpe(fvlm_tokens *t)
{
    t->tokens = json_object_get(t->root, "tokens");
    t->merges = json_object_get(t->root, "merges");
    t->pattern = json_string_value(json_object_get(t->root, "pattern"));
    t->nfc = json_is_string(json_object_get(t->root, "normalizer"));
    t->prefix_space = flag(t, "prefix_space");
    t->ignore_merges = flag(t, "ignore_merges");
    t->drops_bytes = flag(t, "drops_bytes");
    return t->pattern && all_strings(t->tokens, true) && all_strings(t->merges, false);
}

static bool all_u32(const json_t *array)
{
    for (size_t i = 0; i < json_array_size(array); i++) {
        const json_int_t v = json_integer_value(json_array_get(array, i));
        if (!json_is_integer(json_array_get(array, i)) || v < 0 || v > UINT32_MAX) return false;
    }
    return json_is_array(array);
}

static bool read_pieces(fvlm_tokens *t)
{
    const json_t *map = json_object_get(t->root, "charsmap");
    const char *model = json_string_value(json_object_get(t->root, "model"));
    t->tokens = json_object_get(t->root, "pieces");
    t->pieces.unigram = model && !strcmp(model, "unigram");
    t->pieces.scores = json_object_get(t->root, "scores");
    t->pieces.types = json_string_value(json_object_get(t->root, "types"));
    t->pieces.unknown = json_string_value(json_object_get(t->root, "unknown"));
    t->pieces.trie = json_object_get(map, "trie");
    t->pieces.targets = json_object_get(map, "targets");
    t->pieces.dummy_prefix = flag(t, "dummy_prefix");
    t->pieces.remove_whitespace = flag(t, "remove_whitespace");
    t->pieces.escape_whitespace = flag(t, "escape_whitespace");
    t->pieces.whitespace_suffix = flag(t, "whitespace_suffix");
    t->pieces.legacy = flag(t, "legacy");
    const size_t n = json_array_size(t->tokens);
    const char *types = t->pieces.types ? t->pieces.types : "";
    const bool no_map = json_is_null(map);
    const char *unknown = strchr(types, 'u');
    return model && (t->pieces.unigram || !strcmp(model, "bpe")) && all_strings(t->tokens, false) &&
           all_u32(t->pieces.scores) && json_array_size(t->pieces.scores) == n && strlen(types) == n &&
           strspn(types, fvlm_piece_letters) == n && unknown && !strchr(unknown + 1, 'u') && t->pieces.unknown &&
           (no_map || (all_u32(t->pieces.trie) && all_strings(t->pieces.targets, false)));
}

static fvlm_status check(fvlm_tokens *t, const char *path, fvlm_err *err)
{
    const char *kind = json_string_value(json_object_get(t->root, "kind"));
    if (kind && strcmp(kind, "sentencepiece") != 0)
        return fvlm_fail(err, FVLM_UNSUPPORTED,
                         "\"%s\": its tokenizer is of the kind \"%.32s\"; only byte-level BPE and SentencePiece are "
                         "exported",
                         path, kind);
    /* Its scores are all 0, and tokenizer.model has no ranks. */
    if (kind && (json_object_get(t->root, "merges") || flag(t, "prefix_once")))
        return fvlm_fail(
            err, FVLM_UNSUPPORTED,
            "\"%s\": its tokenizer is from a tokenizer.json and merges by rank, which is not exported; convert "
            "with --tokenizer tokenizer.model if there is one",
            path);
    t->added = json_object_get(t->root, "added");
    if (!(kind ? read_pieces(t) : read_bpe(t)) || !all_added(t->added))
        return fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\": its tokenizer section is not what format/SPEC.md says", path);
    return FVLM_OK;
}

fvlm_status fvlm_tokens_read(fvlm_tokens *out, fvlm_reader *r, fvlm_err *err)
{
    const char *text;
    size_t n_bytes;
    *out = (fvlm_tokens){0};
    fvlm_status st = fvlm_reader_tokenizer(r, &text, &n_bytes, err);
    if (st) return st;
    if (n_bytes == 0) return fvlm_fail(err, FVLM_UNSUPPORTED, "\"%s\" has no tokenizer", fvlm_reader_path(r));
    st = fvlm_json_parse(&out->root, text, n_bytes, FVLM_JSON_SECTION, "tokenizer", err);
    if (st) return fvlm_err_prefix(err, "\"%s\"", fvlm_reader_path(r));
    st = check(out, fvlm_reader_path(r), err);
    if (st) fvlm_tokens_free(out);
    return st;
}

void fvlm_tokens_free(fvlm_tokens *t)
{
    json_decref(t->root);
    *t = (fvlm_tokens){0};
}

bool fvlm_tokens_added_at(const fvlm_tokens *t, size_t i, fvlm_added_token *out)
{
    const json_t *v = json_array_get(t->added, i);
    if (!v) return false;
    *out = (fvlm_added_token){.id = (uint32_t)json_integer_value(json_object_get(v, "id")),
                              .text = json_string_value(json_object_get(v, "text")),
                              .special = json_is_true(json_object_get(v, "special")),
                              .normalized = json_is_true(json_object_get(v, "normalized"))};
    return true;
}

bool fvlm_tokens_find_added(const fvlm_tokens *t, const char *text, uint32_t *id)
{
    fvlm_added_token a;
    for (size_t i = 0; fvlm_tokens_added_at(t, i, &a); i++)
        if (!strcmp(a.text, text)) return *id = a.id, true;
    return false;
}

const char *fvlm_tokens_added_text(const fvlm_tokens *t, uint32_t id)
{
    fvlm_added_token a;
    for (size_t i = 0; fvlm_tokens_added_at(t, i, &a); i++)
        if (a.id == id) return a.text;
    return NULL;
}
