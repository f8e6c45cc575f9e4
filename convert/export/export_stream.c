/* SPDX-License-Identifier: Apache-2.0 */
/* export_stream.c - a file of a header and rows of tensors, written on all threads. Each task is a block of rows of one
 * tensor; it has its own bytes of the file, so tasks need not wait for one another, and memory is a block for each
 * thread. */
#include <math.h>
#include <stdlib.h>

#include "convert/export/target.h"

#define BLOCK_BYTES ((size_t)1 << 20)

typedef struct {
    fvlm_export *x;
    const fvlm_export_stream *streams;
    size_t n_streams;
    size_t *first;              /* [n_streams + 1] task of each stream */
    double (*sums)[2];          /* [n_tasks]: kept apart, so that the order of threads does not change a sum */
    uint8_t **bytes;            /* [n_threads] */
    fvlm_export_thread *thread; /* [n_threads] */
    atomic_ullong done;
} job;

static uint64_t rows_of_block(const fvlm_export_stream *s)
{
    const uint64_t fit = BLOCK_BYTES / s->row_bytes;
    return fit ? fit : 1;
}

/* The stream that a task belongs to: the last whose first task is not after it. */
static size_t find_stream(const job *j, size_t task)
{
    size_t low = 0, high = j->n_streams;
    while (high - low > 1) {
        const size_t middle = low + (high - low) / 2;
        if (j->first[middle] <= task)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* An fvlm_fallible_task. */
static fvlm_status run_block(void *ctx, size_t task, unsigned thread, fvlm_err *err)
{
    job *j = ctx;
    fvlm_export *x = j->x;
    const size_t i = find_stream(j, task);
    const fvlm_export_stream *s = &j->streams[i];
    fvlm_export_thread *t = &j->thread[thread];
    const uint64_t block = rows_of_block(s), first = (task - j->first[i]) * block;
    const size_t n = (size_t)(s->rows - first < block ? s->rows - first : block);
    t->changed = t->all = 0;
    fvlm_status st = fvlm_stop_check(x->options.stop, err);
    if (!st) st = s->fill(s, first, n, j->bytes[thread], t, err);
    if (!st) st = fvlm_output_write(x->open, s->at + first * s->row_bytes, j->bytes[thread], n * s->row_bytes, err);
    j->sums[task][0] = t->changed;
    j->sums[task][1] = t->all;
    const uint64_t done = atomic_fetch_add(&j->done, n * s->row_bytes) + n * s->row_bytes;
    if (thread == 0 && x->options.progress) x->options.progress(x->options.progress_ctx, x->done + done, x->total);
    return st;
}

static fvlm_status prepare(job *j, fvlm_err *err)
{
    size_t bytes = 1, scratch = 1, n = 0;
    const unsigned n_threads = fvlm_pool_threads(j->x->pool);
    j->first = fvlm_alloc(j->n_streams + 1, sizeof *j->first);
    j->bytes = fvlm_alloc(n_threads, sizeof *j->bytes);
    j->thread = fvlm_alloc(n_threads, sizeof *j->thread);
    if (!j->first || !j->bytes || !j->thread) return fvlm_fail_nomem(err);
    for (size_t i = 0; i < j->n_streams; i++) {
        const fvlm_export_stream *s = &j->streams[i];
        const uint64_t block = rows_of_block(s), rows = s->rows < block ? s->rows : block;
        j->first[i] = n;
        n += (size_t)((s->rows + block - 1) / block);
        if (rows * s->row_bytes > bytes) bytes = (size_t)rows * s->row_bytes;
        if (s->scratch_bytes > scratch) scratch = s->scratch_bytes;
    }
    j->first[j->n_streams] = n;
    j->sums = fvlm_alloc(n, sizeof *j->sums);
    if (!j->sums) return fvlm_fail_nomem(err);
    for (unsigned t = 0; t < n_threads; t++) {
        j->bytes[t] = fvlm_alloc(bytes, 1);
        j->thread[t].scratch = fvlm_alloc(scratch, 1);
        if (!j->bytes[t] || !j->thread[t].scratch) return fvlm_fail_nomem(err);
    }
    return FVLM_OK;
}

static void report(const job *j)
{
    for (size_t i = 0; i < j->n_streams; i++) {
        double changed = 0, all = 0;
        for (size_t task = j->first[i]; task < j->first[i + 1]; task++) {
            changed += j->sums[task][0];
            all += j->sums[task][1];
        }
        j->streams[i].report->error = all > 0 ? sqrt(changed / all) : 0;
    }
}

static fvlm_status stream_rows(fvlm_export *x, const fvlm_export_stream *streams, size_t n, fvlm_err *err)
{
    job j = {.x = x, .streams = streams, .n_streams = n};
    if (n == 0) return FVLM_OK;
    fvlm_status st = prepare(&j, err);
    if (!st) st = fvlm_pool_try(x->pool, j.first[n], run_block, &j, err);
    if (!st) report(&j);
    x->done += j.done;
    for (unsigned t = 0; t < fvlm_pool_threads(x->pool); t++) {
        if (j.bytes) free(j.bytes[t]);
        if (j.thread) free(j.thread[t].scratch);
    }
    free(j.sums);
    free(j.first);
    free(j.bytes);
    free(j.thread);
    return st;
}

fvlm_status fvlm_export_write_streams(fvlm_export *x, const char *name, const char *header, size_t header_bytes,
                                      const fvlm_export_stream *streams, size_t n, uint64_t n_bytes, fvlm_err *err)
{
    fvlm_output *file = NULL;
    fvlm_status st = fvlm_export_open_file(x, name, &file, err);
    if (st) return st;
    st = fvlm_output_reserve(file, n_bytes, err);
    if (!st) st = fvlm_output_write(file, 0, header, header_bytes, err);
    if (!st) st = stream_rows(x, streams, n, err);
    return fvlm_export_close_file(x, n_bytes, st, err);
}
