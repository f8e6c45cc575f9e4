/* SPDX-License-Identifier: Apache-2.0 */
/* lockstep.c - see lockstep.h. A barrier with a body and a way out. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "verify/lockstep.h"

struct fvlm_lockstep {
    unsigned n_runners, n_arrived;
    uint64_t round;
    bool broken;
    fvlm_lockstep_block shown[FVLM_LOCKSTEP_MAX];
    fvlm_lockstep_compare compare;
    void *ctx;
    fvlm_err err;
    pthread_mutex_t lock;
    pthread_cond_t changed; /* round or broken */
};

fvlm_status fvlm_lockstep_check_same(const fvlm_lockstep_block *a, const fvlm_lockstep_block *b, fvlm_err *err)
{
    if (!strcmp(a->name, b->name) && a->rows == b->rows && a->cols == b->cols) return FVLM_OK;
    return fvlm_fail(err, FVLM_MISMATCH, "the models differ in structure: %s [%zu, %zu] beside %s [%zu, %zu]", a->name,
                     a->rows, a->cols, b->name, b->rows, b->cols);
}

fvlm_status fvlm_lockstep_create(fvlm_lockstep **out, unsigned n_runners, fvlm_lockstep_compare compare, void *ctx,
                                 fvlm_err *err)
{
    fvlm_lockstep *l = *out = fvlm_alloc(1, sizeof *l);
    if (!l) return fvlm_fail_nomem(err);
    l->n_runners = n_runners;
    l->compare = compare;
    l->ctx = ctx;
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->changed, NULL);
    return FVLM_OK;
}

void fvlm_lockstep_destroy(fvlm_lockstep **l)
{
    if (!*l) return;
    pthread_cond_destroy(&(*l)->changed);
    pthread_mutex_destroy(&(*l)->lock);
    free(*l);
    *l = NULL;
}

bool fvlm_lockstep_meet(fvlm_lockstep *l, unsigned runner, const char *name, const float *x, size_t rows, size_t cols)
{
    pthread_mutex_lock(&l->lock);
    if (!l->broken) {
        const uint64_t round = l->round;
        l->shown[runner] = (fvlm_lockstep_block){name, x, rows, cols};
        if (++l->n_arrived == l->n_runners) {
            /* Under the lock: all others wait for this anyway. */
            if (l->compare(l->ctx, l->shown, &l->err)) l->broken = true;
            l->n_arrived = 0;
            l->round++;
            pthread_cond_broadcast(&l->changed);
        }
        while (!l->broken && l->round == round) pthread_cond_wait(&l->changed, &l->lock);
    }
    const bool go = !l->broken;
    pthread_mutex_unlock(&l->lock);
    return go;
}

void fvlm_lockstep_leave(fvlm_lockstep *l)
{
    pthread_mutex_lock(&l->lock);
    l->broken = true;
    pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->lock);
}

fvlm_status fvlm_lockstep_status(const fvlm_lockstep *l, fvlm_err *err)
{
    if (l->err.code && err) *err = l->err;
    return l->err.code;
}
