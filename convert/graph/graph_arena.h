/* SPDX-License-Identifier: Apache-2.0 */
/* graph_arena.h - private to graph/: memory that is taken in small blocks, up to a limit, and given back all at once.
 */
#ifndef FVLM_CONVERT_GRAPH_GRAPH_ARENA_H
#define FVLM_CONVERT_GRAPH_GRAPH_ARENA_H

#include "format/base/base.h"

typedef struct {
    void *blocks; /* each begins with the address of the next */
    uint8_t *at;
    size_t left;        /* of the newest block */
    size_t used, limit; /* bytes */
    bool full;          /* more than the limit was asked for */
} fvlm_graph_arena;

/* Zeroed memory for n elements of size bytes, 16-byte aligned. NULL if memory is out or the limit is reached. */
void *fvlm_graph_arena_take(fvlm_graph_arena *a, size_t n, size_t size);
void fvlm_graph_arena_free(fvlm_graph_arena *a);

#endif
