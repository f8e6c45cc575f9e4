/* SPDX-License-Identifier: Apache-2.0 */
/* graph_arena.c - see graph_arena.h. */
#include "convert/graph/graph_arena.h"

#include <stdlib.h>

#define ALIGN 16
#define BLOCK ((size_t)1 << 16)

void *fvlm_graph_arena_take(fvlm_graph_arena *a, size_t n, size_t size)
{
    uint64_t bytes;
    if (!fvlm_checked_mul(n, size, &bytes) || !fvlm_checked_round_up(bytes ? bytes : 1, ALIGN, &bytes)) return NULL;
    a->full |= bytes > a->limit - a->used;
    if (a->full) return NULL;
    if (bytes > a->left) {
        const size_t capacity = bytes > BLOCK ? (size_t)bytes : BLOCK;
        uint8_t *block = calloc(1, ALIGN + capacity);
        if (!block) return NULL;
        memcpy(block, &a->blocks, sizeof a->blocks);
        a->blocks = block;
        a->at = block + ALIGN;
        a->left = capacity;
    }
    void *p = a->at;
    a->at += bytes;
    a->left -= (size_t)bytes;
    a->used += (size_t)bytes;
    return p;
}

void fvlm_graph_arena_free(fvlm_graph_arena *a)
{
    while (a->blocks) {
        void *block = a->blocks;
        memcpy(&a->blocks, block, sizeof a->blocks);
        free(block);
    }
    *a = (fvlm_graph_arena){.limit = a->limit};
}
