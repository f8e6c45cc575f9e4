/* SPDX-License-Identifier: Apache-2.0 */
/* exec.h - inside the executor: threads, kernels and scratch memory. For ops_*.c. */
#ifndef FVLM_REFERENCE_OPS_EXEC_H
#define FVLM_REFERENCE_OPS_EXEC_H

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
    bool out_of_memory; /* sticky: see fvlm_exec_ok */
    fvlm_scratch shared, thread[FVLM_MAX_THREADS];
};

/* Makes room: shared_bytes for an operation, thread_bytes for each thread in it. Contents
 * are not kept. False when out of memory; the operation then returns without a result. */
bool fvlm_exec_reserve(fvlm_exec *e, size_t shared_bytes, size_t thread_bytes);

/* Cuts pieces off a block of scratch; with base 0 it only measures, and 'used' is what is needed. */
typedef struct {
    uint8_t *base;
    size_t used;
} fvlm_carve;
void *fvlm_carve_take(fvlm_carve *c, size_t n, size_t size);

/* Floats from row to row for rows of n that are read side by side: whole cache lines,
 * an odd count of them, so that the rows do not fall on the same L1 sets. */
size_t fvlm_exec_row_stride(size_t n);

/* Quantized rows for products with w, room taken from c. */
fvlm_rows fvlm_carve_rows(fvlm_carve *c, size_t n_rows, const fvlm_weight *w);

/* True when products with w run on int8 activations. */
bool fvlm_exec_is_int8(const fvlm_exec *e, const fvlm_weight *w);

#endif
