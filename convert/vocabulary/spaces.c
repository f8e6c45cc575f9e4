/* SPDX-License-Identifier: Apache-2.0 */
/* spaces.c - see spaces.h. Older files replace spaces in the normalizer (Prepend, Replace), newer ones in the
 * pre_tokenizer (Metaspace). With the merges and their ranks, both are what the tokenizer section expresses. */
#include "convert/vocabulary/spaces.h"

#include <stdlib.h>
#include <string.h>

#include "convert/vocabulary/vocabulary_parts.h"
#include "format/base/json.h"
#include "format/byte_letters.h"

#define SPACE "\xe2\x96\x81" /* U+2581 */

static bool is(const json_t *object, const char *key, const char *wanted)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text && !strcmp(text, wanted);
}

static bool is_number(const json_t *object, const char *key, json_int_t wanted)
{
    const json_t *v = json_object_get(object, key);
    return json_is_integer(v) && json_integer_value(v) == wanted;
}

/* {"type": "Replace", "pattern": {"String": from}, "content": to} */
static bool is_replace(const json_t *step, const char *from, const char *to)
{
    const json_t *pattern = json_object_get(step, "pattern");
    return is(step, "type", "Replace") && json_object_size(pattern) == 1 && is(pattern, "String", from) &&
           is(step, "content", to);
}

bool fvlm_vocabulary_spaces_normalizer(fvlm_vocabulary_spaces *x, const json_t *normalizer)
{
    const json_t *steps = json_object_get(normalizer, "normalizers");
    x->prepend = is(json_array_get(steps, 0), "type", "Prepend") && is(json_array_get(steps, 0), "prepend", SPACE);
    const json_t *replace = is(normalizer, "type", "Sequence") ? json_array_get(steps, x->prepend) : normalizer;
    x->replace = is_replace(replace, " ", SPACE);
    return x->replace && json_array_size(steps) <= 1u + x->prepend;
}

bool fvlm_vocabulary_spaces_pre_tokenizer(fvlm_vocabulary_spaces *x, const json_t *pre_tokenizer)
{
    x->unsplit = json_is_null(pre_tokenizer);
    if (x->unsplit) return true;
    const bool never = is(pre_tokenizer, "prepend_scheme", "never"),
               always = is(pre_tokenizer, "prepend_scheme", "always");
    x->first = is(pre_tokenizer, "prepend_scheme", "first");
    x->prefix = !never;
    x->metaspace = is(pre_tokenizer, "type", "Metaspace") && is(pre_tokenizer, "replacement", SPACE) &&
                   json_is_false(json_object_get(pre_tokenizer, "split")) && (x->first || always || never);
    return x->metaspace;
}

bool fvlm_vocabulary_spaces_decoder(fvlm_vocabulary_spaces *x, const json_t *decoder)
{
    const json_t *steps = json_object_get(decoder, "decoders"), *strip = json_array_get(steps, 3);
    const size_t n = json_array_size(steps);
    x->strip = n == 4;
    x->decoder = is(decoder, "type", "Sequence") && (n == 3 || n == 4) &&
                 is_replace(json_array_get(steps, 0), SPACE, " ") &&
                 is(json_array_get(steps, 1), "type", "ByteFallback") && is(json_array_get(steps, 2), "type", "Fuse");
    if (x->strip)
        x->decoder &= is(strip, "type", "Strip") && is(strip, "content", " ") && is_number(strip, "start", 1) &&
                      is_number(strip, "stop", 0);
    return x->decoder;
}

bool fvlm_vocabulary_spaces_are_used(const fvlm_vocabulary_spaces *x)
{
    return x->metaspace || (x->unsplit && x->replace);
}

/* ---- as a SentencePiece model ---- */

static bool add_piece(FvlmSentencepiece__Model *m, const char *text, const fvlm_vocabulary_spaces *x)
{
    FvlmSentencepiece__Piece *piece = fvlm_alloc(1, sizeof *piece);
    if (!piece) return false;
    fvlm_sentencepiece__piece__init(piece);
    m->pieces[m->n_pieces++] = piece;
    piece->type = text && !strcmp(text, x->unknown) ? FVLM_SENTENCEPIECE_UNKNOWN
                  : text && x->byte_fallback && fvlm_byte_letters_from_hex(text, strlen(text)) >= 0
                      ? FVLM_SENTENCEPIECE_BYTE
                      : FVLM_SENTENCEPIECE_NORMAL;
    piece->piece = text ? fvlm_strdup(text) : NULL;
    return !text || piece->piece;
}

/* NULL if out of memory. */
static FvlmSentencepiece__Model *make_model(const fvlm_vocabulary *v, bool prefix)
{
    FvlmSentencepiece__Model *m = fvlm_alloc(1, sizeof *m);
    FvlmSentencepiece__TrainerSpec *trainer = fvlm_alloc(1, sizeof *trainer);
    FvlmSentencepiece__NormalizerSpec *rules = fvlm_alloc(1, sizeof *rules);
    bool ok = m && trainer && rules;
    if (trainer) fvlm_sentencepiece__trainer_spec__init(trainer);
    if (rules) fvlm_sentencepiece__normalizer_spec__init(rules);
    if (!ok) {
        free(m);
        free(trainer);
        free(rules);
        return NULL;
    }
    fvlm_sentencepiece__model__init(m);
    m->trainer_spec = trainer;
    m->normalizer_spec = rules;
    trainer->model_type = FVLM_SENTENCEPIECE_BPE;
    trainer->byte_fallback = v->spaces.byte_fallback;
    trainer->unk_surface = fvlm_strdup(v->spaces.unknown);
    rules->add_dummy_prefix = prefix;
    rules->remove_extra_whitespaces = false;
    m->pieces = fvlm_alloc(v->n_tokens, sizeof *m->pieces);
    ok = trainer->unk_surface && m->pieces;
    for (size_t i = 0; ok && i < v->n_tokens; i++) ok = add_piece(m, v->tokens[i], &v->spaces);
    if (!ok) fvlm_sentencepiece__model__free_unpacked(m, NULL);
    return ok ? m : NULL;
}

/* What a step does that the section cannot express; NULL: nothing. */
static const char *not_expressible(const fvlm_vocabulary *v, bool prefix)
{
    const fvlm_vocabulary_spaces *x = &v->spaces;
    if (x->metaspace && (x->replace || v->nfc)) return "a normalizer before Metaspace is not supported";
    if (!x->decoder)
        return "with a tokenizer that replaces spaces, only the decoder of Replace, ByteFallback, Fuse and Strip is "
               "supported";
    if (x->strip != prefix)
        return prefix ? "the decoder has no Strip, which removes the prefix that is put before a text"
                      : "the decoder strips a space that is not put before a text";
    if ((!x->unknown || !*x->unknown) && !x->byte_fallback) return "the model has no \"unk_token\"";
    if (!x->byte_fallback && !x->fuse_unknown)
        return "the model's \"fuse_unk\" is not set, which is not supported without \"byte_fallback\"";
    return v->ignore_merges ? "the model's \"ignore_merges\" is set, which is not supported where spaces are replaced"
                            : NULL;
}

fvlm_status fvlm_vocabulary_make_pieces(fvlm_vocabulary *v, fvlm_err *err)
{
    fvlm_vocabulary_spaces *x = &v->spaces;
    const bool prefix = x->metaspace ? x->prefix : x->prepend;
    const char *why = not_expressible(v, prefix);
    if (why) return fvlm_fail(err, FVLM_UNSUPPORTED, "\"tokenizer.json\": %s", why);
    if (!x->unknown || !*x->unknown) x->unknown = "<unk>"; /* as transformers writes it: all bytes have tokens */
    FvlmSentencepiece__Model *m = make_model(v, prefix);
    if (!m) return fvlm_fail_nomem(err);
    const fvlm_status st = fvlm_piece_model_adopt(&v->pieces, m, v->stop, err);
    if (st == FVLM_NOMEM || st == FVLM_INTERRUPTED) return st;
    if (st) return fvlm_err_prefix(err, "\"tokenizer.json\"");
    v->pieces->ranked = true;
    v->pieces->prefix_once = x->metaspace;
    v->pieces->legacy = !(x->metaspace && x->first);
    return FVLM_OK;
}

fvlm_status fvlm_vocabulary_check_spaces(fvlm_vocabulary *v, fvlm_err *err)
{
    const json_t *prefix = json_object_get(v->config, "add_prefix_space");
    size_t n = 0;
    const fvlm_vocabulary_added *normalized = NULL;
    if (json_is_boolean(prefix) && json_is_true(prefix) != (bool)v->pieces->message->normalizer_spec->add_dummy_prefix)
        return fvlm_fail(err, FVLM_UNSUPPORTED,
                         "\"tokenizer_config.json\": \"add_prefix_space\" is %s, but tokenizer.json %s such a prefix",
                         json_is_true(prefix) ? "true" : "false", json_is_true(prefix) ? "has no" : "has");
    for (size_t i = 0; i < v->n_added; i++)
        if (v->added[i].flags.normalized && !n++) normalized = &v->added[i];
    /* Without a normalizer, it makes no difference; but those that are not normalized are found before others. */
    if (n && (!v->pieces->prefix_once || n < v->n_added))
        return fvlm_fail(err, FVLM_UNSUPPORTED,
                         "\"%s\": the added token \"%.64s\" is \"normalized\", which is not supported where spaces are "
                         "replaced",
                         v->added_file, normalized->text);
    fvlm_vocabulary_clear_normalized(v);
    return FVLM_OK;
}
