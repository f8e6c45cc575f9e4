/* SPDX-License-Identifier: Apache-2.0 */
/* gguf_tokenizer.c - the tokenizer as llama.cpp reads it: "gpt2", byte-level BPE, or "llama", SentencePiece. Refuses
 * one that llama.cpp would cut texts by in another way. */
#include <stdlib.h>
#include <string.h>

#include "convert/export/export_folder.h"
#include "convert/export/gguf.h"

/* llama.cpp's numbers of types of tokens. */
enum { NORMAL = 1, UNKNOWN, CONTROL, USER_DEFINED, UNUSED };

#define UNUSED_SCORE (-1000.0f)

/* ---- the check ---- */

static fvlm_status check_bpe(fvlm_export *x, const fvlm_tokens *t, fvlm_err *err)
{
    const fvlm_split_form *form = fvlm_tokens_form(t);
    const char *path = fvlm_reader_path(x->reader);
    if (!form)
        return fvlm_fail(err, FVLM_UNSUPPORTED,
                         "\"%s\": llama.cpp has no name for the regular expression that splits this tokenizer's text",
                         path);
    if (t->prefix_space || t->ignore_merges != form->ignores_merges)
        return fvlm_fail(err, FVLM_UNSUPPORTED,
                         "\"%s\": llama.cpp's tokenizer \"%s\" %s, which this model's does not agree with", path,
                         form->pre,
                         t->prefix_space        ? "puts no space before a text"
                         : form->ignores_merges ? "takes whole words without merges"
                                                : "merges every word");
    fvlm_status st = FVLM_OK;
    if (t->drops_bytes)
        st = fvlm_export_note(x, err,
                              "bytes without a token separate what is around them in llama.cpp; here they do not");
    if (!st && t->nfc)
        st = fvlm_export_note(x, err, "llama.cpp does not normalize text to NFC, which this tokenizer does");
    return st;
}

/* llama.cpp merges pieces by their scores and spells what is left in bytes; it normalizes nothing. */
static fvlm_status check_pieces(fvlm_export *x, const fvlm_tokens *t, fvlm_err *err)
{
    const struct {
        bool differs;
        const char *how;
    } checks[] = {
        {t->pieces.unigram, "is a unigram model; llama.cpp's for Llama is BPE"},
        {t->pieces.trie, "has normalization rules, which llama.cpp does not apply"},
        {t->pieces.remove_whitespace, "removes extra spaces, which llama.cpp does not"},
        {!t->pieces.escape_whitespace, "does not write spaces as U+2581, which llama.cpp does"},
        {t->pieces.whitespace_suffix, "puts a space after each text, which llama.cpp puts before it"},
        {!strchr(t->pieces.types, 'b'), "has no pieces for bytes, which llama.cpp needs"},
        {strchr(t->pieces.types, 'd'), "has user-defined pieces, behind which llama.cpp puts a space"},
        {strchr(t->pieces.types, 'x'), "has unused pieces, which llama.cpp uses"},
    };
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++)
        if (checks[i].differs)
            return fvlm_fail(err, FVLM_UNSUPPORTED, "\"%s\": its SentencePiece tokenizer %s",
                             fvlm_reader_path(x->reader), checks[i].how);
    if (t->pieces.legacy || !t->pieces.dummy_prefix) return FVLM_OK;
    return fvlm_export_note(x, err,
                            "llama.cpp puts a space before a text that follows an added token, which this tokenizer "
                            "does not");
}

fvlm_status fvlm_gguf_check_tokenizer(fvlm_export *x, fvlm_err *err)
{
    fvlm_tokens t;
    fvlm_status st = fvlm_tokens_read(&t, x->reader, err);
    if (st) return st;
    if (json_array_size(t.tokens) > x->config->llm.vocab)
        st = fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\": the tokenizer has %zu tokens, but the embedding %u rows",
                       fvlm_reader_path(x->reader), json_array_size(t.tokens), x->config->llm.vocab);
    if (!st) st = fvlm_tokens_are_pieces(&t) ? check_pieces(x, &t, err) : check_bpe(x, &t, err);
    fvlm_tokens_free(&t);
    return st;
}

/* ---- the keys ---- */

fvlm_status fvlm_gguf_collect_vocabulary(fvlm_gguf_vocabulary *v, const fvlm_export *x, const fvlm_tokens *t,
                                         fvlm_err *err)
{
    const bool pieces = fvlm_tokens_are_pieces(t);
    fvlm_added_token a;
    v->n = x->config->llm.vocab;
    v->text = fvlm_alloc(v->n, sizeof *v->text);
    v->type = fvlm_alloc(v->n, sizeof *v->type);
    if (!v->text || !v->type) return fvlm_fail_nomem(err);
    for (size_t i = 0; i < v->n; i++) {
        v->text[i] = json_string_value(json_array_get(t->tokens, i));
        v->type[i] = !v->text[i] ? UNUSED
                     : pieces    ? (int32_t)(1 + strchr(fvlm_piece_letters, t->pieces.types[i]) - fvlm_piece_letters)
                                 : NORMAL;
    }
    for (size_t i = 0; fvlm_tokens_added_at(t, i, &a); i++) {
        if (a.id >= v->n) continue;
        v->text[a.id] = a.text;
        if (v->type[a.id] != UNKNOWN) v->type[a.id] = a.special ? CONTROL : USER_DEFINED;
    }
    return FVLM_OK;
}

void fvlm_gguf_free_vocabulary(fvlm_gguf_vocabulary *v)
{
    free(v->text);
    free(v->type);
}

static void put_merges(fvlm_gguf_keys *w, const fvlm_tokens *t)
{
    fvlm_gguf_key_array(w, "tokenizer.ggml.merges", FVLM_GGUF_STRING, json_array_size(t->merges));
    for (size_t i = 0; i < json_array_size(t->merges); i++)
        fvlm_gguf_put_string(w->to, json_string_value(json_array_get(t->merges, i)));
}

static void put_scores(fvlm_gguf_keys *w, const fvlm_tokens *t, size_t n)
{
    fvlm_gguf_key_array(w, "tokenizer.ggml.scores", FVLM_GGUF_F32, n);
    for (size_t i = 0; i < n; i++) {
        const json_t *bits = json_array_get(t->pieces.scores, i);
        fvlm_gguf_put_u32(w->to, bits ? (uint32_t)json_integer_value(bits) : fvlm_f32_bits(UNUSED_SCORE));
    }
}

static void put_special_ids(fvlm_gguf_keys *w, const fvlm_export *x, const fvlm_tokens *t)
{
    const fvlm_config *c = x->config;
    uint32_t id;
    fvlm_gguf_key_number(w, "tokenizer.ggml.eos_token_id", c->eos[0]);
    const bool end = fvlm_tokens_find_added(t, "<|endoftext|>", &id);
    if (c->llm.has_bos || end) fvlm_gguf_key_number(w, "tokenizer.ggml.bos_token_id", c->llm.has_bos ? c->llm.bos : id);
    if (end) fvlm_gguf_key_number(w, "tokenizer.ggml.padding_token_id", id);
    fvlm_gguf_key_flag(w, "tokenizer.ggml.add_bos_token", c->llm.has_bos);
    if (!fvlm_tokens_are_pieces(t)) return;
    fvlm_gguf_key_number(w, "tokenizer.ggml.unknown_token_id",
                         (uint32_t)(strchr(t->pieces.types, 'u') - t->pieces.types));
    fvlm_gguf_key_flag(w, "tokenizer.ggml.add_eos_token", false);
    fvlm_gguf_key_flag(w, "tokenizer.ggml.add_space_prefix", t->pieces.dummy_prefix);
}

void fvlm_gguf_put_tokenizer(fvlm_gguf_keys *w, const fvlm_export *x, const fvlm_tokens *t,
                             const fvlm_gguf_vocabulary *v, const char *chat)
{
    const bool pieces = fvlm_tokens_are_pieces(t);
    char unused[32];
    fvlm_gguf_key_text(w, "tokenizer.ggml.model", pieces ? "llama" : "gpt2");
    fvlm_gguf_key_text(w, "tokenizer.ggml.pre", pieces ? "default" : fvlm_tokens_form(t)->pre);
    fvlm_gguf_key_array(w, "tokenizer.ggml.tokens", FVLM_GGUF_STRING, v->n);
    for (size_t i = 0; i < v->n; i++) {
        snprintf(unused, sizeof unused, "[PAD%zu]", i);
        fvlm_gguf_put_string(w->to, v->text[i] ? v->text[i] : unused);
    }
    if (pieces) put_scores(w, t, v->n);
    fvlm_gguf_key_array(w, "tokenizer.ggml.token_type", FVLM_GGUF_I32, v->n);
    for (size_t i = 0; i < v->n; i++) fvlm_gguf_put_u32(w->to, (uint32_t)v->type[i]);
    if (!pieces) put_merges(w, t);
    put_special_ids(w, x, t);
    if (chat) fvlm_gguf_key_text(w, "tokenizer.chat_template", chat);
}
