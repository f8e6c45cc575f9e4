/* SPDX-License-Identifier: Apache-2.0 */
/* piece_model.c - see piece_model.h. Refuses what sentencepiece refuses when it loads a model, and what is not
 * supported. */
#include "convert/vocabulary/piece_model.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/utf8.h"
#include "format/byte_letters.h"
#include "format/config.h"

size_t fvlm_piece_model_n(const fvlm_piece_model *m)
{
    return m->message->n_pieces;
}

const char *fvlm_piece_model_text(const fvlm_piece_model *m, size_t id)
{
    return m->message->pieces[id]->piece;
}

bool fvlm_piece_model_is_normal(const fvlm_piece_model *m, size_t id)
{
    const int type = m->message->pieces[id]->type;
    return type == FVLM_SENTENCEPIECE_NORMAL || type == FVLM_SENTENCEPIECE_USER || type == FVLM_SENTENCEPIECE_UNUSED;
}

static fvlm_status check_piece(const fvlm_piece_model *m, size_t id, fvlm_err *err)
{
    const FvlmSentencepiece__Piece *x = m->message->pieces[id];
    if (!x->piece || !*x->piece) return fvlm_fail(err, FVLM_BAD_INPUT, "piece %zu has no text", id);
    const size_t n = strlen(x->piece);
    if (n > FVLM_MAX_PIECE_BYTES)
        return fvlm_fail(err, FVLM_LIMIT, "piece %zu has %zu bytes, at most %d are allowed", id, n,
                         FVLM_MAX_PIECE_BYTES);
    if (x->type < FVLM_SENTENCEPIECE_NORMAL || x->type > FVLM_SENTENCEPIECE_BYTE)
        return fvlm_fail(err, FVLM_BAD_INPUT, "piece %zu, \"%.64s\", has the type %d, expected 1 to 6", id, x->piece,
                         x->type);
    if (!isfinite(x->score))
        return fvlm_fail(err, FVLM_BAD_INPUT, "piece %zu, \"%.64s\", has the score %g", id, x->piece, (double)x->score);
    if (x->type == FVLM_SENTENCEPIECE_BYTE && !m->message->trainer_spec->byte_fallback)
        return fvlm_fail(err, FVLM_BAD_INPUT, "piece %zu, \"%.64s\", is a byte, but byte_fallback is not set", id,
                         x->piece);
    int32_t c;
    if (x->type != FVLM_SENTENCEPIECE_BYTE && !fvlm_piece_model_is_normal(m, id) &&
        fvlm_utf8_next((const uint8_t *)x->piece, n, &c) == n)
        return fvlm_fail(err, FVLM_UNSUPPORTED,
                         "piece %zu, \"%.8s\", is a control piece of one character, which is not supported", id,
                         x->piece);
    return FVLM_OK;
}

static fvlm_status check_unknown(const FvlmSentencepiece__Model *m, fvlm_err *err)
{
    size_t n = 0;
    for (size_t i = 0; i < m->n_pieces; i++) n += m->pieces[i]->type == FVLM_SENTENCEPIECE_UNKNOWN;
    if (n == 1) return FVLM_OK;
    return fvlm_fail(err, FVLM_BAD_INPUT, "%s piece is unknown; one must be", n ? "more than one" : "no");
}

static fvlm_status check_bytes(const FvlmSentencepiece__Model *m, fvlm_err *err)
{
    bool found[256] = {false};
    for (size_t i = 0; i < m->n_pieces; i++) {
        if (m->pieces[i]->type != FVLM_SENTENCEPIECE_BYTE) continue;
        const int b = fvlm_byte_letters_from_hex(m->pieces[i]->piece, strlen(m->pieces[i]->piece));
        if (b < 0)
            return fvlm_fail(err, FVLM_BAD_INPUT, "piece %zu, \"%.64s\", is a byte, expected <0x00> to <0xFF>", i,
                             m->pieces[i]->piece);
        found[b] = true;
    }
    for (unsigned b = 0; b < 256 && m->trainer_spec->byte_fallback; b++)
        if (!found[b])
            return fvlm_fail(err, FVLM_BAD_INPUT, "byte_fallback is set, but the byte <0x%02X> is missing", b);
    return FVLM_OK;
}

static fvlm_status check_specs(const FvlmSentencepiece__Model *m, fvlm_err *err)
{
    const FvlmSentencepiece__NormalizerSpec *d = m->denormalizer_spec;
    if (!m->trainer_spec || !m->normalizer_spec)
        return fvlm_fail(err, FVLM_BAD_INPUT, "it has no %s; was it cut short?",
                         m->trainer_spec ? "normalizer_spec" : "trainer_spec");
    const int type = m->trainer_spec->model_type;
    if (type == FVLM_SENTENCEPIECE_WORD || type == FVLM_SENTENCEPIECE_CHAR)
        return fvlm_fail(err, FVLM_UNSUPPORTED, "a model of %s; only unigram and BPE are supported",
                         type == FVLM_SENTENCEPIECE_WORD ? "words" : "characters");
    if (type != FVLM_SENTENCEPIECE_UNIGRAM && type != FVLM_SENTENCEPIECE_BPE)
        return fvlm_fail(err, FVLM_BAD_INPUT, "model_type is %d, expected 1 to 4", type);
    if (d && d->precompiled_charsmap.len)
        return fvlm_fail(err, FVLM_UNSUPPORTED, "it has rules for denormalization, which are not supported");
    return FVLM_OK;
}

static fvlm_status check(fvlm_piece_model *m, const fvlm_stop *stop, fvlm_err *err)
{
    const FvlmSentencepiece__Model *x = m->message;
    const FvlmSentencepiece__NormalizerSpec *rules = x->normalizer_spec;
    if (!x->n_pieces) return fvlm_fail(err, FVLM_BAD_INPUT, "it has no pieces");
    fvlm_status st = check_specs(x, err);
    for (size_t id = 0; !st && id < x->n_pieces; id++) {
        st = check_piece(m, id, err);
        if (!st) st = fvlm_stop_check(stop, err);
    }
    if (!st) st = check_unknown(x, err);
    if (!st) st = check_bytes(x, err);
    if (!st)
        st = fvlm_piece_charsmap_read(&m->charsmap, rules->precompiled_charsmap.data, rules->precompiled_charsmap.len,
                                      stop, err);
    return st;
}

fvlm_status fvlm_piece_model_read(fvlm_piece_model **out, const uint8_t *bytes, size_t n_bytes, const fvlm_stop *stop,
                                  fvlm_err *err)
{
    *out = NULL;
    fvlm_status st = fvlm_piece_wire_check(bytes, n_bytes, err);
    if (st) return st;
    FvlmSentencepiece__Model *message = fvlm_sentencepiece__model__unpack(NULL, n_bytes, bytes);
    /* All that can be wrong with the bytes has been checked. */
    return message ? fvlm_piece_model_adopt(out, message, stop, err) : fvlm_fail_nomem(err);
}

fvlm_status fvlm_piece_model_adopt(fvlm_piece_model **out, FvlmSentencepiece__Model *message, const fvlm_stop *stop,
                                   fvlm_err *err)
{
    fvlm_piece_model *m = *out = fvlm_alloc(1, sizeof *m);
    if (!m) {
        fvlm_sentencepiece__model__free_unpacked(message, NULL);
        return fvlm_fail_nomem(err);
    }
    m->message = message;
    const fvlm_status st = check(m, stop, err);
    if (st) fvlm_piece_model_destroy(out);
    return st;
}

void fvlm_piece_model_destroy(fvlm_piece_model **m)
{
    if (!*m) return;
    if ((*m)->message) fvlm_sentencepiece__model__free_unpacked((*m)->message, NULL);
    free(*m);
    *m = NULL;
}
