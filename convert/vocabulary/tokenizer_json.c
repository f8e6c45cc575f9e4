/* SPDX-License-Identifier: Apache-2.0 */
/* tokenizer_json.c - reads Hugging Face's tokenizer.json (11 MB for Qwen2) as a stream.
 *
 * Accepts a byte-level BPE built like Qwen2's: normalizer NFC or none, one splitting regex, ByteLevel without a regex
 * and without a prefix space. Anything else there would change token ids, and is refused by name. */
#include <stdlib.h>
#include <string.h>

#include "convert/vocabulary/vocabulary_parts.h"
#include "format/base/json.h"

static const char name[] = "tokenizer.json";

static bool refuse(fvlm_scan *s, size_t at, const char *text)
{
    return fvlm_scan_refuse(s, at, FVLM_UNSUPPORTED, "%s", text);
}

/* Parses the next value as a tree, owned by v. */
static const json_t *subtree(fvlm_vocabulary *v, fvlm_scan *s, size_t *begin)
{
    size_t end;
    json_t *tree;
    if (!fvlm_scan_skip(s, begin, &end)) return NULL;
    json_error_t error;
    tree = json_loadb(s->text + *begin, end - *begin, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (!tree) {
        fvlm_scan_refuse(s, *begin, FVLM_BAD_INPUT, "%s", error.text);
        return NULL;
    }
    v->trees[v->n_trees++] = tree;
    return tree;
}

static bool is(const json_t *object, const char *key, const char *wanted)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text && !strcmp(text, wanted);
}

static bool read_normalizer(fvlm_vocabulary *v, fvlm_scan *s)
{
    size_t at;
    const json_t *n = subtree(v, s, &at);
    if (!n) return false;
    if (json_is_null(n)) return true;
    if (!is(n, "type", "NFC")) return refuse(s, at, "only the normalizer NFC, or none, is supported");
    v->normalizer = "NFC";
    return true;
}

/* {"type": "Sequence", "pretokenizers": [Split by regex, ByteLevel]} */
static bool read_pretokenizer(fvlm_vocabulary *v, fvlm_scan *s)
{
    size_t at;
    const json_t *p = subtree(v, s, &at);
    if (!p) return false;
    const json_t *steps = json_object_get(p, "pretokenizers"), *split = json_array_get(steps, 0),
                 *bytes = json_array_get(steps, 1);
    const char *regex = json_string_value(json_object_get(json_object_get(split, "pattern"), "Regex"));
    if (!is(p, "type", "Sequence") || json_array_size(steps) != 2 || !is(split, "type", "Split") || !regex ||
        !is(split, "behavior", "Isolated") || json_is_true(json_object_get(split, "invert")) ||
        !is(bytes, "type", "ByteLevel") || json_is_true(json_object_get(bytes, "add_prefix_space")) ||
        !json_is_false(json_object_get(bytes, "use_regex")))
        return refuse(s, at, "only a pre_tokenizer that splits by one regex and then goes to bytes is supported");
    v->pattern = regex;
    return true;
}

static bool read_added(fvlm_vocabulary *v, fvlm_scan *s)
{
    size_t at;
    const json_t *list = subtree(v, s, &at);
    if (!list) return false;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *token = json_array_get(list, i), *id = json_object_get(token, "id");
        const char *text = json_string_value(json_object_get(token, "content"));
        if (!text || !json_is_integer(id))
            return fvlm_scan_refuse(s, at, FVLM_BAD_INPUT, "added_tokens[%zu]: expected \"id\" and \"content\"", i);
        s->st = fvlm_vocabulary_add_added(v, name, json_integer_value(id), text, token, s->err);
        if (s->st) return false;
    }
    return true;
}

/* "left right"; newer versions write ["left", "right"]. */
static bool read_merge(fvlm_vocabulary *v, fvlm_scan *s)
{
    char *left, *right;
    size_t at;
    if (fvlm_scan_peek(s) == '[') {
        s->pos++;
        if (!fvlm_scan_string(s, &left, &at) || !fvlm_scan_expect(s, ',', "',' between two tokens") ||
            !fvlm_scan_string(s, &right, &at) || !fvlm_scan_expect(s, ']', "']' after two tokens"))
            return false;
    } else {
        if (!fvlm_scan_string(s, &left, &at)) return false;
        right = strchr(left, ' ');
        if (!right || right == left || !right[1] || strchr(right + 1, ' '))
            return fvlm_scan_refuse(s, at, FVLM_BAD_INPUT, "a merge is two tokens with one space between");
        *right++ = 0;
    }
    s->st = fvlm_vocabulary_add_merge(v, left, right, s->err);
    return !s->st;
}

static bool read_model(fvlm_vocabulary *v, fvlm_scan *s)
{
    bool first = true, first_merge = true, has_vocab = false, has_merges = false;
    char *key;
    size_t at, begin, end;
    if (!fvlm_scan_expect(s, '{', "'{', the model")) return false;
    size_t model_at = s->pos - 1;
    while (fvlm_scan_member(s, &first, &key, &at)) {
        if (!strcmp(key, "vocab") && !has_vocab) {
            has_vocab = true;
            if (!fvlm_vocabulary_scan_tokens(v, s)) return false;
        } else if (!strcmp(key, "merges") && !has_merges) {
            has_merges = true;
            if (!fvlm_scan_expect(s, '[', "'[', the merges")) return false;
            while (fvlm_scan_element(s, &first_merge))
                if (!read_merge(v, s)) return false;
        } else if (!strcmp(key, "vocab") || !strcmp(key, "merges")) {
            return fvlm_scan_refuse(s, at, FVLM_BAD_INPUT, "\"%s\" is given twice", key);
        } else {
            if (!fvlm_scan_skip(s, &begin, &end)) return false;
            size_t n = end - begin;
            const char *value = s->text + begin;
            bool off = (n == 4 && !memcmp(value, "null", 4)) || (n == 5 && !memcmp(value, "false", 5)) ||
                       (n == 2 && !memcmp(value, "\"\"", 2));
            bool bpe = !strcmp(key, "type") && n == 5 && !memcmp(value, "\"BPE\"", 5);
            bool harmless = !strcmp(key, "unk_token") || !strcmp(key, "fuse_unk"); /* all bytes are known */
            if (!off && !bpe && !harmless)
                return fvlm_scan_refuse(s, begin, FVLM_UNSUPPORTED,
                                        "the model's \"%.64s\" is set to %.*s, which is not supported", key,
                                        n < 40 ? (int)n : 40, value);
        }
    }
    if (!s->st && (!has_vocab || !has_merges))
        return fvlm_scan_refuse(s, model_at, FVLM_BAD_INPUT, "the model has no \"%s\"", has_vocab ? "merges" : "vocab");
    return !s->st;
}

fvlm_status fvlm_vocabulary_from_tokenizer_json(fvlm_vocabulary *v, fvlm_source *src, fvlm_err *err)
{
    static const char *const keys[] = {"normalizer", "pre_tokenizer", "added_tokens", "model"};
    static bool (*const read[])(fvlm_vocabulary *, fvlm_scan *) = {read_normalizer, read_pretokenizer, read_added,
                                                                   read_model};
    bool seen[4] = {false}, first = true;
    char *text, *key;
    size_t n_bytes, at, begin, end;
    fvlm_status st = fvlm_source_text(src, name, FVLM_MAX_VOCABULARY_BYTES, &text, &n_bytes, err);
    if (st) return st;
    v->texts[v->n_texts++] = text;
    fvlm_scan s = fvlm_scan_over(text, n_bytes, name, 0, err);
    fvlm_scan_expect(&s, '{', "'{', the tokenizer");
    while (fvlm_scan_member(&s, &first, &key, &at)) {
        unsigned i = 0;
        while (i < 4 && strcmp(key, keys[i]) != 0) i++;
        if (i == 4)
            fvlm_scan_skip(&s, &begin, &end);
        else if (seen[i])
            fvlm_scan_refuse(&s, at, FVLM_BAD_INPUT, "\"%s\" is given twice", key);
        else
            seen[i] = true, read[i](v, &s);
    }
    fvlm_scan_end(&s);
    for (unsigned i = 0; i < 4; i++)
        if (!seen[i]) fvlm_scan_refuse(&s, 0, FVLM_BAD_INPUT, "\"%s\" is missing", keys[i]);
    return s.st;
}
