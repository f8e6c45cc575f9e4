/* SPDX-License-Identifier: Apache-2.0 */
/* exec.h - the executor's threads, kernels and scratch memory. Private to reference/ops. */
#ifndef FVLM_REFERENCE_OPS_EXEC_H
#define FVLM_REFERENCE_OPS_EXEC_H

#include <stdatomic.h>

#include "format/base/cpu.h"
#include "reference/ops/kernels/kernels.h"

typedef struct {
    uint8_t *bytes;
    size_t size;
} fvlm_scratch;

struct fvlm_exec {
    fvlm_pool *pool;
    unsigned threads;
    const fvlm_kernels *k;
    fvlm_act_mode mode;
    bool out_of_memory;     /* sticky: see fvlm_exec_ok */
    atomic_bool not_finite; /* until fvlm_exec_take_finite */
    fvlm_scratch shared, thread[FVLM_MAX_THREADS];
};

/* Provides shared_bytes for the operation and thread_bytes for each of its threads. Earlier contents are lost.
 * False when out of memory: the operation then returns without a result. */
bool fvlm_exec_reserve(fvlm_exec *e, size_t shared_bytes, size_t thread_bytes);

/* Hands out scratch memory front to back, in whole cache lines. An arena without a base only measures: every pointer
 * is NULL, and 'used' ends as the size to reserve. */
typedef struct {
    uint8_t *base;
    size_t used;
} fvlm_arena;
void *fvlm_arena_take(fvlm_arena *a, size_t n, size_t size);

/* Quantized rows for products with w. */
fvlm_rows fvlm_arena_take_rows(fvlm_arena *a, size_t n_rows, const fvlm_weight *w);

/* Floats from row to row for rows of n that are read side by side: whole cache lines, and an odd number of them, so
 * that the rows do not fall on the same L1 sets. */
size_t fvlm_exec_row_stride(size_t n);

/* True when products with w run on int8 activations. */
bool fvlm_exec_is_int8(const fvlm_exec *e, const fvlm_weight *w);

/* Any thread may call it. */
static inline void fvlm_exec_note(fvlm_exec *e, bool finite)
{
    if (!finite) atomic_store_explicit(&e->not_finite, true, memory_order_relaxed);
}

static inline size_t fvlm_min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

#endif
