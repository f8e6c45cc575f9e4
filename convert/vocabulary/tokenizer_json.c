/* SPDX-License-Identifier: Apache-2.0 */
/* tokenizer_json.c - reads Hugging Face's tokenizer.json (11 MB for Qwen2) as a stream.
 *
 * Accepts a byte-level BPE (normalizer NFC or none, a pre_tokenizer of pre_tokenizer.c), or Llama's form (spaces.h);
 * and a post_processor that adds no token, or one at the beginning where the model's family has such. Anything else
 * there would change token ids, and is refused by name. "truncation" and "padding" are ignored, as transformers turns
 * both off. */
#include <string.h>

#include "convert/vocabulary/vocabulary_parts.h"
#include "format/base/json.h"

static const char name[] = "tokenizer.json";

static bool is(const json_t *object, const char *key, const char *wanted)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text && !strcmp(text, wanted);
}

/* NFC, or none; or a sequence of NFC. */
static bool is_supported_normalizer(const json_t *n, bool *nfc)
{
    *nfc = is(n, "type", "NFC");
    if (*nfc || json_is_null(n)) return true;
    const json_t *steps = json_object_get(n, "normalizers");
    *nfc = json_array_size(steps) > 0;
    for (size_t i = 0; i < json_array_size(steps); i++) *nfc &= is(json_array_get(steps, i), "type", "NFC");
    return is(n, "type", "Sequence") && (*nfc || !json_array_size(steps));
}

/* A template that is the text alone, or the text after one token, which becomes v->bos. */
static bool read_template(fvlm_vocabulary *v, const json_t *template)
{
    const size_t n = json_array_size(template);
    const json_t *token = json_object_get(json_array_get(template, 0), "SpecialToken");
    const char *text = json_string_value(json_object_get(token, "id"));
    if (n < 1 || n > 2 || !json_object_get(json_array_get(template, n - 1), "Sequence")) return false;
    if (n == 1) return true;
    if (!v->may_add_bos || !text || v->bos) return false;
    v->bos = fvlm_strdup(text);
    return v->bos;
}

/* A step after encoding; ByteLevel only changes offsets. */
static bool read_post_processor(fvlm_vocabulary *v, const json_t *p)
{
    if (json_is_null(p) || is(p, "type", "ByteLevel")) return true;
    if (is(p, "type", "TemplateProcessing")) return read_template(v, json_object_get(p, "single"));
    const json_t *steps = json_object_get(p, "processors");
    for (size_t i = 0; i < json_array_size(steps); i++)
        if (!read_post_processor(v, json_array_get(steps, i))) return false;
    return is(p, "type", "Sequence");
}

/* Of the part at the parser's position, which is not supported. */
static bool refuse(fvlm_json_pull *s, size_t at, const json_t *part, const char *text)
{
    const char *type = json_string_value(json_object_get(part, "type"));
    return fvlm_json_pull_refuse(s, at, FVLM_UNSUPPORTED, "%s; this one is %s%.64s%s", text, type ? "\"" : "",
                                 type ? type : fvlm_json_kind(part), type ? "\"" : "");
}

static const char only_normalizer[] = "only the normalizer NFC, or none, is supported",
                  only_pre_tokenizer[] = "only a pre_tokenizer that splits by the regex of Qwen2, Llama 3, GPT-2 or "
                                         "SmolLM2, then ByteLevel, is supported",
                  only_decoder[] = "only the decoder ByteLevel is supported";

typedef enum { NORMALIZER, PRE_TOKENIZER, ADDED_TOKENS, MODEL, POST_PROCESSOR, DECODER, N_PARTS } part_name;
static const char *const part_names[N_PARTS] = {"normalizer", "pre_tokenizer",  "added_tokens",
                                                "model",      "post_processor", "decoder"};

static bool read_step(fvlm_vocabulary *v, fvlm_json_pull *s, part_name part)
{
    fvlm_json_pull_peek(s);
    const size_t at = s->pos;
    json_t *step = fvlm_json_pull_tree(s);
    if (!step) return false;
    if (part == NORMALIZER && !is_supported_normalizer(step, &v->nfc) &&
        !fvlm_vocabulary_spaces_normalizer(&v->spaces, step))
        refuse(s, at, step, only_normalizer);
    if (part == PRE_TOKENIZER && !fvlm_vocabulary_read_pre_tokenizer(v, step) &&
        !fvlm_vocabulary_spaces_pre_tokenizer(&v->spaces, step))
        refuse(s, at, step, only_pre_tokenizer);
    if (part == POST_PROCESSOR && !read_post_processor(v, step))
        refuse(s, at, step,
               v->may_add_bos ? "only a post_processor that adds no token, or one at the beginning, is supported"
                              : "only a post_processor that adds no token is supported");
    if (part == DECODER && !json_is_null(step) && !is(step, "type", "ByteLevel") &&
        !fvlm_vocabulary_spaces_decoder(&v->spaces, step))
        refuse(s, at, step, only_decoder);
    size_t *const positions[N_PARTS] = {[NORMALIZER] = &v->spaces.normalizer_at,
                                        [PRE_TOKENIZER] = &v->spaces.pre_tokenizer_at,
                                        [DECODER] = &v->spaces.decoder_at};
    if (positions[part]) *positions[part] = at;
    json_decref(step);
    return !s->st;
}

/* {"id": 151643, "content": "<|endoftext|>", "special": true, ...} */
static bool read_added_token(fvlm_vocabulary *v, fvlm_json_pull *s, size_t i)
{
    static const char *const names[] = {"special", "normalized", "lstrip", "rstrip", "single_word"};
    bool first = true, values[5] = {false};
    uint64_t id = UINT64_MAX;
    size_t begin, end;
    fvlm_json_text key, text = {0};
    if (!fvlm_json_pull_expect(s, '{', "'{', an added token")) return false;
    const size_t at = s->pos - 1;
    while (fvlm_json_pull_member(s, &first, &key)) {
        unsigned k = 0;
        while (k < 5 && strcmp(key.s, names[k]) != 0) k++;
        if (k < 5)
            fvlm_json_pull_bool(s, &values[k]);
        else if (!strcmp(key.s, "id"))
            fvlm_json_pull_u64(s, &id);
        else if (!strcmp(key.s, "content"))
            fvlm_json_pull_string(s, &text);
        else
            fvlm_json_pull_skip(s, &begin, &end);
    }
    if (s->st) return false;
    if (!text.s || id == UINT64_MAX)
        return fvlm_json_pull_refuse(s, at, FVLM_BAD_INPUT, "added_tokens[%zu]: expected \"id\" and \"content\"", i);
    const fvlm_vocabulary_flags flags = {values[0], values[1], values[2], values[3], values[4]};
    s->st = fvlm_vocabulary_add_added(v, name, id > INT64_MAX ? INT64_MAX : (int64_t)id, text.s, flags, s->err);
    return !s->st;
}

static bool read_added(fvlm_vocabulary *v, fvlm_json_pull *s)
{
    bool first = true;
    size_t i = 0;
    if (!fvlm_json_pull_expect(s, '[', "'[', the added tokens")) return false;
    while (fvlm_json_pull_element(s, &first))
        if (!read_added_token(v, s, i++)) return false;
    v->added_file = name;
    return !s->st;
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
        if (!strncmp(left.s, "#version", 8)) return true; /* a line of merges.txt, which tokenizers skips */
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
    fvlm_json_text key, unknown;
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
        } else if (!strcmp(key.s, "unk_token") && fvlm_json_pull_peek(s) == '"') {
            if (!fvlm_json_pull_string(s, &unknown)) return false;
            v->has_unknown |= unknown.n > 0;
            v->spaces.unknown = unknown.s;
        } else {
            if (!fvlm_json_pull_skip(s, &begin, &end)) return false;
            size_t n = end - begin;
            const char *value = s->text + begin;
            bool off = (n == 4 && !memcmp(value, "null", 4)) || (n == 5 && !memcmp(value, "false", 5)) ||
                       (n == 2 && !memcmp(value, "\"\"", 2)) || (n == 1 && *value == '0') ||
                       (n == 3 && !memcmp(value, "0.0", 3)); /* dropout */
            bool bpe = !strcmp(key.s, "type") && n == 5 && !memcmp(value, "\"BPE\"", 5);
            const bool whole = !strcmp(key.s, "ignore_merges") && n == 4 && !memcmp(value, "true", 4);
            v->ignore_merges |= whole;
            const bool fuse = !strcmp(key.s, "fuse_unk"); /* of unk_token alone */
            const bool bytes = !strcmp(key.s, "byte_fallback") && n == 4 && !memcmp(value, "true", 4);
            v->spaces.fuse_unknown |= fuse && !off;
            v->spaces.byte_fallback |= bytes;
            if (bytes) v->spaces.byte_fallback_at = begin;
            if (!off && !bpe && !whole && !fuse && !bytes)
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

static bool read_part(fvlm_vocabulary *v, fvlm_json_pull *s, part_name part)
{
    return part == MODEL ? read_model(v, s) : part == ADDED_TOKENS ? read_added(v, s) : read_step(v, s, part);
}

/* All parts are read: either byte-level BPE, of which no part is of the other form, or that one. */
static void choose_form(fvlm_vocabulary *v, fvlm_json_pull *s)
{
    const fvlm_vocabulary_spaces *x = &v->spaces;
    const char *type = "\"Sequence\"";
    if (s->st) return;
    if (fvlm_vocabulary_spaces_are_used(x)) {
        s->st = fvlm_vocabulary_make_pieces(v, s->err);
        return;
    }
    if (x->unsplit)
        fvlm_json_pull_refuse(s, x->pre_tokenizer_at, FVLM_UNSUPPORTED, "%s; this one is null", only_pre_tokenizer);
    if (x->replace)
        fvlm_json_pull_refuse(s, x->normalizer_at, FVLM_UNSUPPORTED, "%s; this one is %s", only_normalizer, type);
    if (x->decoder) fvlm_json_pull_refuse(s, x->decoder_at, FVLM_UNSUPPORTED, "%s; this one is %s", only_decoder, type);
    if (x->byte_fallback)
        fvlm_json_pull_refuse(s, x->byte_fallback_at, FVLM_UNSUPPORTED,
                              "the model's \"byte_fallback\" is set to true, which is not supported");
}

fvlm_status fvlm_vocabulary_from_tokenizer_json(fvlm_vocabulary *v, fvlm_source *src, fvlm_err *err)
{
    char *text;
    size_t n_bytes;
    const fvlm_status st = fvlm_source_text(src, name, FVLM_MAX_VOCABULARY_BYTES, &text, &n_bytes, err);
    return st ? st : fvlm_vocabulary_parse_tokenizer_json(v, text, n_bytes, err);
}

fvlm_status fvlm_vocabulary_parse_tokenizer_json(fvlm_vocabulary *v, char *text, size_t n_bytes, fvlm_err *err)
{
    bool seen[N_PARTS] = {false}, first = true;
    fvlm_json_text key;
    size_t begin, end;
    v->texts[v->n_texts++] = text;
    fvlm_json_pull s = fvlm_json_pull_over(text, n_bytes, name, 0, err);
    s.stop = v->stop;
    fvlm_json_pull_expect(&s, '{', "'{', the tokenizer");
    while (fvlm_json_pull_member(&s, &first, &key)) {
        unsigned i = 0;
        while (i < N_PARTS && strcmp(key.s, part_names[i]) != 0) i++;
        if (i == N_PARTS)
            fvlm_json_pull_skip(&s, &begin, &end);
        else if (seen[i])
            fvlm_json_pull_refuse(&s, key.at, FVLM_BAD_INPUT, "\"%s\" is given twice", key.s);
        else
            seen[i] = true, read_part(v, &s, (part_name)i);
    }
    fvlm_json_pull_end(&s);
    for (unsigned i = 0; i <= MODEL; i++) /* the others may be missing */
        if (!seen[i]) fvlm_json_pull_refuse(&s, 0, FVLM_BAD_INPUT, "\"%s\" is missing", part_names[i]);
    choose_form(v, &s);
    return s.st;
}
