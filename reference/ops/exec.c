/* SPDX-License-Identifier: Apache-2.0 */
/* exec.c - the executor: kernels for this CPU, threads, scratch memory. */
#include "reference/ops/exec.h"

#include <stdlib.h>

static const fvlm_kernels *const kernels_for[FVLM_CPU_COUNT] = {
    [FVLM_CPU_SCALAR] = &fvlm_kernels_scalar,
#if defined(__x86_64__)
    [FVLM_CPU_AVX2] = &fvlm_kernels_avx2,
    [FVLM_CPU_AVX512] = &fvlm_kernels_avx512,
#elif defined(__aarch64__)
    [FVLM_CPU_NEON] = &fvlm_kernels_neon,
    [FVLM_CPU_DOTPROD] = &fvlm_kernels_dotprod,
#endif
};

fvlm_status fvlm_exec_create(fvlm_exec **out, unsigned threads, const char *cpu, fvlm_act_mode mode, fvlm_err *err)
{
    fvlm_cpu level;
    *out = NULL;
    fvlm_status st = fvlm_cpu_select(&level, cpu, err);
    if (st) return st;
    fvlm_exec *e = fvlm_alloc(1, sizeof *e);
    st = e ? fvlm_pool_create(&e->pool, threads, err) : fvlm_fail_nomem(err);
    if (st) {
        free(e);
        return st;
    }
    e->k = kernels_for[level];
    e->mode = mode;
    e->threads = fvlm_pool_threads(e->pool);
    *out = e;
    return FVLM_OK;
}

void fvlm_exec_destroy(fvlm_exec **e)
{
    if (!e || !*e) return;
    fvlm_pool_destroy(&(*e)->pool);
    free((*e)->shared.bytes);
    for (unsigned i = 0; i < FVLM_MAX_THREADS; i++) free((*e)->thread[i].bytes);
    free(*e);
    *e = NULL;
}

const char *fvlm_exec_cpu(const fvlm_exec *e)
{
    return e->k->name;
}
fvlm_pool *fvlm_exec_pool(fvlm_exec *e)
{
    return e->pool;
}
const char *fvlm_act_name(fvlm_act_mode mode)
{
    return mode == FVLM_ACT_INT8 ? "int8" : "f32";
}

fvlm_act_mode fvlm_exec_mode(const fvlm_exec *e)
{
    return e->mode;
}
bool fvlm_exec_ok(const fvlm_exec *e)
{
    return !e->out_of_memory;
}

bool fvlm_exec_take_finite(fvlm_exec *e)
{
    return !atomic_exchange_explicit(&e->not_finite, false, memory_order_relaxed);
}

/* ---- scratch ---- */

static bool grow(fvlm_scratch *s, size_t n_bytes)
{
    if (n_bytes <= s->size) return true;
    free(s->bytes);
    s->size = 0;
    s->bytes = fvlm_alloc(n_bytes, 1);
    if (s->bytes) s->size = n_bytes;
    return s->bytes != NULL;
}

bool fvlm_exec_reserve(fvlm_exec *e, size_t shared_bytes, size_t thread_bytes)
{
    bool ok = grow(&e->shared, shared_bytes);
    for (unsigned i = 0; i < e->threads; i++) ok = ok && grow(&e->thread[i], thread_bytes);
    if (!ok) e->out_of_memory = true;
    return ok;
}

void *fvlm_arena_take(fvlm_arena *a, size_t n, size_t size)
{
    uint8_t *p = a->base ? a->base + a->used : NULL;
    a->used += (n * size + 63) / 64 * 64;
    return p;
}

size_t fvlm_exec_row_stride(size_t n)
{
    const size_t lines = (n + 15) / 16;
    return (lines | 1) * 16;
}

fvlm_rows fvlm_arena_take_rows(fvlm_arena *a, size_t n_rows, const fvlm_weight *w)
{
    fvlm_rows rows = {.q_stride = fvlm_exec_row_stride((w->m.k + 7) / 8 * 2) * 4};
    rows.q = fvlm_arena_take(a, n_rows, rows.q_stride);
    rows.group_stride = n_rows;
    rows.group = fvlm_arena_take(a, n_rows * w->m.n_groups, sizeof *rows.group);
    return rows;
}

bool fvlm_exec_is_int8(const fvlm_exec *e, const fvlm_weight *w)
{
    return e->mode == FVLM_ACT_INT8 && w->m.type.kind == FVLM_INT;
}
