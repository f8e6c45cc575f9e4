/* SPDX-License-Identifier: Apache-2.0 */
/* piece_json.c - writes a SentencePiece model as the container's JSON (format/SPEC.md, section 7.2). */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "convert/vocabulary/vocabulary_parts.h"

static void put_number(fvlm_text_writer *w, const char *before, uint32_t x)
{
    char text[16];
    snprintf(text, sizeof text, "%s%" PRIu32, before, x);
    fvlm_text_writer_put(w, text);
}

static void put_flag(fvlm_text_writer *w, const char *name, bool value)
{
    fvlm_text_writer_put(w, ",\"");
    fvlm_text_writer_put(w, name);
    fvlm_text_writer_put(w, value ? "\":true" : "\":false");
}

static void put_charsmap(fvlm_text_writer *w, const fvlm_piece_charsmap *m)
{
    if (!m->n_units) {
        fvlm_text_writer_put(w, ",\"charsmap\":null");
        return;
    }
    fvlm_text_writer_put(w, ",\"charsmap\":{\"trie\":[");
    for (size_t i = 0; i < m->n_units; i++) put_number(w, i ? "," : "", fvlm_load_u32(m->trie + 4 * i));
    fvlm_text_writer_put(w, "],\"targets\":[");
    for (size_t at = 0; at < m->n_targets; at += strlen(m->targets + at) + 1) {
        if (at) fvlm_text_writer_put(w, ",");
        fvlm_text_writer_quote(w, m->targets + at);
    }
    fvlm_text_writer_put(w, "]}");
}

static void put_pieces(fvlm_text_writer *w, const FvlmSentencepiece__Model *m)
{
    static const char letters[] = {
        [FVLM_SENTENCEPIECE_NORMAL] = 'n', [FVLM_SENTENCEPIECE_UNKNOWN] = 'u', [FVLM_SENTENCEPIECE_CONTROL] = 'c',
        [FVLM_SENTENCEPIECE_USER] = 'd',   [FVLM_SENTENCEPIECE_UNUSED] = 'x',  [FVLM_SENTENCEPIECE_BYTE] = 'b'};
    fvlm_text_writer_put(w, ",\"pieces\":[");
    for (size_t i = 0; i < m->n_pieces; i++) {
        if (i) fvlm_text_writer_put(w, ",");
        fvlm_text_writer_quote(w, m->pieces[i]->piece);
    }
    fvlm_text_writer_put(w, "],\"scores\":[");
    for (size_t i = 0; i < m->n_pieces; i++) put_number(w, i ? "," : "", fvlm_f32_bits(m->pieces[i]->score));
    fvlm_text_writer_put(w, "],\"types\":\"");
    for (size_t i = 0; i < m->n_pieces; i++) fvlm_text_writer_put(w, (char[]){letters[m->pieces[i]->type], 0});
    fvlm_text_writer_put(w, "\"");
}

void fvlm_vocabulary_write_pieces(fvlm_text_writer *w, const fvlm_vocabulary *v)
{
    const FvlmSentencepiece__Model *m = v->pieces->message;
    const FvlmSentencepiece__TrainerSpec *t = m->trainer_spec;
    const FvlmSentencepiece__NormalizerSpec *n = m->normalizer_spec;
    fvlm_text_writer_put(w, "{\"kind\":\"sentencepiece\",\"model\":");
    fvlm_text_writer_put(w, t->model_type == FVLM_SENTENCEPIECE_BPE ? "\"bpe\"" : "\"unigram\"");
    put_pieces(w, m);
    fvlm_text_writer_put(w, ",\"unknown\":");
    fvlm_text_writer_quote(w, t->unk_surface);
    put_charsmap(w, &v->pieces->charsmap);
    put_flag(w, "dummy_prefix", n->add_dummy_prefix);
    put_flag(w, "remove_whitespace", n->remove_extra_whitespaces);
    put_flag(w, "escape_whitespace", n->escape_whitespaces);
    put_flag(w, "whitespace_suffix", t->treat_whitespace_as_suffix);
    put_flag(w, "legacy", v->pieces->legacy);
    if (v->pieces->prefix_once) put_flag(w, "prefix_once", true);
    if (v->pieces->ranked) {
        fvlm_text_writer_put(w, ",\"merges\":[");
        fvlm_vocabulary_write_merges(w, v);
        fvlm_text_writer_put(w, "]");
    }
    fvlm_text_writer_put(w, ",\"added\":[");
    fvlm_vocabulary_write_added(w, v);
    fvlm_text_writer_put(w, "]}");
}
