/* SPDX-License-Identifier: Apache-2.0 */
/* reader.h - read a .fvlm file. SPEC.md defines every byte.
 *
 *   fvlm_reader *r;  fvlm_err err;
 *   if (fvlm_reader_open(&r, "model.fvlm", &err)) return complain(&err);
 *   const fvlm_tensor *t = fvlm_reader_find(r, "llm.norm.weight");
 *   const uint8_t *bytes = fvlm_reader_bytes(r, t);
 *   ...
 *   fvlm_reader_close(&r);
 */
#ifndef FVLM_FORMAT_READER_H
#define FVLM_FORMAT_READER_H

#include "format/base/pool.h"
#include "format/base/stop.h"
#include "format/config.h"
#include "format/tensor.h"

struct json_t; /* of <jansson.h> */

typedef struct fvlm_reader fvlm_reader;

/* Maps the file and checks header, section hashes and every byte of the index;
 * tensors are not touched. Bytes of the mapping are there as long as the file is: see format/base/mapped.h
 * for what happens when another program cuts it short. On failure *out is NULL and nothing is left open.
 * A reader may be shared between threads. */
fvlm_status fvlm_reader_open(fvlm_reader **out, const char *path, fvlm_err *err);
void fvlm_reader_close(fvlm_reader **r); /* NULL is fine; sets NULL */

const char *fvlm_reader_path(const fvlm_reader *r);
uint64_t fvlm_reader_file_bytes(const fvlm_reader *r);
size_t fvlm_reader_n_tensors(const fvlm_reader *r);
const fvlm_tensor *fvlm_reader_tensor(const fvlm_reader *r, size_t i);        /* sorted by name */
const fvlm_tensor *fvlm_reader_find(const fvlm_reader *r, const char *name);  /* NULL if absent */
const uint8_t *fvlm_reader_bytes(const fvlm_reader *r, const fvlm_tensor *t); /* 64-byte aligned, in the mapping */
const fvlm_config *fvlm_reader_config(const fvlm_reader *r);
const struct json_t *fvlm_reader_meta(const fvlm_reader *r); /* borrowed: "config" "provenance" ... */
const fvlm_hash *fvlm_reader_identity(
    const fvlm_reader *r); /* the header's hash: it covers, through the section and tensor hashes, every byte */

/* Decompressed tokenizer section; valid until close. */
fvlm_status fvlm_reader_tokenizer(fvlm_reader *r, const char **json, size_t *n_bytes, fvlm_err *err);

/* n_bytes of tensor t from its byte 'at' on, with pread into memory of the caller's: a mapping can
 * change under us. Thread-safe. */
fvlm_status fvlm_reader_read(const fvlm_reader *r, const fvlm_tensor *t, uint64_t at, size_t n_bytes, void *out,
                             fvlm_err *err);

/* A private copy of a whole tensor that has been held against its hash; 64-byte aligned, free with free(). */
fvlm_status fvlm_reader_copy(const fvlm_reader *r, const fvlm_tensor *t, uint8_t **out, fvlm_err *err);

/* To be asked before an output is published or a verdict printed: st, unless the file is no longer the
 * one that was opened; then FVLM_CHANGED, and a message that says so instead of what was wrong with it.
 * See fvlm_stamp_check_unchanged. A file replaced by a new one of its name is no change: the reader keeps the old one.
 */
fvlm_status fvlm_reader_check_unchanged(const fvlm_reader *r, fvlm_status st, fvlm_err *err);

typedef void (*fvlm_progress_fn)(void *ctx, uint64_t done, uint64_t total);

typedef struct {
    fvlm_pool *pool;           /* NULL: the caller alone */
    fvlm_progress_fn progress; /* may be NULL; called from the calling thread, in bytes */
    void *progress_ctx;
    const fvlm_stop *stop; /* may be NULL */
} fvlm_check_options;

/* Checks everything: all hashes, and that every byte which no hash covers is zero. Each thread reads with pread, 1 MiB
 * at a time. options may be NULL. FVLM_MISMATCH names the damaged tensor and its bytes; of several the largest. */
fvlm_status fvlm_reader_check(const fvlm_reader *r, const fvlm_check_options *options, fvlm_err *err);

#endif
