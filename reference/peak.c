/* peak.c - what this CPU can do at most, measured: the yardstick of fvlm bench. */
#include "format/cli.h"
#include "reference/exec.h"

#define ROUNDS 20000 /* of a burst: well under a millisecond */
#define SECONDS 0.05
#define TRIES 5

typedef struct {
    const fvlm_exec *exec;
    double macs[FVLM_MAX_THREADS];
} burst;

/* One thread's share of a burst; there are as many tasks as threads. */
static void work(void *ctx, size_t i, unsigned thread)
{
    (void)thread;
    burst *b = ctx;
    _Alignas(64) float sink[16] = {0};
    const fvlm_kernels *k = b->exec->k;
    const double until = fvlm_seconds() + SECONDS;
    b->macs[i] = 0;
    do b->macs[i] += (b->exec->mode == FVLM_ACT_INT8 ? k->peak_int8 : k->peak_f32)(ROUNDS, sink);
    while (fvlm_seconds() < until);
}

double fvlm_exec_peak(fvlm_exec *e)
{
    double best = 0;
    for (int i = 0; i < TRIES; i++) {
        burst b = {.exec = e};
        const double since = fvlm_seconds();
        fvlm_pool_run(e->pool, e->threads, work, &b);
        const double took = fvlm_seconds() - since;
        double macs = 0;
        for (unsigned t = 0; t < e->threads; t++) macs += b.macs[t];
        if (macs / took > best) best = macs / took;
    }
    return best;
}
