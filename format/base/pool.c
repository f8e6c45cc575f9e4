/* SPDX-License-Identifier: Apache-2.0 */
/* pool.c - threads that wait for a set of numbered tasks and take the next number from one atomic counter. The
 * caller works too.
 *
 * Decoding a token takes a few hundred runs of a fraction of a millisecond each; sleeping and waking would add a tenth
 * to that. So a waiting thread first spins briefly, yielding its core each time, and only then sleeps. */
#include "format/base/pool.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "format/base/cpu.h"

enum { SPINS = 100 /* about 30 microseconds */ };

struct fvlm_pool {
    unsigned n_threads;
    pthread_t thread[FVLM_MAX_THREADS];
    _Atomic unsigned n_started; /* gives each thread its index; the caller is 0 */
    pthread_mutex_t lock;
    pthread_cond_t wake, done;
    _Atomic uint64_t round;   /* counts runs; a change wakes the threads. Written under the lock, like the next two */
    _Atomic unsigned working; /* threads that have not finished this round */
    atomic_bool stop;
    fvlm_task task;
    void *ctx;
    size_t n_tasks;
    atomic_size_t next;
};

static void work(fvlm_pool *p, unsigned thread)
{
    for (size_t i; (i = atomic_fetch_add(&p->next, 1)) < p->n_tasks;) p->task(p->ctx, i, thread);
}

static void *thread_main(void *arg)
{
    fvlm_pool *p = arg;
    const unsigned index = ++p->n_started;
    uint64_t seen = 0;
    for (;;) {
        for (int i = 0; i < SPINS && p->round == seen && !p->stop; i++) sched_yield();
        pthread_mutex_lock(&p->lock);
        while (p->round == seen && !p->stop) pthread_cond_wait(&p->wake, &p->lock);
        if (p->stop) break;
        seen = p->round;
        pthread_mutex_unlock(&p->lock);
        work(p, index);
        pthread_mutex_lock(&p->lock);
        if (--p->working == 0) pthread_cond_signal(&p->done);
        pthread_mutex_unlock(&p->lock);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

fvlm_status fvlm_pool_create(fvlm_pool **out, unsigned n_threads, fvlm_err *err)
{
    *out = NULL;
    if (n_threads == 0) n_threads = fvlm_threads_available();
    if (n_threads > FVLM_MAX_THREADS) n_threads = FVLM_MAX_THREADS;
    fvlm_pool *p = fvlm_alloc(1, sizeof *p);
    if (!p) return fvlm_fail_nomem(err);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    pthread_cond_init(&p->done, NULL);
    /* Signals sent to the process are the caller's: a thread of ours must not take them. */
    static const int theirs[] = {SIGINT, SIGTERM, SIGHUP, SIGALRM};
    sigset_t set, before;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof theirs / sizeof theirs[0]; i++) sigaddset(&set, theirs[i]);
    pthread_sigmask(SIG_BLOCK, &set, &before);
    int failed = 0;
    for (p->n_threads = 1; p->n_threads < n_threads; p->n_threads++)
        if ((failed = pthread_create(&p->thread[p->n_threads], NULL, thread_main, p)) != 0) break; /* not counted */
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed) {
        fvlm_pool_destroy(&p);
        return fvlm_fail(err, FVLM_NOMEM, "cannot start %u threads", n_threads);
    }
    *out = p;
    return FVLM_OK;
}

void fvlm_pool_destroy(fvlm_pool **pool)
{
    fvlm_pool *p = *pool;
    if (!p) return;
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
    for (unsigned i = 1; i < p->n_threads; i++) pthread_join(p->thread[i], NULL);
    pthread_cond_destroy(&p->done);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->lock);
    free(p);
    *pool = NULL;
}

unsigned fvlm_pool_threads(const fvlm_pool *p)
{
    return p ? p->n_threads : 1;
}

void fvlm_pool_run(fvlm_pool *p, size_t n_tasks, fvlm_task task, void *ctx)
{
    if (!p || p->n_threads == 1 || n_tasks <= 1) {
        for (size_t i = 0; i < n_tasks; i++) task(ctx, i, 0);
        return;
    }
    pthread_mutex_lock(&p->lock);
    p->task = task;
    p->ctx = ctx;
    p->n_tasks = n_tasks;
    atomic_store(&p->next, 0);
    p->working = p->n_threads - 1;
    p->round++;
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
    work(p, 0);
    for (int i = 0; i < SPINS && p->working; i++) sched_yield();
    pthread_mutex_lock(&p->lock);
    while (p->working) pthread_cond_wait(&p->done, &p->lock);
    pthread_mutex_unlock(&p->lock);
}

/* ---- tasks that can fail ---- */

typedef struct {
    fvlm_fallible_task task;
    void *ctx;
    atomic_size_t failed; /* lowest task that failed; SIZE_MAX while none did */
    pthread_mutex_t lock; /* guards writing failed and err */
    fvlm_err err;
} attempt;

static void try_task(void *ctx, size_t i, unsigned thread)
{
    attempt *a = ctx;
    if (i > a->failed) return;
    fvlm_err err = {0};
    if (!a->task(a->ctx, i, thread, &err)) return;
    pthread_mutex_lock(&a->lock);
    if (i < a->failed) {
        a->failed = i;
        a->err = err;
    }
    pthread_mutex_unlock(&a->lock);
}

fvlm_status fvlm_pool_try(fvlm_pool *p, size_t n_tasks, fvlm_fallible_task task, void *ctx, fvlm_err *err)
{
    attempt a = {.task = task, .ctx = ctx, .failed = SIZE_MAX, .lock = PTHREAD_MUTEX_INITIALIZER};
    fvlm_pool_run(p, n_tasks, try_task, &a);
    pthread_mutex_destroy(&a.lock);
    if (a.failed == SIZE_MAX) return FVLM_OK;
    if (err) *err = a.err;
    return a.err.code;
}
