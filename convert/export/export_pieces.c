/* SPDX-License-Identifier: Apache-2.0 */
/* export_pieces.c - a SentencePiece tokenizer as tokenizer.model, by the field numbers of sentencepiece_model.proto. */
#include <stdlib.h>
#include <string.h>

#include "convert/export/export_folder.h"
#include "convert/export/onnx_message.h"

enum { PIECES = 1, TRAINER = 2, NORMALIZER = 3 };
enum { PIECE_TEXT = 1, PIECE_SCORE, PIECE_TYPE };
enum { TRAINER_MODEL = 3, TRAINER_SUFFIX = 24, TRAINER_BYTES = 35, TRAINER_UNKNOWN_ID = 40, TRAINER_UNKNOWN = 44 };
enum { RULES_CHARSMAP = 2, RULES_PREFIX, RULES_REMOVE, RULES_ESCAPE };
enum { UNIGRAM = 1, BPE = 2 };

static void put_pieces(fvlm_message *to, const fvlm_tokens *t)
{
    for (size_t i = 0; i < json_array_size(t->tokens); i++) {
        const uint32_t score = (uint32_t)json_integer_value(json_array_get(t->pieces.scores, i));
        fvlm_message piece = {0};
        fvlm_message_put_text(&piece, PIECE_TEXT, json_string_value(json_array_get(t->tokens, i)));
        fvlm_message_put_float(&piece, PIECE_SCORE, fvlm_f32_from_bits(score));
        fvlm_message_put_int(&piece, PIECE_TYPE,
                             1 + (strchr(fvlm_piece_letters, t->pieces.types[i]) - fvlm_piece_letters));
        fvlm_message_put_message(to, PIECES, &piece);
        fvlm_message_free(&piece);
    }
}

static void put_trainer(fvlm_message *to, const fvlm_tokens *t)
{
    fvlm_message m = {0};
    fvlm_message_put_int(&m, TRAINER_MODEL, t->pieces.unigram ? UNIGRAM : BPE);
    fvlm_message_put_int(&m, TRAINER_SUFFIX, t->pieces.whitespace_suffix);
    fvlm_message_put_int(&m, TRAINER_BYTES, strchr(t->pieces.types, 'b') != NULL);
    fvlm_message_put_int(&m, TRAINER_UNKNOWN_ID, strchr(t->pieces.types, 'u') - t->pieces.types);
    fvlm_message_put_text(&m, TRAINER_UNKNOWN, t->pieces.unknown);
    fvlm_message_put_message(to, TRAINER, &m);
    fvlm_message_free(&m);
}

/* The trie's size in bytes, its units, and the texts with a zero byte after each. */
static void put_charsmap(fvlm_message *rules, const fvlm_tokens *t)
{
    const json_t *trie = t->pieces.trie, *targets = t->pieces.targets;
    size_t n_texts = 0, at = 4;
    for (size_t i = 0; i < json_array_size(targets); i++) n_texts += json_string_length(json_array_get(targets, i)) + 1;
    const size_t n_units = json_array_size(trie), n_bytes = 4 + 4 * n_units + n_texts;
    uint8_t *bytes = fvlm_alloc(n_bytes, 1);
    if (!bytes) {
        rules->failed = true;
        return;
    }
    fvlm_store_u32(bytes, (uint32_t)(4 * n_units));
    for (size_t i = 0; i < n_units; i++, at += 4)
        fvlm_store_u32(bytes + at, (uint32_t)json_integer_value(json_array_get(trie, i)));
    for (size_t i = 0; i < json_array_size(targets); i++) {
        const size_t n = json_string_length(json_array_get(targets, i)) + 1;
        memcpy(bytes + at, json_string_value(json_array_get(targets, i)), n);
        at += n;
    }
    fvlm_message_put_bytes(rules, RULES_CHARSMAP, bytes, n_bytes);
    free(bytes);
}

static void put_normalizer(fvlm_message *to, const fvlm_tokens *t)
{
    fvlm_message m = {0};
    if (t->pieces.trie) put_charsmap(&m, t);
    fvlm_message_put_int(&m, RULES_PREFIX, t->pieces.dummy_prefix);
    fvlm_message_put_int(&m, RULES_REMOVE, t->pieces.remove_whitespace);
    fvlm_message_put_int(&m, RULES_ESCAPE, t->pieces.escape_whitespace);
    fvlm_message_put_message(to, NORMALIZER, &m);
    fvlm_message_free(&m);
}

fvlm_status fvlm_export_write_pieces(fvlm_export *x, const fvlm_tokens *t, fvlm_err *err)
{
    fvlm_message m = {0};
    put_pieces(&m, t);
    put_trainer(&m, t);
    put_normalizer(&m, t);
    const fvlm_status st =
        m.failed ? fvlm_fail_nomem(err) : fvlm_export_write_text(x, "tokenizer.model", (const char *)m.bytes, m.n, err);
    fvlm_message_free(&m);
    return st;
}
