/* SPDX-License-Identifier: Apache-2.0 */
/* pieces_unigram.c - sentencepiece's EncodeOptimized (unigram_model.cc). Ids must be equal to its ids, so sums are
 * rounded where it rounds them: a candidate is a double, the best so far a float. */
#include <float.h>
#include <stdlib.h>

#include "reference/tokenizer/pieces_encode.h"

#define UNKNOWN_PENALTY 10.0f

/* The best path that ends here; from FVLM_NO_PIECE: none yet. */
typedef struct {
    uint32_t id, from;
    float score;
} path_end;

static void offer(path_end *end, uint32_t id, size_t from, double score)
{
    if (end->from == FVLM_NO_PIECE || score > (double)end->score) *end = (path_end){id, (uint32_t)from, (float)score};
}

/* All pieces that begin at 'from'. */
static void extend(const fvlm_pieces *x, const char *s, size_t n_bytes, size_t from, path_end *ends)
{
    const fvlm_piece_table *v = x->table;
    const size_t one = fvlm_piece_char_bytes(s[from], n_bytes - from);
    const float before = ends[from].score;
    fvlm_piece_prefix prefix = {0, v->n_sorted, 0};
    bool covered = false;
    uint32_t id;
    for (size_t at = from; at < n_bytes && fvlm_piece_table_step(v, &prefix, (uint8_t)s[at], &id); at++) {
        if (id == FVLM_NO_PIECE || v->pieces[id].type == FVLM_PIECE_UNUSED) continue;
        const size_t n = at + 1 - from;
        const double score =
            v->pieces[id].type == FVLM_PIECE_USER ? (double)((float)n * x->most) - 0.1 : (double)v->pieces[id].score;
        offer(&ends[at + 1], id, from, score + (double)before);
        covered |= n == one;
    }
    const float unknown = x->least - UNKNOWN_PENALTY;
    if (!covered) offer(&ends[from + one], v->unknown, from, (double)(float)(unknown + before));
}

fvlm_status fvlm_pieces_unigram(const fvlm_pieces *x, const char *s, size_t n_bytes, fvlm_piece_fn put, void *ctx,
                                fvlm_err *err)
{
    path_end *ends = fvlm_alloc(n_bytes + 1, sizeof *ends);
    fvlm_status st = ends ? FVLM_OK : fvlm_fail_nomem(err);
    if (st) return st;
    for (size_t i = 0; i <= n_bytes; i++) ends[i].from = FVLM_NO_PIECE;
    for (size_t at = 0; !st && at < n_bytes; at += fvlm_piece_char_bytes(s[at], n_bytes - at)) {
        extend(x, s, n_bytes, at, ends);
        st = fvlm_stop_check(x->stop, err);
    }
    /* Turns the path around: 'from' of each end on it becomes the next end. */
    size_t next = 0;
    for (size_t at = n_bytes; !st && at > 0;) {
        const size_t from = ends[at].from;
        ends[at].from = (uint32_t)next;
        next = at;
        at = from;
    }
    for (size_t from = 0, at = next; !st && from < n_bytes; from = at, at = ends[at].from)
        st = put(ctx, ends[at].id, s + from, at - from, err);
    free(ends);
    return st;
}
