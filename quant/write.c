/* SPDX-License-Identifier: Apache-2.0 */
/* write.c - carries out a plan: all threads busy, memory bounded.
 *
 * The work is one list of chunks over all tensors. A thread takes the next chunk, reads it with pread (a mapping can
 * change under us), encodes it, and waits until every earlier chunk of the same tensor has been appended. Chunks are
 * handed out in order, so the chunk waited for is always being worked on: no deadlock.
 *
 * When a chunk fails, those before it are still carried out. So the failure reported, that of the lowest chunk
 * (fvlm_pool_try), does not depend on threads. */
#include <jansson.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "format/base/file.h"
#include "quant/stream.h"

typedef struct {
    fvlm_quantization *q;
    fvlm_writer *writer;
    fvlm_stream *streams;        /* [n_items] */
    size_t n_chunks;             /* of all streams */
    uint64_t n_bytes;            /* of the source's tensors */
    fvlm_chunk_scratch *scratch; /* [n_threads] */
    unsigned n_threads;
    pthread_mutex_t lock; /* guards what follows; opening of streams, and their n_appended */
    pthread_cond_t ended; /* a chunk */
    size_t failed;        /* lowest chunk that failed; n_chunks if none did */
    uint64_t done;        /* of n_bytes */
} job;

/* ---- before ---- */

static fvlm_status plan_streams(job *j, fvlm_err *err)
{
    fvlm_status st = FVLM_OK;
    j->streams = fvlm_alloc(j->q->n_items, sizeof *j->streams);
    if (!j->streams) return fvlm_fail_nomem(err);
    for (size_t i = 0; i < j->q->n_items && !st; i++) {
        fvlm_quant_item *item = &j->q->items[i];
        item->sums[0] = item->sums[1] = 0;
        st = fvlm_stream_plan(&j->streams[i], item, j->writer, err);
        j->streams[i].first_chunk = j->n_chunks;
        j->n_chunks += j->streams[i].n_chunks;
        j->n_bytes += item->source->n_bytes;
    }
    j->failed = j->n_chunks;
    return st;
}

/* For every thread, enough for the largest chunk. */
static fvlm_status create_scratch(job *j, fvlm_err *err)
{
    size_t max_elems = 0, max_out = 0, max_group = 1;
    fvlm_status st = FVLM_OK;
    for (size_t i = 0; i < j->q->n_items; i++) {
        const fvlm_stream *s = &j->streams[i];
        const size_t elems = s->unit_elems * (size_t)s->chunk_units;
        const size_t out = s->integer ? s->m.panel_bytes * (size_t)s->chunk_units : elems * sizeof(float);
        max_elems = elems > max_elems ? elems : max_elems;
        max_out = out > max_out ? out : max_out;
        max_group = s->m.group > max_group ? s->m.group : max_group;
    }
    j->scratch = fvlm_alloc(j->n_threads, sizeof *j->scratch);
    if (!j->scratch) return fvlm_fail_nomem(err);
    for (unsigned t = 0; t < j->n_threads && !st; t++)
        st = fvlm_chunk_scratch_create(&j->scratch[t], j->q->cpu, max_elems, max_out, max_group, err);
    return st;
}

static fvlm_status prepare(job *j, const char *path, fvlm_err *err)
{
    uint64_t reserved;
    if (fvlm_file_same(fvlm_reader_path(j->q->reader), path))
        return fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\" is the input itself; write to another name", path);
    fvlm_status st = fvlm_writer_create(&j->writer, path, j->q->options.force, err);
    if (!st) st = plan_streams(j, err);
    if (!st) st = create_scratch(j, err);
    return st ? st : fvlm_writer_begin(j->writer, &reserved, err);
}

/* ---- one chunk ---- */

/* The tensor that a chunk belongs to: the last whose first chunk is not after it. */
static fvlm_stream *find_stream(const job *j, size_t chunk)
{
    size_t low = 0, high = j->q->n_items;
    while (high - low > 1) {
        const size_t middle = low + (high - low) / 2;
        if (j->streams[middle].first_chunk <= chunk)
            low = middle;
        else
            high = middle;
    }
    return &j->streams[low];
}

/* False if the turn will not come, since a chunk before this one has failed. */
static bool wait_for_turn(job *j, const fvlm_stream *s, size_t chunk)
{
    pthread_mutex_lock(&j->lock);
    while (chunk < j->failed && s->n_appended != chunk - s->first_chunk) pthread_cond_wait(&j->ended, &j->lock);
    const bool go = chunk < j->failed;
    pthread_mutex_unlock(&j->lock);
    return go;
}

/* Tells the waiting threads how the chunk ended; returns the bytes done. */
static uint64_t end(job *j, fvlm_stream *s, size_t chunk, uint64_t n_bytes, fvlm_status st)
{
    pthread_mutex_lock(&j->lock);
    if (!st) {
        s->n_appended++;
        j->done += n_bytes;
    } else if (chunk < j->failed) {
        j->failed = chunk;
    }
    const uint64_t done = j->done;
    pthread_cond_broadcast(&j->ended);
    pthread_mutex_unlock(&j->lock);
    return done;
}

/* An fvlm_fallible_task. */
static fvlm_status run_chunk(void *ctx, size_t chunk, unsigned thread, fvlm_err *err)
{
    job *j = ctx;
    const fvlm_quant_options *o = &j->q->options;
    fvlm_stream *s = find_stream(j, chunk);
    fvlm_chunk_scratch *scratch = &j->scratch[thread];
    fvlm_status st = fvlm_stop_check(o->stop, err);
    pthread_mutex_lock(&j->lock);
    if (!st) st = fvlm_stream_open(s, err);
    pthread_mutex_unlock(&j->lock);
    if (!st) {
        const fvlm_chunk c = fvlm_stream_chunk(s, chunk - s->first_chunk);
        st = fvlm_chunk_encode(&c, j->q->reader, scratch, err);
    }
    if (!st && !wait_for_turn(j, s, chunk)) return FVLM_OK; /* the other failure is reported */
    if (!st) st = fvlm_stream_append(s, scratch, j->q->reader, j->writer, err);
    const uint64_t done = end(j, s, chunk, scratch->n_in, st);
    if (thread == 0 && o->progress) o->progress(o->progress_ctx, done, j->n_bytes);
    return st;
}

/* ---- after ---- */

static fvlm_status publish(job *j, const char *path, fvlm_err *err)
{
    fvlm_quantization *q = j->q;
    const char *tokenizer;
    size_t n_bytes;
    struct stat file;
    fvlm_status st = fvlm_reader_tokenizer(q->reader, &tokenizer, &n_bytes, err);
    st = fvlm_reader_check_unchanged(q->reader, st, err); /* its last byte has been read */
    json_t *meta = st ? NULL : fvlm_quantization_metadata(q);
    if (!st && !meta) st = fvlm_fail_nomem(err);
    if (!st) st = fvlm_writer_publish(&j->writer, meta, tokenizer, n_bytes, err);
    json_decref(meta);
    if (!st && stat(path, &file) == 0) q->bytes_after = (uint64_t)file.st_size;
    return st;
}

static void clean_up(job *j)
{
    for (size_t i = 0; j->streams && i < j->q->n_items; i++) fvlm_stream_close(&j->streams[i]);
    for (unsigned t = 0; j->scratch && t < j->n_threads; t++) fvlm_chunk_scratch_free(&j->scratch[t]);
    free(j->scratch);
    free(j->streams);
    fvlm_writer_discard(&j->writer);
}

fvlm_status fvlm_quantization_write(fvlm_quantization *q, const char *path, fvlm_err *err)
{
    job j = {.q = q, .lock = PTHREAD_MUTEX_INITIALIZER, .ended = PTHREAD_COND_INITIALIZER};
    fvlm_pool *pool = NULL;
    fvlm_status st = fvlm_pool_create(&pool, q->options.threads, err);
    if (st) return st;
    j.n_threads = fvlm_pool_threads(pool);
    st = prepare(&j, path, err);
    if (!st) {
        fvlm_writer_use_pool(j.writer, pool, q->options.stop);
        st = fvlm_pool_try(pool, j.n_chunks, run_chunk, &j, err);
    }
    st = fvlm_reader_check_unchanged(q->reader, st, err); /* what looks like damage may be a file being written */
    if (!st) st = publish(&j, path, err);
    q->written = !st;
    clean_up(&j);
    fvlm_pool_destroy(&pool);
    return st;
}
