/* SPDX-License-Identifier: Apache-2.0 */
/* vocabulary.c - which of a checkpoint's tokenizer files are read. tokenizer.json is a whole tokenizer; vocab.json,
 * merges.txt and the added tokens are one in parts, of which tokenizer.json supplies those that are missing. Where both
 * are there, they must agree: Apple's predict.py reads the parts, while AutoTokenizer prefers tokenizer.json, or takes
 * some of each, depending on its version. tokenizer.model is a whole SentencePiece tokenizer, read where vocab.json is
 * not there; a tokenizer.json beside it is only compared. */
#include "convert/vocabulary/vocabulary.h"

#include <stdio.h>
#include <string.h>

#include "convert/vocabulary/vocabulary_parts.h"

static const char full_name[] = "tokenizer.json", vocab_name[] = "vocab.json", pieces_name[] = "tokenizer.model";

/* Adds to the message of a refusal what would leave one of the two tokenizers out. */
static fvlm_status advise(fvlm_status st, fvlm_source *src, bool disagree, fvlm_err *err)
{
    if (!err || (st != FVLM_BAD_INPUT && st != FVLM_UNSUPPORTED && st != FVLM_LIMIT)) return st;
    const char *text = !fvlm_source_has(src, vocab_name) ? "; --tokenizer tokenizer.json uses that alone"
                       : disagree ? "; choose with --tokenizer tokenizer.json or --tokenizer vocab.json (what Apple's "
                                    "predict.py reads)"
                                  : "; --tokenizer vocab.json leaves it out";
    const size_t n = strlen(err->msg);
    snprintf(err->msg + n, sizeof err->msg - n, "%s", text);
    return st;
}

/* Whether another file than tokenizer.json has the added tokens. */
static bool has_added(const fvlm_vocabulary *v, const fvlm_source *src)
{
    return fvlm_source_has(src, "added_tokens.json") || json_object_get(v->config, "added_tokens_decoder");
}

/* added_tokens.json does not contain flags: those of the same tokens in tokenizer.json hold, as in transformers. */
static void adopt_flags(fvlm_vocabulary *v, const fvlm_vocabulary *full)
{
    if (json_object_get(v->config, "added_tokens_decoder")) return;
    for (size_t i = 0, k = 0; i < v->n_added && k < full->n_added;) {
        fvlm_vocabulary_added *a = &v->added[i];
        const fvlm_vocabulary_added *f = &full->added[k];
        if (a->id == f->id && !strcmp(a->text, f->text)) a->flags = f->flags;
        i += a->id <= f->id;
        k += f->id <= a->id;
    }
}

/* tokenizer.json of Llama's form has no counterpart in vocab.json and merges.txt. */
static fvlm_status take_pieces(fvlm_vocabulary *v, fvlm_vocabulary *full, const fvlm_source *src, fvlm_err *err)
{
    if (fvlm_source_has(src, vocab_name))
        return fvlm_fail(err, FVLM_BAD_INPUT,
                         "vocab.json is of byte-level BPE, tokenizer.json of another kind; choose with --tokenizer "
                         "tokenizer.json");
    v->pieces = full->pieces;
    full->pieces = NULL;
    return FVLM_OK;
}

static fvlm_status read_parts(fvlm_vocabulary *v, fvlm_vocabulary *full, fvlm_source *src,
                              const fvlm_vocabulary_options *o, fvlm_err *err)
{
    const bool chosen = o->use;
    const bool both = fvlm_source_has(src, vocab_name) && fvlm_source_has(src, "merges.txt");
    fvlm_status st = both ? fvlm_vocabulary_from_files(v, src, NULL, err) : FVLM_OK;
    if (!st) st = fvlm_vocabulary_read_config(v, src, err);
    if (st) return st;
    const bool complete = both && has_added(v, src),
               with_full = fvlm_source_has(src, full_name) && !(chosen && complete);
    if (with_full) st = fvlm_vocabulary_from_tokenizer_json(full, src, err);
    if (complete) st = advise(st, src, false, err);
    const fvlm_vocabulary *parts = with_full ? full : NULL;
    if (!st && !both) st = fvlm_vocabulary_from_files(v, src, parts, err);
    if (!st && full->pieces) st = take_pieces(v, full, src, err);
    if (!st) st = fvlm_vocabulary_choose_splitting(v, src, parts, err);
    if (!st) st = fvlm_vocabulary_read_added(v, src, parts, err);
    if (!st) st = fvlm_vocabulary_choose_bos(v, with_full ? full->bos : NULL, err);
    if (!st && v->pieces) st = fvlm_vocabulary_check_spaces(v, err);
    if (!st) st = fvlm_vocabulary_check(v, o->needed, err);
    if (st || !with_full || chosen) return st;
    fvlm_vocabulary_sort_added(full);
    if (v->pieces) fvlm_vocabulary_clear_normalized(full);
    adopt_flags(v, full);
    return advise(fvlm_vocabulary_compare(v, full, err), src, true, err);
}

/* tokenizer.json beside tokenizer.model is not used, as in LLaVA. Warns if that matters. */
static fvlm_status compare_unread(const fvlm_vocabulary *v, fvlm_vocabulary *full, fvlm_source *src, fvlm_err *err)
{
    char *text;
    size_t n;
    fvlm_err why = {0};
    fvlm_status st = fvlm_source_peek_text(&text, &n, src, full_name, FVLM_MAX_VOCABULARY_BYTES, err);
    if (st || !text) return st;
    st = fvlm_vocabulary_parse_tokenizer_json(full, text, n, &why);
    if (!st) st = fvlm_vocabulary_compare_pieces(v, full, &why);
    if (st == FVLM_NOMEM || st == FVLM_INTERRUPTED) return fvlm_fail(err, st, "%s", why.msg);
    if (!st) return FVLM_OK;
    return fvlm_source_warn(src, err,
                            "tokenizer.model is used, as in LLaVA, and not tokenizer.json: %s; --tokenizer "
                            "tokenizer.json uses that instead",
                            why.msg);
}

static fvlm_status read_chosen(fvlm_vocabulary *v, fvlm_vocabulary *full, fvlm_source *src,
                               const fvlm_vocabulary_options *o, fvlm_err *err)
{
    const char *use = o->use;
    const bool pieces = fvlm_source_has(src, pieces_name) && !fvlm_source_has(src, vocab_name);
    if (use && !fvlm_source_has(src, use))
        return fvlm_fail(err, FVLM_USAGE, "--tokenizer: the folder has no \"%.40s\"; leave the option out", use);
    if (use ? !strcmp(use, pieces_name) : pieces) {
        fvlm_status st = fvlm_vocabulary_from_pieces(v, src, err);
        if (!st) st = fvlm_vocabulary_check(v, o->needed, err);
        return st || use ? st : compare_unread(v, full, src, err);
    }
    if (!fvlm_source_has(src, full_name) && !fvlm_source_has(src, vocab_name))
        return fvlm_fail(err, FVLM_BAD_INPUT,
                         "the folder has no tokenizer: neither vocab.json and merges.txt nor tokenizer.json nor "
                         "tokenizer.model; copy them from the checkpoint");
    if (!use || strcmp(use, full_name) != 0) return read_parts(v, full, src, o, err);
    fvlm_status st = fvlm_vocabulary_from_tokenizer_json(v, src, err);
    if (!st) st = fvlm_vocabulary_read_config(v, src, err);
    json_decref(v->named_special); /* tokenizer.json says what is special */
    v->named_special = NULL;
    if (!st) st = fvlm_vocabulary_choose_splitting(v, src, v, err);
    if (!st) st = fvlm_vocabulary_choose_bos(v, v->bos, err);
    if (!st && v->pieces) st = fvlm_vocabulary_check_spaces(v, err);
    return st ? st : fvlm_vocabulary_check(v, o->needed, err);
}

static void drop_image(fvlm_vocabulary *v, uint32_t rows)
{
    const fvlm_vocabulary_added *last = v->n_added ? &v->added[v->n_added - 1] : NULL;
    if (rows && v->n_added > 1 && last->id >= rows && !strcmp(last->text, "<image>")) v->n_added--;
}

static uint32_t id_of(const fvlm_vocabulary *v, const char *text)
{
    for (size_t i = 0; text && i < v->n_added; i++)
        if (!strcmp(v->added[i].text, text)) return v->added[i].id;
    return FVLM_NO_ID;
}

fvlm_status fvlm_vocabulary_read(fvlm_vocabulary_text *out, fvlm_source *src, const fvlm_vocabulary_options *o,
                                 fvlm_err *err)
{
    fvlm_vocabulary v = {.stop = o->stop, .may_add_bos = o->may_add_bos},
                    full = {.stop = o->stop, .may_add_bos = o->may_add_bos};
    *out = (fvlm_vocabulary_text){.turn_end = FVLM_NO_ID, .bos = FVLM_NO_ID};
    fvlm_status st = read_chosen(&v, &full, src, o, err);
    if (!st) drop_image(&v, o->rows);
    out->bos = id_of(&v, v.bos);
    if (!st && v.bos && out->bos == FVLM_NO_ID)
        st = fvlm_fail(err, FVLM_BAD_INPUT, "\"%.64s\" begins each text, but is not an added token", v.bos);
    if (!st) st = fvlm_vocabulary_json(&out->json, &out->n_bytes, &v, err);
    if (!st) {
        const uint32_t last = v.n_added ? v.added[v.n_added - 1].id : 0; /* sorted by fvlm_vocabulary_check */
        out->n_ids = 1 + (last >= v.n_tokens ? last : (uint32_t)v.n_tokens - 1);
        out->turn_end = id_of(&v, o->turn_end ? o->turn_end : "<|im_end|>");
    }
    fvlm_vocabulary_free(&v);
    fvlm_vocabulary_free(&full);
    return st;
}
