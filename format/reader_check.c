/* SPDX-License-Identifier: Apache-2.0 */
/* reader_check.c - checks every byte of an open file: tensors and sections against their hashes, everything between
 * them for zeros. Reads with pread: the mapping could have changed since it was opened. */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "format/reader_internal.h"
#include "format/section.h"

#define CHUNK_BYTES ((size_t)1 << 20)

/* A range of the file that has a hash. */
typedef struct {
    uint64_t offset, n_bytes;
    const fvlm_tensor *tensor; /* or: */
    const fvlm_section *section;
} range;

typedef struct {
    const fvlm_reader *r;
    const fvlm_check_options *options;
    range *ranges; /* largest first, so that threads end together */
    size_t n_ranges;
    size_t chunk_bytes;    /* of a read: CHUNK_BYTES, or the largest range if that is less */
    uint8_t *chunks;       /* one per thread */
    fvlm_hasher **hashers; /* one per thread */
    atomic_uint_least64_t done;
    uint64_t total;
} job;

static fvlm_status compare_section(const fvlm_reader *r, const fvlm_section *s, fvlm_hash found, fvlm_err *err)
{
    if (fvlm_hash_equal(&found, &s->hash)) return FVLM_OK;
    return fvlm_fail(err, FVLM_MISMATCH,
                     "\"%s\": a section is damaged (its hash differs): bytes %" PRIu64 " to %" PRIu64, r->path,
                     s->offset, s->offset + s->n_bytes);
}

fvlm_status fvlm_reader_compare_hash(const fvlm_reader *r, const fvlm_tensor *t, fvlm_hash found, fvlm_err *err)
{
    if (fvlm_hash_equal(&found, &t->hash)) return FVLM_OK;
    return fvlm_fail(err, FVLM_MISMATCH,
                     "\"%s\": tensor \"%s\" is damaged (its hash differs): bytes %" PRIu64 " to %" PRIu64, r->path,
                     t->name, t->offset, t->offset + t->n_bytes);
}

/* All of a tensor, by chunks, so that a stop is noticed early. */
static fvlm_status read_hashed(const fvlm_reader *r, const fvlm_tensor *t, uint8_t *bytes, fvlm_hash *hash,
                               const fvlm_stop *stop, fvlm_err *err)
{
    fvlm_hasher *h;
    fvlm_status st = fvlm_hasher_create(&h, err);
    for (uint64_t at = 0; at < t->n_bytes && !st;) {
        const size_t n = t->n_bytes - at < CHUNK_BYTES ? (size_t)(t->n_bytes - at) : CHUNK_BYTES;
        st = fvlm_reader_read(r, t, at, n, bytes + at, err);
        if (!st) fvlm_hasher_add(h, bytes + at, n);
        if (!st) st = fvlm_stop_check(stop, err);
        at += n;
    }
    if (!st) *hash = fvlm_hasher_get(h);
    fvlm_hasher_destroy(&h);
    return st;
}

fvlm_status fvlm_reader_copy(const fvlm_reader *r, const fvlm_tensor *t, uint8_t **out, const fvlm_stop *stop,
                             fvlm_err *err)
{
    size_t n;
    uint8_t *bytes = fvlm_checked_size(t->n_bytes, &n) ? fvlm_alloc(n, 1) : NULL;
    *out = NULL;
    if (!bytes) return fvlm_fail(err, FVLM_NOMEM, "out of memory for tensor \"%s\"", t->name);
    fvlm_hash hash;
    fvlm_status st = read_hashed(r, t, bytes, &hash, stop, err);
    if (!st) st = fvlm_reader_compare_hash(r, t, hash, err);
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
        const fvlm_tensor *t = r->index.by_offset[i];
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
    if (st) return fvlm_err_prefix(err, "\"%s\"", r->path);
    if (!fvlm_hash_equal(&again.hash, &r->header.hash))
        return fvlm_fail(err, FVLM_CHANGED, "\"%s\" was written to while it was in use" FVLM_TRY_AGAIN, r->path);
    return FVLM_OK;
}

/* ---- what hashes cover ---- */

/* A fvlm_fallible_task. */
static fvlm_status check_range(void *ctx, size_t i, unsigned thread, fvlm_err *err)
{
    job *j = ctx;
    const fvlm_check_options *o = j->options;
    const range *s = &j->ranges[i];
    uint8_t *chunk = j->chunks + thread * j->chunk_bytes;
    fvlm_status st = FVLM_OK;
    fvlm_hasher_reset(j->hashers[thread]);
    for (uint64_t at = 0; at < s->n_bytes && !st;) {
        const uint64_t left = s->n_bytes - at;
        const size_t n = left < j->chunk_bytes ? (size_t)left : j->chunk_bytes;
        st = fvlm_file_read(j->r->fd, j->r->path, s->offset + at, chunk, n, err);
        if (st) return st;
        fvlm_hasher_add(j->hashers[thread], chunk, n);
        at += n;
        const uint64_t done = atomic_fetch_add(&j->done, n) + n;
        if (thread == 0 && o->progress) o->progress(o->progress_ctx, done, j->total);
        st = fvlm_stop_check(o->stop, err);
    }
    if (st) return st;
    const fvlm_hash found = fvlm_hasher_get(j->hashers[thread]);
    return s->tensor ? fvlm_reader_compare_hash(j->r, s->tensor, found, err)
                     : compare_section(j->r, s->section, found, err);
}

static int larger_first(const void *a, const void *b)
{
    const range *x = a, *y = b;
    if (x->n_bytes != y->n_bytes) return x->n_bytes > y->n_bytes ? -1 : 1;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static void list_ranges(job *j)
{
    const fvlm_reader *r = j->r;
    for (size_t i = 0; i < r->index.n_tensors; i++) {
        const fvlm_tensor *t = &r->index.tensor[i];
        j->ranges[j->n_ranges++] = (range){t->offset, t->n_bytes, .tensor = t};
    }
    for (size_t i = 0; i < r->header.n_sections; i++) {
        const fvlm_section *s = &r->header.section[i];
        if (s->kind != FVLM_SECTION_DATA) j->ranges[j->n_ranges++] = (range){s->offset, s->n_bytes, .section = s};
    }
    for (size_t i = 0; i < j->n_ranges; i++) j->total += j->ranges[i].n_bytes;
    qsort(j->ranges, j->n_ranges, sizeof *j->ranges, larger_first);
}

static fvlm_status check_hashes(const fvlm_reader *r, const fvlm_check_options *o, fvlm_err *err)
{
    job j = {.r = r, .options = o, .chunk_bytes = CHUNK_BYTES};
    const unsigned n_threads = fvlm_pool_threads(o->pool);
    j.ranges = fvlm_alloc(r->index.n_tensors + r->header.n_sections, sizeof *j.ranges);
    j.hashers = fvlm_alloc(n_threads, sizeof *j.hashers);
    if (j.ranges) list_ranges(&j);
    if (j.ranges && j.ranges[0].n_bytes < CHUNK_BYTES) j.chunk_bytes = (size_t)j.ranges[0].n_bytes;
    j.chunks = malloc(n_threads * j.chunk_bytes);
    fvlm_status st = j.ranges && j.hashers && j.chunks ? FVLM_OK : fvlm_fail_nomem(err);
    for (unsigned t = 0; t < n_threads && !st; t++) st = fvlm_hasher_create(&j.hashers[t], err);
    if (!st) st = fvlm_pool_try(o->pool, j.n_ranges, check_range, &j, err);
    for (unsigned t = 0; t < n_threads && j.hashers; t++) fvlm_hasher_destroy(&j.hashers[t]);
    free(j.chunks);
    free(j.hashers);
    free(j.ranges);
    return st;
}

/* That it decompresses; its stored bytes are hashed with the rest. */
static fvlm_status check_tokenizer(const fvlm_reader *r, fvlm_err *err)
{
    char *text;
    const fvlm_status st = fvlm_reader_unpack_tokenizer(&text, r, err);
    if (!st) free(text);
    return st;
}

fvlm_status fvlm_reader_check(const fvlm_reader *r, const fvlm_check_options *options, fvlm_err *err)
{
    static const fvlm_check_options none;
    fvlm_status st = check_header(r, err);
    if (!st) st = check_gaps(r, err);
    if (!st) st = check_tokenizer(r, err);
    if (!st) st = check_hashes(r, options ? options : &none, err);
    return st;
}
