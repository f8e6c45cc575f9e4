/* SPDX-License-Identifier: Apache-2.0 */
/* pieces_encode.h - cuts a normalized text into pieces, as SentencePiece's two kinds of models do. Private to
 * reference/tokenizer. */
#ifndef FVLM_REFERENCE_TOKENIZER_PIECES_ENCODE_H
#define FVLM_REFERENCE_TOKENIZER_PIECES_ENCODE_H

#include "format/base/stop.h"
#include "reference/tokenizer/added_tokens.h"
#include "reference/tokenizer/piece_table.h"

typedef struct {
    const fvlm_piece_table *table;
    const fvlm_added_tokens *user; /* user-defined pieces, which BPE does not split or merge */
    float least, most;             /* scores of the normal pieces: see pieces_unigram.c */
    uint32_t *left_bytes; /* [table->n] scratch of BPE: how an unused piece was merged last; NULL if there are none */
    const fvlm_stop *stop;
} fvlm_pieces;

/* Gets the pieces of the text in their order: id (the unknown piece's for a character that no piece covers) and bytes.
 */
typedef fvlm_status (*fvlm_piece_fn)(void *ctx, uint32_t id, const char *s, size_t n, fvlm_err *err);

/* The best sum of scores, by Viterbi's algorithm. s: n_bytes >= 1. Time is O(n_bytes * the longest piece). */
fvlm_status fvlm_pieces_unigram(const fvlm_pieces *x, const char *s, size_t n_bytes, fvlm_piece_fn put, void *ctx,
                                fvlm_err *err);

/* Merges the neighbours that make the piece of the highest score, the leftmost among equals. O(n log n). */
fvlm_status fvlm_pieces_bpe(const fvlm_pieces *x, const char *s, size_t n_bytes, fvlm_piece_fn put, void *ctx,
                            fvlm_err *err);

/* Bytes of the character that begins with this byte, as SentencePiece counts them: 1 for one in its middle. */
static inline size_t fvlm_piece_char_bytes(char first, size_t left)
{
    const uint8_t b = (uint8_t)first;
    const size_t n = b < 0xc0 ? 1 : b < 0xe0 ? 2 : b < 0xf0 ? 3 : 4;
    return n < left ? n : left;
}

#endif
