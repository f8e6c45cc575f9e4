/* SPDX-License-Identifier: Apache-2.0 */
/* pool.h - a fixed set of threads that share out numbered tasks. */
#ifndef FVLM_FORMAT_BASE_POOL_H
#define FVLM_FORMAT_BASE_POOL_H

#include "format/base/base.h"

typedef struct fvlm_pool fvlm_pool;

/* n_threads counts the caller: 1 starts no thread, 0 means all that are available, and FVLM_MAX_THREADS is the most
 * (see cpu.h). On failure *out is NULL. */
fvlm_status fvlm_pool_create(fvlm_pool **out, unsigned n_threads, fvlm_err *err);
void fvlm_pool_destroy(fvlm_pool **p); /* NULL is fine; sets NULL */
unsigned fvlm_pool_threads(const fvlm_pool *p);

/* Calls task(ctx, i, thread) once for every i < n_tasks, started in increasing i on all threads
 * (thread < fvlm_pool_threads), and returns when all are done; what they wrote is then visible to the caller.
 * One run at a time: a task must not call it. p may be NULL: the caller does it all, as thread 0. */
typedef void (*fvlm_task)(void *ctx, size_t i, unsigned thread);
void fvlm_pool_run(fvlm_pool *p, size_t n_tasks, fvlm_task task, void *ctx);

/* The same for tasks that can fail; err, each task's own, is never NULL. After a failure, tasks of higher numbers are
 * not started and those of lower numbers still run. So the failure returned, of the lowest task that fails, is the
 * same for any number of threads. */
typedef fvlm_status (*fvlm_fallible_task)(void *ctx, size_t i, unsigned thread, fvlm_err *err);
fvlm_status fvlm_pool_try(fvlm_pool *p, size_t n_tasks, fvlm_fallible_task task, void *ctx, fvlm_err *err);

#endif
