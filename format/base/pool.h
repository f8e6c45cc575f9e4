/* SPDX-License-Identifier: Apache-2.0 */
/* pool.h - a fixed set of threads, made once, that share out numbered tasks. */
#ifndef FVLM_FORMAT_BASE_POOL_H
#define FVLM_FORMAT_BASE_POOL_H

#include "format/base/base.h"

typedef struct fvlm_pool fvlm_pool;

/* n_threads >= 1 counts the caller; 0 = all the machine has (at most 64). */
fvlm_status fvlm_pool_create(fvlm_pool **out, unsigned n_threads, fvlm_err *err);
void fvlm_pool_destroy(fvlm_pool **p);
unsigned fvlm_pool_threads(const fvlm_pool *p);

/* Runs task(ctx, i, thread) for every i < n_tasks, handed out in increasing i,
 * on all threads (0 <= thread < fvlm_pool_threads); returns when all are done.
 * Not reentrant: a task must not call it. p may be NULL: runs in the caller. */
typedef void (*fvlm_task)(void *ctx, size_t i, unsigned thread);
void fvlm_pool_run(fvlm_pool *p, size_t n_tasks, fvlm_task task, void *ctx);

#endif
