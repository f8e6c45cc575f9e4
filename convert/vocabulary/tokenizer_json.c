/* SPDX-License-Identifier: Apache-2.0 */
/* tokenizer_json.c - reads Hugging Face's tokenizer.json (11 MB for Qwen2) as a stream.
 *
 * Accepts a byte-level BPE built like Qwen2's: normalizer NFC or none, one splitting regex, ByteLevel without a regex
 * and without a prefix space. Anything else there would change token ids, and is refused by name. */
#include <string.h>

#include "convert/vocabulary/vocabulary_parts.h"
#include "format/base/json.h"

static const char name[] = "tokenizer.json";

static bool refuse(fvlm_json_pull *s, size_t at, const char *text)
{
    return fvlm_json_pull_refuse(s, at, FVLM_UNSUPPORTED, "%s", text);
}

/* Parses the next value as a tree, owned by v. */
static const json_t *subtree(fvlm_vocabulary *v, fvlm_json_pull *s, size_t *begin)
{
    fvlm_json_pull_peek(s);
    *begin = s->pos;
    json_t *tree = fvlm_json_pull_tree(s);
    if (tree) v->trees[v->n_trees++] = tree;
    return tree;
}

static bool is(const json_t *object, const char *key, const char *wanted)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text && !strcmp(text, wanted);
}

static bool read_normalizer(fvlm_vocabulary *v, fvlm_json_pull *s)
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
static bool read_pretokenizer(fvlm_vocabulary *v, fvlm_json_pull *s)
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
        return refuse(s, at, "only a pre_tokenizer of one splitting regex, then ByteLevel, is supported");
    v->pattern = regex;
    return true;
}

static bool read_added(fvlm_vocabulary *v, fvlm_json_pull *s)
{
    size_t at;
    const json_t *list = subtree(v, s, &at);
    if (!list) return false;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *token = json_array_get(list, i), *id = json_object_get(token, "id");
        const char *text = json_string_value(json_object_get(token, "content"));
        if (!text || !json_is_integer(id))
            return fvlm_json_pull_refuse(s, at, FVLM_BAD_INPUT, "added_tokens[%zu]: expected \"id\" and \"content\"",
                                         i);
        s->st = fvlm_vocabulary_add_added(v, name, json_integer_value(id), text, token, s->err);
        if (s->st) return false;
    }
    return true;
}

/* "left right"; newer versions write ["left", "right"]. */
static bool read_merge(fvlm_vocabulary *v, fvlm_json_pull *s)
{
    fvlm_json_text left, right;
    if (fvlm_json_pull_peek(s) == '[') {
        s->pos++;
        if (!fvlm_json_pull_string(s, &left) || !fvlm_json_pull_expect(s, ',', "',' between two tokens") ||
            !fvlm_json_pull_string(s, &right) || !fvlm_json_pull_expect(s, ']', "']' after two tokens"))
            return false;
    } else {
        if (!fvlm_json_pull_string(s, &left)) return false;
        right.s = strchr(left.s, ' ');
        if (!right.s || right.s == left.s || !right.s[1] || strchr(right.s + 1, ' '))
            return fvlm_json_pull_refuse(s, left.at, FVLM_BAD_INPUT,
                                         "a merge must be two tokens separated by one space");
        *right.s++ = 0;
    }
    s->st = fvlm_vocabulary_add_merge(v, left.s, right.s, s->err);
    return !s->st;
}

static bool read_model(fvlm_vocabulary *v, fvlm_json_pull *s)
{
    bool first = true, first_merge = true, has_vocab = false, has_merges = false;
    fvlm_json_text key;
    size_t begin, end;
    if (!fvlm_json_pull_expect(s, '{', "'{', the model")) return false;
    size_t model_at = s->pos - 1;
    while (fvlm_json_pull_member(s, &first, &key)) {
        if (!strcmp(key.s, "vocab") && !has_vocab) {
            has_vocab = true;
            if (!fvlm_vocabulary_scan_tokens(v, s)) return false;
        } else if (!strcmp(key.s, "merges") && !has_merges) {
            has_merges = true;
            if (!fvlm_json_pull_expect(s, '[', "'[', the merges")) return false;
            while (fvlm_json_pull_element(s, &first_merge))
                if (!read_merge(v, s)) return false;
        } else if (!strcmp(key.s, "vocab") || !strcmp(key.s, "merges")) {
            return fvlm_json_pull_refuse(s, key.at, FVLM_BAD_INPUT, "\"%s\" is given twice", key.s);
        } else {
            if (!fvlm_json_pull_skip(s, &begin, &end)) return false;
            size_t n = end - begin;
            const char *value = s->text + begin;
            bool off = (n == 4 && !memcmp(value, "null", 4)) || (n == 5 && !memcmp(value, "false", 5)) ||
                       (n == 2 && !memcmp(value, "\"\"", 2));
            bool bpe = !strcmp(key.s, "type") && n == 5 && !memcmp(value, "\"BPE\"", 5);
            bool harmless = !strcmp(key.s, "unk_token") || !strcmp(key.s, "fuse_unk"); /* all bytes are known */
            if (!off && !bpe && !harmless)
                return fvlm_json_pull_refuse(s, begin, FVLM_UNSUPPORTED,
                                             "the model's \"%.64s\" is set to %.*s, which is not supported", key.s,
                                             n < 40 ? (int)n : 40, value);
        }
    }
    if (!s->st && (!has_vocab || !has_merges))
        return fvlm_json_pull_refuse(s, model_at, FVLM_BAD_INPUT, "the model has no \"%s\"",
                                     has_vocab ? "merges" : "vocab");
    return !s->st;
}

fvlm_status fvlm_vocabulary_from_tokenizer_json(fvlm_vocabulary *v, fvlm_source *src, fvlm_err *err)
{
    static const char *const keys[] = {"normalizer", "pre_tokenizer", "added_tokens", "model"};
    static bool (*const read[])(fvlm_vocabulary *, fvlm_json_pull *) = {read_normalizer, read_pretokenizer, read_added,
                                                                        read_model};
    bool seen[4] = {false}, first = true;
    char *text;
    fvlm_json_text key;
    size_t n_bytes, begin, end;
    fvlm_status st = fvlm_source_text(src, name, FVLM_MAX_VOCABULARY_BYTES, &text, &n_bytes, err);
    if (st) return st;
    v->texts[v->n_texts++] = text;
    fvlm_json_pull s = fvlm_json_pull_over(text, n_bytes, name, 0, err);
    fvlm_json_pull_expect(&s, '{', "'{', the tokenizer");
    while (fvlm_json_pull_member(&s, &first, &key)) {
        unsigned i = 0;
        while (i < 4 && strcmp(key.s, keys[i]) != 0) i++;
        if (i == 4)
            fvlm_json_pull_skip(&s, &begin, &end);
        else if (seen[i])
            fvlm_json_pull_refuse(&s, key.at, FVLM_BAD_INPUT, "\"%s\" is given twice", key.s);
        else
            seen[i] = true, read[i](v, &s);
    }
    fvlm_json_pull_end(&s);
    for (unsigned i = 0; i < 4; i++)
        if (!seen[i]) fvlm_json_pull_refuse(&s, 0, FVLM_BAD_INPUT, "\"%s\" is missing", keys[i]);
    return s.st;
}
