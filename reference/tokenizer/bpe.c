/* SPDX-License-Identifier: Apache-2.0 */
/* bpe.c - byte-pair merging in n log n: symbols in a linked list, possible merges in a heap.
 *
 * A merge may be out of date when it leaves the heap, because a neighbour was merged meanwhile. Symbols only ever grow,
 * so it is current exactly when its result is as long as the two symbols at its position together. */
#include "reference/tokenizer/bpe.h"

#include <stdlib.h>

#define NONE UINT32_MAX

struct fvlm_symbol {
    uint32_t id, n_bytes; /* n_bytes 0: merged into its predecessor */
    uint32_t prev, next;
};

struct fvlm_candidate {
    uint64_t order; /* rank, then position */
    uint32_t result;
};

static void free_memory(fvlm_bpe *b)
{
    free(b->symbols);
    free(b->heap);
    *b = (fvlm_bpe){.stop = b->stop};
}

static bool reserve(fvlm_bpe *b, size_t n)
{
    if (n <= b->capacity) return true;
    free_memory(b);
    b->capacity = n < 64 ? 64 : n;
    b->symbols = fvlm_alloc(b->capacity, sizeof *b->symbols);
    b->heap = fvlm_alloc(b->capacity, 3 * sizeof *b->heap); /* n - 1 at first, two more per merge */
    if (b->symbols && b->heap) return true;
    free_memory(b);
    return false;
}

void fvlm_bpe_free(fvlm_bpe *b)
{
    free_memory(b);
}

static void heap_push(fvlm_bpe *b, struct fvlm_candidate c)
{
    struct fvlm_candidate *h = b->heap;
    size_t i = b->n_heap++;
    for (size_t up; i && h[up = (i - 1) / 2].order > c.order; i = up) h[i] = h[up];
    h[i] = c;
}

static struct fvlm_candidate heap_pop(fvlm_bpe *b)
{
    struct fvlm_candidate *h = b->heap;
    const struct fvlm_candidate top = h[0], last = h[--b->n_heap];
    size_t i = 0;
    for (size_t down; (down = 2 * i + 1) < b->n_heap; i = down) {
        if (down + 1 < b->n_heap && h[down + 1].order < h[down].order) down++;
        if (h[down].order >= last.order) break;
        h[i] = h[down];
    }
    h[i] = last;
    return top;
}

static void propose(fvlm_bpe *b, const fvlm_token_table *v, uint32_t at)
{
    const struct fvlm_symbol *s = b->symbols;
    if (at == NONE || s[at].next == NONE) return;
    const fvlm_bpe_merge *m = fvlm_token_table_merge(v, s[at].id, s[s[at].next].id);
    if (m) heap_push(b, (struct fvlm_candidate){(uint64_t)m->rank << 32 | at, m->result});
}

static fvlm_status merge_all(fvlm_bpe *b, const fvlm_token_table *v, fvlm_err *err)
{
    struct fvlm_symbol *s = b->symbols;
    for (size_t n = 1; b->n_heap; n++) {
        const fvlm_status st = n % 1024 ? FVLM_OK : fvlm_stop_check(b->stop, err);
        if (st) return st;
        const struct fvlm_candidate c = heap_pop(b);
        const uint32_t at = (uint32_t)c.order, gone = s[at].next;
        if (!s[at].n_bytes || gone == NONE || s[at].n_bytes + s[gone].n_bytes != v->tokens[c.result].n_bytes) continue;
        s[at].id = c.result;
        s[at].n_bytes += s[gone].n_bytes;
        s[at].next = s[gone].next;
        s[gone].n_bytes = 0;
        if (s[at].next != NONE) s[s[at].next].prev = at;
        propose(b, v, s[at].prev);
        propose(b, v, at);
    }
    return FVLM_OK;
}

fvlm_status fvlm_bpe_encode(fvlm_bpe *b, const fvlm_token_table *v, const char *s, size_t n, uint32_t *ids,
                            size_t *n_ids, fvlm_err *err)
{
    uint32_t m = 0;
    if (!reserve(b, n)) return fvlm_fail_nomem(err);
    for (size_t i = 0; i < n; i++) { /* bytes without a token are left out: their neighbours may merge */
        const uint32_t id = v->of_byte[(uint8_t)s[i]];
        if (id == FVLM_NO_TOKEN) continue;
        b->symbols[m] = (struct fvlm_symbol){id, 1, m ? m - 1 : NONE, m + 1};
        m++;
    }
    *n_ids = 0;
    if (!m) return FVLM_OK;
    b->symbols[m - 1].next = NONE;
    b->n_heap = 0;
    for (uint32_t i = 0; i < m; i++) propose(b, v, i);
    const fvlm_status st = merge_all(b, v, err);
    for (uint32_t i = 0; !st && i != NONE; i = b->symbols[i].next) ids[(*n_ids)++] = b->symbols[i].id;
    return st;
}
