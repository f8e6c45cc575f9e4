/* SPDX-License-Identifier: Apache-2.0 */
/* exec.c - the executor's life: choosing kernels for this CPU, threads, scratch memory. */
#include "reference/ops/exec.h"

#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>

/* F16C has no name in __builtin_cpu_supports of older compilers. */
static bool has_f16c(void)
{
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
}

static bool has_avx2(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
}

static bool has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vnni");
}
#elif defined(__aarch64__)
#include <sys/auxv.h>
#define DOTPROD_BIT (1ul << 20) /* HWCAP_ASIMDDP */

static bool has_dotprod(void)
{
    return (getauxval(AT_HWCAP) & DOTPROD_BIT) != 0;
}
#endif

static bool always(void)
{
    return true;
}

/* From the least to the most. */
static const struct {
    const char *name;
    const fvlm_kernels *kernels; /* NULL: not in this build */
    bool (*runs)(void);
} levels[] = {
    {"scalar", &fvlm_kernels_scalar, always},
#if defined(__x86_64__)
    {"avx2", &fvlm_kernels_avx2, has_avx2},
    {"avx512", &fvlm_kernels_avx512, has_avx512},
    {"neon", NULL, NULL},
    {"dotprod", NULL, NULL},
#elif defined(__aarch64__)
    {"neon", &fvlm_kernels_neon, always},
    {"dotprod", &fvlm_kernels_dotprod, has_dotprod},
    {"avx2", NULL, NULL},
    {"avx512", NULL, NULL},
#else
    {"avx2", NULL, NULL},
    {"avx512", NULL, NULL},
    {"neon", NULL, NULL},
    {"dotprod", NULL, NULL},
#endif
};
#define N_LEVELS (sizeof levels / sizeof *levels)

static fvlm_status choose_kernels(const fvlm_kernels **out, const char *cpu, fvlm_err *err)
{
    if (cpu && *cpu) {
        for (size_t i = 0; i < N_LEVELS; i++) {
            if (strcmp(cpu, levels[i].name) != 0) continue;
            if (!levels[i].kernels || !levels[i].runs())
                return fvlm_fail(err, FVLM_USAGE, "cpu \"%s\": this machine cannot run it", cpu);
            *out = levels[i].kernels;
            return FVLM_OK;
        }
        return fvlm_fail(err, FVLM_USAGE, "cpu \"%s\" is not known; use scalar, avx2, avx512, neon or dotprod", cpu);
    }
    for (size_t i = 0; i < N_LEVELS; i++)
        if (levels[i].kernels && levels[i].runs()) *out = levels[i].kernels;
    return FVLM_OK;
}

fvlm_status fvlm_exec_create(fvlm_exec **out, unsigned threads, const char *cpu, fvlm_act_mode mode, fvlm_err *err)
{
    *out = NULL;
    const fvlm_kernels *k = NULL;
    fvlm_status st = choose_kernels(&k, cpu, err);
    if (st) return st;
    fvlm_exec *e = fvlm_alloc(1, sizeof *e);
    if (!e) return fvlm_fail(err, FVLM_NOMEM, "out of memory for the executor");
    e->k = k;
    e->mode = mode;
    st = fvlm_pool_create(&e->pool, threads, err);
    if (st) {
        free(e);
        return st;
    }
    e->threads = fvlm_pool_threads(e->pool);
    if (e->threads > FVLM_MAX_THREADS) {
        fvlm_exec_destroy(&e);
        return fvlm_fail(err, FVLM_USAGE, "threads: at most %d", FVLM_MAX_THREADS);
    }
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

void *fvlm_carve_take(fvlm_carve *c, size_t n, size_t size)
{
    uint8_t *p = c->base ? c->base + c->used : NULL;
    c->used += (n * size + 63) / 64 * 64;
    return p;
}

size_t fvlm_exec_row_stride(size_t n)
{
    const size_t lines = (n + 15) / 16;
    return (lines | 1) * 16;
}

fvlm_rows fvlm_carve_rows(fvlm_carve *c, size_t n_rows, const fvlm_weight *w)
{
    fvlm_rows a = {.q_stride = fvlm_exec_row_stride((w->m.k + 7) / 8 * 2) * 4};
    a.q = fvlm_carve_take(c, n_rows, a.q_stride);
    a.group_stride = n_rows;
    a.group = fvlm_carve_take(c, n_rows * w->m.n_groups, sizeof *a.group);
    return a;
}

bool fvlm_exec_is_int8(const fvlm_exec *e, const fvlm_weight *w)
{
    return e->mode == FVLM_ACT_INT8 && w->m.type.kind == FVLM_INT;
}
