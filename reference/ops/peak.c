/* SPDX-License-Identifier: Apache-2.0 */
/* peak.c - the most this CPU can do, measured: fvlm bench reports speeds relative to it. */
#include <time.h>

#include "reference/ops/exec.h"

#define ROUNDS 20000 /* between two readings of the clock: about 0.1 ms */
#define SECONDS 0.1

typedef struct {
    const fvlm_exec *exec;
    double rate[FVLM_MAX_THREADS]; /* multiply-adds per second */
} burst;

/* The thread's own clock, so that a busy machine does not lower the peak. */
static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* One thread's share; there are as many tasks as threads. */
static void work(void *ctx, size_t i, unsigned thread)
{
    (void)thread;
    burst *b = ctx;
    const fvlm_kernels *k = b->exec->k;
    _Alignas(64) float sink[32] = {0};
    const double since = cpu_seconds();
    double macs = 0, took = 0;
    while (took < SECONDS) {
        macs += (b->exec->mode == FVLM_ACT_INT8 ? k->peak_int8 : k->peak_f32)(ROUNDS, sink);
        took = cpu_seconds() - since;
    }
    b->rate[i] = macs / took;
}

double fvlm_exec_peak(fvlm_exec *e)
{
    burst b = {.exec = e};
    double all = 0;
    fvlm_pool_run(e->pool, e->threads, work, &b);
    for (unsigned t = 0; t < e->threads; t++) all += b.rate[t];
    return all;
}
