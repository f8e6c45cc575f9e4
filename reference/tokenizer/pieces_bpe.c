/* SPDX-License-Identifier: Apache-2.0 */
/* pieces_bpe.c - sentencepiece's bpe_model.cc: a heap of pairs of neighbours, and their merges undone where the result
 * is an unused piece. */
#include <stdlib.h>

#include "format/base/grow.h"
#include "reference/tokenizer/pieces_encode.h"

#define NONE UINT32_MAX

typedef struct {
    uint32_t at, n_bytes; /* 0 bytes: merged into the one before */
    uint32_t prev, next;
    bool frozen;
} symbol;

typedef struct {
    float score;
    uint32_t left, right, n_bytes;
} pair;

typedef struct {
    const fvlm_pieces *x;
    const char *s;
    symbol *symbols;
    size_t n_symbols;
    pair *heap;
    size_t n_heap, heap_capacity;
    fvlm_err *err;
} merging;

/* Whether a is merged before b. */
static bool before(const pair *a, const pair *b)
{
    return a->score > b->score || (a->score == b->score && a->left < b->left);
}

static bool push(merging *m, pair p)
{
    if (!fvlm_grow(&m->heap, &m->heap_capacity, m->n_heap + 1, sizeof *m->heap)) return false;
    size_t i = m->n_heap++;
    for (; i && before(&p, &m->heap[(i - 1) / 2]); i = (i - 1) / 2) m->heap[i] = m->heap[(i - 1) / 2];
    m->heap[i] = p;
    return true;
}

static pair pop(merging *m)
{
    const pair top = m->heap[0], last = m->heap[--m->n_heap];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < m->n_heap; i = child) {
        if (child + 1 < m->n_heap && before(&m->heap[child + 1], &m->heap[child])) child++;
        if (!before(&m->heap[child], &last)) break;
        m->heap[i] = m->heap[child];
    }
    m->heap[i] = last;
    return top;
}

/* Adds the pair to the heap if the two make a piece. */
static fvlm_status propose(merging *m, uint32_t left, uint32_t right)
{
    if (left == NONE || right == NONE || m->symbols[left].frozen || m->symbols[right].frozen) return FVLM_OK;
    const symbol *a = &m->symbols[left], *b = &m->symbols[right];
    const uint32_t id = fvlm_piece_table_find(m->x->table, m->s + a->at, (size_t)a->n_bytes + b->n_bytes);
    if (id == FVLM_NO_PIECE) return FVLM_OK;
    const fvlm_piece *piece = &m->x->table->pieces[id];
    float score = piece->score;
    if (m->x->table->ranks) {
        const uint32_t rank = fvlm_piece_table_rank(m->x->table, id, a->n_bytes);
        if (rank == FVLM_NO_PIECE) return FVLM_OK;
        score = -(float)rank; /* exact: ranks are below 2^21 */
    }
    if (piece->type == FVLM_PIECE_UNUSED) m->x->left_bytes[id] = a->n_bytes;
    return push(m, (pair){score, left, right, piece->n_bytes}) ? FVLM_OK : fvlm_fail_nomem(m->err);
}

/* One symbol for each character and user-defined piece. */
static fvlm_status split(merging *m, size_t n_bytes)
{
    const fvlm_added_tokens *user = m->x->user;
    uint32_t *found = user->n ? fvlm_alloc(n_bytes, sizeof *found) : NULL;
    m->symbols = fvlm_alloc(n_bytes, sizeof *m->symbols);
    if (!m->symbols || (user->n && !found)) {
        free(found);
        return fvlm_fail_nomem(m->err);
    }
    if (found) fvlm_added_tokens_find(user, m->s, n_bytes, found);
    for (size_t at = 0; at < n_bytes; at += m->symbols[m->n_symbols++].n_bytes) {
        const bool frozen = found && found[at];
        const uint32_t i = (uint32_t)m->n_symbols;
        m->symbols[i] = (symbol){.at = (uint32_t)at,
                                 .n_bytes = frozen ? user->tokens[found[at] - 1].n_bytes
                                                   : (uint32_t)fvlm_piece_char_bytes(m->s[at], n_bytes - at),
                                 .prev = i ? i - 1 : NONE,
                                 .next = i + 1,
                                 .frozen = frozen};
    }
    m->symbols[m->n_symbols - 1].next = NONE;
    free(found);
    return FVLM_OK;
}

static fvlm_status merge_all(merging *m)
{
    fvlm_status st = FVLM_OK;
    while (!st && m->n_heap) {
        const pair top = pop(m);
        symbol *left = &m->symbols[top.left], *right = &m->symbols[top.right];
        if (!left->n_bytes || !right->n_bytes || left->n_bytes + right->n_bytes != top.n_bytes) continue;
        left->n_bytes += right->n_bytes;
        left->next = right->next;
        if (right->next != NONE) m->symbols[right->next].prev = top.left;
        right->n_bytes = 0;
        st = propose(m, left->prev, top.left);
        if (!st) st = propose(m, top.left, left->next);
        if (!st) st = fvlm_stop_check(m->x->stop, m->err);
    }
    return st;
}

/* The pieces of one symbol. An unused one is what it was merged from; each part is shorter than the whole, which has at
 * most FVLM_MAX_PIECE_BYTES. The right parts that are still to come lie on a stack. */
static fvlm_status put_symbol(const merging *m, const symbol *y, fvlm_piece_fn put, void *ctx)
{
    const fvlm_piece_table *v = m->x->table;
    uint32_t ends[FVLM_MAX_PIECE_BYTES], n = 0;
    uint32_t from = y->at, to = y->at + y->n_bytes;
    for (;;) {
        const uint32_t id = fvlm_piece_table_find(v, m->s + from, to - from);
        if (id != FVLM_NO_PIECE && v->pieces[id].type == FVLM_PIECE_UNUSED && m->x->left_bytes[id]) {
            ends[n++] = to;
            to = from + m->x->left_bytes[id];
            continue;
        }
        const fvlm_status st = put(ctx, id == FVLM_NO_PIECE ? v->unknown : id, m->s + from, to - from, m->err);
        if (st || !n) return st;
        from = to;
        to = ends[--n];
    }
}

fvlm_status fvlm_pieces_bpe(const fvlm_pieces *x, const char *s, size_t n_bytes, fvlm_piece_fn put, void *ctx,
                            fvlm_err *err)
{
    merging m = {.x = x, .s = s, .err = err};
    fvlm_status st = split(&m, n_bytes);
    for (uint32_t i = 1; !st && i < m.n_symbols; i++) st = propose(&m, i - 1, i);
    if (!st) st = merge_all(&m);
    for (uint32_t i = 0; !st && i != NONE; i = m.symbols[i].next) st = put_symbol(&m, &m.symbols[i], put, ctx);
    free(m.symbols);
    free(m.heap);
    return st;
}
