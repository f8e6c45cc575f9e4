/* SPDX-License-Identifier: Apache-2.0 */
/* verify.c - checks every byte of an open file: tensors and sections by their
 * hashes, what lies between them for being zero. Reads with pread in pieces; the
 * mapping is not trusted to stay what it was. */
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "format/cli/cli.h"
#include "format/base/file.h"
#include "format/reader_internal.h"
#include "format/section.h"

#define PIECE_BYTES ((size_t)1 << 20)

static size_t piece_for(uint64_t n_bytes)
{
    return n_bytes < PIECE_BYTES ? (size_t)n_bytes : PIECE_BYTES;
}

/* A stretch of the file with a hash of its own. */
typedef struct {
    uint64_t offset, n_bytes;
    const fvlm_hash *hash;
    const char *tensor; /* its name; NULL for a section */
} stretch;

typedef struct {
    const fvlm_reader *r;
    stretch *item; /* largest first, so that threads finish together */
    size_t n_items;
    size_t piece_bytes; /* of a read: 1 MiB, or the largest item if that is less */
    uint8_t *piece;     /* one to a thread */
    fvlm_progress_fn progress;
    void *progress_ctx;
    atomic_uint_least64_t done;
    uint64_t total;
    pthread_mutex_t lock; /* guards the three below */
    size_t failed_at;     /* the lowest failing item, so that the message does not depend on threads */
    fvlm_status st;
    fvlm_err err;
} job;

static void report(job *j, size_t n_bytes, unsigned thread)
{
    uint64_t done = atomic_fetch_add(&j->done, n_bytes) + n_bytes;
    if (thread == 0 && j->progress) j->progress(j->progress_ctx, done, j->total);
}

static fvlm_status compare(const fvlm_reader *r, const stretch *s, const uint8_t found[16], fvlm_err *err)
{
    if (memcmp(found, s->hash->bytes, sizeof s->hash->bytes) == 0) return FVLM_OK;
    return fvlm_fail(err, FVLM_MISMATCH, "\"%s\": %s%s%s is damaged (its hash differs): bytes %" PRIu64 " to %" PRIu64,
                     r->path, s->tensor ? "tensor \"" : "a section", s->tensor ? s->tensor : "", s->tensor ? "\"" : "",
                     s->offset, s->offset + s->n_bytes);
}

/* piece has room for piece_for(s->n_bytes). */
static fvlm_status check_stretch(const fvlm_reader *r, const stretch *s, uint8_t *piece, job *j, unsigned thread,
                                 fvlm_err *err)
{
    XXH3_state_t *state = XXH3_createState();
    if (!state) return fvlm_fail(err, FVLM_NOMEM, "out of memory");
    XXH3_128bits_reset(state);
    fvlm_status st = FVLM_OK;
    for (uint64_t at = 0; at < s->n_bytes && !st;) {
        size_t n = piece_for(s->n_bytes - at);
        st = fvlm_file_read(r->fd, r->path, s->offset + at, piece, n, err);
        if (st) break;
        XXH3_128bits_update(state, piece, n);
        at += n;
        report(j, n, thread);
        if (fvlm_interrupted()) st = fvlm_fail(err, FVLM_INTERRUPTED, "interrupted");
    }
    XXH128_canonical_t found;
    XXH128_canonicalFromHash(&found, XXH3_128bits_digest(state));
    XXH3_freeState(state);
    return st ? st : compare(r, s, found.digest, err);
}

fvlm_status fvlm_reader_copy(const fvlm_reader *r, const fvlm_tensor *t, uint8_t **out, fvlm_err *err)
{
    size_t n;
    uint8_t *bytes = fvlm_checked_size(t->n_bytes, &n) ? fvlm_alloc(n, 1) : NULL;
    *out = NULL;
    if (!bytes) return fvlm_fail(err, FVLM_NOMEM, "out of memory for tensor \"%s\"", t->name);
    fvlm_status st = fvlm_reader_read(r, t, 0, n, bytes, err);
    if (!st) {
        const fvlm_hash found = fvlm_hash_of(bytes, n);
        st = compare(r, &(stretch){t->offset, t->n_bytes, &t->hash, t->name}, found.bytes, err);
    }
    if (st)
        free(bytes);
    else
        *out = bytes;
    return st;
}

/* ---- what no hash covers ---- */

/* Bytes from..to must be zero; gaps are always shorter than a section's alignment. */
static fvlm_status check_gap(const fvlm_reader *r, uint64_t from, uint64_t to, fvlm_err *err)
{
    uint8_t bytes[FVLM_SECTION_ALIGN];
    size_t n = (size_t)(to - from);
    fvlm_status st = fvlm_file_read(r->fd, r->path, from, bytes, n, err);
    for (size_t i = 0; i < n && !st; i++)
        if (bytes[i])
            st = fvlm_refuse(err, from + i, "\"%s\": byte %" PRIu64 " is padding, but not zero", r->path, from + i);
    return st;
}

static fvlm_status check_gaps(const fvlm_reader *r, fvlm_err *err)
{
    uint64_t end = FVLM_HEADER_BYTES;
    fvlm_status st = FVLM_OK;
    for (size_t i = 0; i < r->header.n_sections && !st; i++) {
        const fvlm_section *s = &r->header.section[i];
        st = check_gap(r, end, s->offset, err);
        end = s->offset + s->n_bytes;
    }
    end = r->header.section[FVLM_SECTION_DATA - 1].offset;
    for (size_t i = 0; i < r->index.n_tensors && !st; i++) {
        const fvlm_tensor *t = &r->index.tensor[r->index.by_offset[i]];
        st = check_gap(r, end, t->offset, err);
        end = t->offset + t->n_bytes;
    }
    return st;
}

/* The header may have changed since it was opened. */
static fvlm_status check_header(const fvlm_reader *r, fvlm_err *err)
{
    uint8_t bytes[FVLM_HEADER_BYTES];
    fvlm_header again;
    fvlm_status st = fvlm_file_read(r->fd, r->path, 0, bytes, sizeof bytes, err);
    if (st) return st;
    st = fvlm_header_decode(&again, bytes, r->header.file_bytes, err);
    if (st) {
        fvlm_err_prefix(err, "\"%s\"", r->path);
        return st;
    }
    if (memcmp(again.hash.bytes, r->header.hash.bytes, sizeof again.hash.bytes) != 0)
        return fvlm_fail(err, FVLM_CHANGED, "\"%s\" was written to while it was in use" FVLM_TRY_AGAIN, r->path);
    return FVLM_OK;
}

/* ---- all of it ---- */

static void check_item(void *ctx, size_t i, unsigned thread)
{
    job *j = ctx;
    pthread_mutex_lock(&j->lock);
    bool skip = j->failed_at < i;
    pthread_mutex_unlock(&j->lock);
    if (skip) return;
    fvlm_err err;
    fvlm_status st = check_stretch(j->r, &j->item[i], j->piece + thread * j->piece_bytes, j, thread, &err);
    if (!st) return;
    pthread_mutex_lock(&j->lock);
    if (i < j->failed_at) {
        j->failed_at = i;
        j->st = st;
        j->err = err;
    }
    pthread_mutex_unlock(&j->lock);
}

static int larger_first(const void *a, const void *b)
{
    const stretch *x = a, *y = b;
    if (x->n_bytes != y->n_bytes) return x->n_bytes > y->n_bytes ? -1 : 1;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static void list_items(job *j)
{
    const fvlm_reader *r = j->r;
    for (size_t i = 0; i < r->index.n_tensors; i++) {
        const fvlm_tensor *t = &r->index.tensor[i];
        j->item[j->n_items++] = (stretch){t->offset, t->n_bytes, &t->hash, t->name};
    }
    for (size_t i = 0; i < r->header.n_sections; i++) {
        const fvlm_section *s = &r->header.section[i];
        if (s->kind != FVLM_SECTION_DATA) j->item[j->n_items++] = (stretch){s->offset, s->n_bytes, &s->hash, NULL};
    }
    for (size_t i = 0; i < j->n_items; i++) j->total += j->item[i].n_bytes;
    qsort(j->item, j->n_items, sizeof *j->item, larger_first);
}

static fvlm_status check_hashes(job *j, fvlm_pool *pool, fvlm_err *err)
{
    j->item = fvlm_alloc(j->r->index.n_tensors + j->r->header.n_sections, sizeof *j->item);
    if (!j->item) return fvlm_fail(err, FVLM_NOMEM, "out of memory");
    list_items(j);
    j->piece_bytes = piece_for(j->item[0].n_bytes);
    j->piece = malloc(fvlm_pool_threads(pool) * j->piece_bytes);
    if (!j->piece) return fvlm_fail(err, FVLM_NOMEM, "out of memory");
    pthread_mutex_init(&j->lock, NULL);
    fvlm_pool_run(pool, j->n_items, check_item, j);
    pthread_mutex_destroy(&j->lock);
    if (j->st && err) *err = j->err;
    return j->st;
}

/* The tokenizer's stored bytes are hashed with the rest; that they decompress is another matter. */
static fvlm_status check_tokenizer_text(const fvlm_reader *r, fvlm_err *err)
{
    char *text;
    fvlm_status st =
        fvlm_section_unpack(&text, &r->header.section[FVLM_SECTION_TOKENIZER - 1], r->fd, r->path, "tokenizer", err);
    free(text);
    return st;
}

fvlm_status fvlm_reader_check(const fvlm_reader *r, fvlm_pool *pool, fvlm_progress_fn progress, void *ctx,
                              fvlm_err *err)
{
    job j = {.r = r, .progress = progress, .progress_ctx = ctx, .failed_at = SIZE_MAX};
    fvlm_status st = check_header(r, err);
    if (!st) st = check_gaps(r, err);
    if (!st) st = check_tokenizer_text(r, err);
    if (!st) st = check_hashes(&j, pool, err);
    free(j.item);
    free(j.piece);
    return st;
}
