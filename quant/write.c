/* SPDX-License-Identifier: Apache-2.0 */
/* write.c - carries a plan out: source panels in, tiles out, all threads busy, memory bounded.
 *
 * The work is one list of pieces over all tensors, about a megabyte of source each, handed out in order.
 * A thread reads its piece with pread (a mapping can change under us), encodes it alone, then waits until every earlier
 * piece of the same tensor has been hashed and appended. Pieces are handed out in increasing order, so the piece
 * that is waited for is always being worked on: no deadlock, and the bytes do not depend on the number of threads. */
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "format/cli/cli.h"
#include "format/base/file.h"
#include "format/writer.h"
#include "quant/chunk.h"

enum { PIECE_BYTES = 1 << 20 };

/* A tensor while it is being written. */
typedef struct {
    size_t id;         /* the writer's */
    fvlm_matrix m;     /* integer types: layout of the result */
    size_t unit_elems; /* stored source elements to a unit: a panel, or one for float types */
    uint64_t n_units;
    uint64_t units_a_piece;
    size_t first_piece, n_pieces, next; /* next: the piece whose turn it is */
    XXH3_state_t *hash;                 /* of the source bytes so far */
    uint16_t *scales, *offsets;         /* until the last piece appends them */
} stream;

typedef struct {
    fvlm_quantization *q;
    fvlm_writer *writer;
    stream *streams; /* one an item */
    size_t n_pieces;
    fvlm_chunk_scratch *spaces; /* one a thread */
    unsigned n_threads;
    fvlm_encode_group_fn encode;
    pthread_mutex_t lock; /* of everything below, and of stream.next, .hash, .scales */
    pthread_cond_t turn;
    bool failed;
    fvlm_err err;
    uint64_t done, total;
} job;

/* ---- preparation ---- */

static fvlm_status plan_stream(job *j, size_t i, fvlm_err *err)
{
    const fvlm_quant_item *item = &j->q->items[i];
    const fvlm_tensor *t = item->source;
    stream *s = &j->streams[i];
    const size_t width = fvlm_type_float_bytes(t->type);
    s->unit_elems = 1;
    if (item->type.kind == FVLM_INT) {
        fvlm_status st = fvlm_matrix_layout(&s->m, item->type, t->dims[0], item->n_weights / t->dims[0], err);
        if (st) return fvlm_err_prefix(err, "\"%s\"", t->name);
        s->unit_elems = s->m.k * FVLM_LANES;
    }
    const uint64_t unit_bytes = (uint64_t)s->unit_elems * width;
    s->n_units = t->n_bytes / unit_bytes;
    if (s->n_units * unit_bytes != t->n_bytes)
        return fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\" has %" PRIu64 " bytes, not a whole number of panels", t->name,
                         t->n_bytes);
    s->units_a_piece = PIECE_BYTES / unit_bytes ? PIECE_BYTES / unit_bytes : 1;
    s->first_piece = j->n_pieces;
    s->n_pieces = (size_t)((s->n_units + s->units_a_piece - 1) / s->units_a_piece);
    j->n_pieces += s->n_pieces;
    j->total += t->n_bytes;
    return fvlm_writer_declare(j->writer, t->name, item->type, (fvlm_layout)t->layout, t->rank, t->dims, &s->id, err);
}

/* Room for the largest piece of any tensor, for each thread. */
static fvlm_status make_spaces(job *j, fvlm_err *err)
{
    size_t elems = 0, out = 0, group = 1;
    for (size_t i = 0; i < j->q->n_items; i++) {
        const stream *s = &j->streams[i];
        size_t n = s->unit_elems * (size_t)s->units_a_piece;
        size_t bytes = s->m.n ? s->m.panel_bytes * (size_t)s->units_a_piece : n * sizeof(float);
        elems = n > elems ? n : elems;
        out = bytes > out ? bytes : out;
        group = s->m.group > group ? s->m.group : group;
    }
    j->spaces = fvlm_alloc(j->n_threads, sizeof *j->spaces);
    if (!j->spaces) return fvlm_fail(err, FVLM_NOMEM, "out of memory");
    for (unsigned t = 0; t < j->n_threads; t++) {
        fvlm_status st = fvlm_chunk_scratch_create(&j->spaces[t], elems, out, group, err);
        if (st) return st;
    }
    return FVLM_OK;
}

/* ---- one piece ---- */

/* Scales and offsets at their places behind the codes, zeros between. */
static fvlm_status append_scales(job *j, const stream *s, fvlm_err *err)
{
    static const uint8_t zeros[64];
    const fvlm_matrix *m = &s->m;
    const size_t bytes = m->n_panels * m->n_groups * FVLM_LANES * 2;
    fvlm_status st = fvlm_writer_append(j->writer, s->id, zeros, m->scales_at - m->n_panels * m->panel_bytes, err);
    if (st == FVLM_OK) st = fvlm_writer_append(j->writer, s->id, s->scales, bytes, err);
    if (st || !m->type.asymmetric) return st;
    st = fvlm_writer_append(j->writer, s->id, zeros, m->offsets_at - m->scales_at - bytes, err);
    return st ? st : fvlm_writer_append(j->writer, s->id, s->offsets, bytes, err);
}

static fvlm_status check_source(const job *j, const fvlm_tensor *t, const stream *s, fvlm_err *err)
{
    XXH128_canonical_t got;
    XXH128_canonicalFromHash(&got, XXH3_128bits_digest(s->hash));
    if (!memcmp(got.digest, t->hash.bytes, sizeof got.digest)) return FVLM_OK;
    return fvlm_fail(err, FVLM_MISMATCH,
                     "\"%s\": the bytes of \"%s\" do not have the hash of the index; the file is damaged",
                     fvlm_reader_path(j->q->reader), t->name);
}

/* In turn: hashes the source bytes, appends the result; after the last piece, the scales. */
static fvlm_status deliver(job *j, const fvlm_tensor *source, stream *s, bool last, const fvlm_chunk_scratch *space,
                           fvlm_err *err)
{
    XXH3_128bits_update(s->hash, space->in, space->n_in);
    fvlm_status st = fvlm_writer_append(j->writer, s->id, space->out, space->n_out, err);
    if (st || !last) return st;
    st = check_source(j, source, s, err);
    return st || !s->m.n ? st : append_scales(j, s, err);
}

static void fail(job *j, const fvlm_err *err)
{
    pthread_mutex_lock(&j->lock);
    if (!j->failed) j->err = *err;
    j->failed = true;
    pthread_cond_broadcast(&j->turn);
    pthread_mutex_unlock(&j->lock);
}

/* The first to come to a tensor makes what its pieces share. */
static fvlm_status open_stream(job *j, stream *s, fvlm_err *err)
{
    bool ok = true;
    pthread_mutex_lock(&j->lock);
    if (!s->hash) {
        const size_t n = s->m.n ? s->m.n_panels * s->m.n_groups * FVLM_LANES : 0;
        s->hash = XXH3_createState();
        if (n) s->scales = fvlm_alloc(n, sizeof *s->scales);
        if (n && s->m.type.asymmetric) s->offsets = fvlm_alloc(n, sizeof *s->offsets);
        ok = s->hash && (!n || s->scales) && (!n || !s->m.type.asymmetric || s->offsets);
        if (s->hash) XXH3_128bits_reset(s->hash);
    }
    pthread_mutex_unlock(&j->lock);
    return ok ? FVLM_OK : fvlm_fail(err, FVLM_NOMEM, "out of memory for the scales of a tensor");
}

static void close_stream(stream *s)
{
    if (s->hash) XXH3_freeState(s->hash);
    free(s->scales);
    free(s->offsets);
    s->hash = NULL;
    s->scales = s->offsets = NULL;
}

/* False once anything has failed or the user wants to stop. */
static bool going(job *j, fvlm_err *err)
{
    pthread_mutex_lock(&j->lock);
    bool failed = j->failed;
    pthread_mutex_unlock(&j->lock);
    if (!failed && fvlm_interrupted()) fvlm_fail(err, FVLM_INTERRUPTED, "interrupted");
    return !failed && !err->code;
}

static bool wait_for_turn(job *j, const stream *s, size_t mine)
{
    pthread_mutex_lock(&j->lock);
    while (!j->failed && s->next != mine) pthread_cond_wait(&j->turn, &j->lock);
    bool go = !j->failed;
    pthread_mutex_unlock(&j->lock);
    return go;
}

/* The tensor a piece belongs to: the last whose first piece is not after it. */
static size_t item_of(const job *j, size_t index)
{
    size_t low = 0, high = j->q->n_items;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (j->streams[middle].first_piece <= index)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static fvlm_chunk piece_of(const stream *s, const fvlm_quant_item *item, size_t number)
{
    const uint64_t first = number * s->units_a_piece, left = s->n_units - first;
    return (fvlm_chunk){.item = item,
                        .m = s->m.n ? &s->m : NULL,
                        .first = first * s->unit_elems,
                        .n = (size_t)(left < s->units_a_piece ? left : s->units_a_piece) * s->unit_elems,
                        .scales = s->scales,
                        .offsets = s->offsets};
}

static void count(job *j, stream *s, size_t item, size_t mine, const fvlm_chunk_scratch *space, unsigned thread)
{
    pthread_mutex_lock(&j->lock);
    s->next = mine + 1;
    for (int i = 0; i < 2; i++) j->q->items[item].sums[i] += space->sums[i];
    j->done += space->n_in;
    if (s->next == s->n_pieces && !j->failed) close_stream(s);
    const uint64_t done = j->done;
    pthread_cond_broadcast(&j->turn);
    pthread_mutex_unlock(&j->lock);
    if (thread == 0 && j->q->options.progress) j->q->options.progress(j->q->options.progress_ctx, done, j->total);
}

static void piece_task(void *ctx, size_t index, unsigned thread)
{
    job *j = ctx;
    const size_t item = item_of(j, index);
    stream *s = &j->streams[item];
    fvlm_chunk_scratch *space = &j->spaces[thread];
    const size_t mine = index - s->first_piece;
    fvlm_err err = {0};
    if (going(j, &err) && !open_stream(j, s, &err)) {
        const fvlm_chunk p = piece_of(s, &j->q->items[item], mine);
        if (!fvlm_chunk_encode(&p, j->encode, j->q->reader, space, &err) && wait_for_turn(j, s, mine))
            deliver(j, p.item->source, s, mine + 1 == s->n_pieces, space, &err);
    }
    if (err.code) fail(j, &err);
    count(j, s, item, mine, space, thread);
}

/* ---- the whole file ---- */

static fvlm_status prepare(job *j, const char *path, fvlm_err *err)
{
    const char *source = fvlm_reader_path(j->q->reader);
    uint64_t reserved;
    if (fvlm_file_same(source, path))
        return fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\" is the input itself; write to another name", path);
    j->streams = fvlm_alloc(j->q->n_items, sizeof *j->streams);
    if (!j->streams) return fvlm_fail(err, FVLM_NOMEM, "out of memory");
    fvlm_status st = fvlm_encode_select(&j->encode, j->q->options.cpu, err);
    if (st == FVLM_OK) st = fvlm_writer_create(&j->writer, path, j->q->options.force, err);
    for (size_t i = 0; i < j->q->n_items && st == FVLM_OK; i++) {
        j->q->items[i].sums[0] = j->q->items[i].sums[1] = 0;
        st = plan_stream(j, i, err);
    }
    if (st == FVLM_OK) st = make_spaces(j, err);
    return st ? st : fvlm_writer_begin(j->writer, &reserved, err);
}

static fvlm_status finish(job *j, const char *path, fvlm_err *err)
{
    fvlm_quantization *q = j->q;
    const char *tokenizer;
    size_t n_bytes;
    fvlm_status st = fvlm_reader_tokenizer(q->reader, &tokenizer, &n_bytes, err);
    st = fvlm_reader_check_unchanged(q->reader, st, err); /* the last byte of it has been read */
    json_t *meta = st ? NULL : fvlm_quant_metadata(q);
    if (st == FVLM_OK && !meta) st = fvlm_fail(err, FVLM_NOMEM, "out of memory for the metadata");
    if (st == FVLM_OK) st = fvlm_writer_finish(&j->writer, meta, tokenizer, n_bytes, err);
    json_decref(meta);
    struct stat about;
    if (st == FVLM_OK && stat(path, &about) == 0) q->bytes_after = (uint64_t)about.st_size;
    return st;
}

static void clean_up(job *j)
{
    for (size_t i = 0; j->streams && i < j->q->n_items; i++) close_stream(&j->streams[i]);
    for (unsigned t = 0; j->spaces && t < j->n_threads; t++) fvlm_chunk_scratch_free(&j->spaces[t]);
    free(j->spaces);
    free(j->streams);
    fvlm_writer_abort(&j->writer);
}

fvlm_status fvlm_quantization_write(fvlm_quantization *q, const char *path, fvlm_err *err)
{
    job j = {.q = q, .lock = PTHREAD_MUTEX_INITIALIZER, .turn = PTHREAD_COND_INITIALIZER};
    fvlm_pool *pool = NULL;
    fvlm_status st = fvlm_pool_create(&pool, q->options.threads, err);
    if (st) return st;
    j.n_threads = fvlm_pool_threads(pool);
    st = prepare(&j, path, err);
    if (st == FVLM_OK) {
        fvlm_writer_use_pool(j.writer, pool);
        fvlm_pool_run(pool, j.n_pieces, piece_task, &j);
        if (j.failed) {
            st = j.err.code;
            if (err) *err = j.err;
        }
    }
    st = fvlm_reader_check_unchanged(q->reader, st, err); /* what looked like damage may be somebody writing */
    q->written = st == FVLM_OK;
    if (st == FVLM_OK) st = finish(&j, path, err);
    q->written = st == FVLM_OK;
    clean_up(&j);
    fvlm_pool_destroy(&pool);
    return st;
}
