/* SPDX-License-Identifier: Apache-2.0 */
/* reader.h - read a .fvlm file. SPEC.md defines every byte.
 *
 *   fvlm_reader *r;  fvlm_err err;
 *   if (fvlm_reader_open(&r, "model.fvlm", &err)) return complain(&err);
 *   const fvlm_tensor *t = fvlm_reader_find(r, "llm.norm.weight");
 *   const uint8_t *bytes = fvlm_reader_bytes(r, t);
 *   ...
 *   fvlm_reader_close(&r);
 *
 * Everything that a function without its own statement returns is borrowed and valid until fvlm_reader_close. One
 * reader may be used by many threads. */
#ifndef FVLM_FORMAT_READER_H
#define FVLM_FORMAT_READER_H

#include "format/base/pool.h"
#include "format/base/stop.h"
#include "format/config.h"
#include "format/tensor.h"

struct json_t; /* of <jansson.h> */

typedef struct fvlm_reader fvlm_reader;

/* Maps the file and checks header, section hashes, every byte of the index, and the config. Tensors are not read; see
 * fvlm_reader_copy and fvlm_reader_check for their hashes. On failure *out is NULL and nothing is left open.
 * The mapping is valid as long as the file keeps its size; format/base/mapped.h says what happens if another program
 * truncates it. */
fvlm_status fvlm_reader_open(fvlm_reader **out, const char *path, fvlm_err *err);
void fvlm_reader_close(fvlm_reader **r); /* NULL is fine; sets NULL */

const char *fvlm_reader_path(const fvlm_reader *r);
uint64_t fvlm_reader_file_bytes(const fvlm_reader *r);
const fvlm_config *fvlm_reader_config(const fvlm_reader *r);
const struct json_t *fvlm_reader_meta(const fvlm_reader *r); /* the metadata section: "config" "provenance" ... */
const fvlm_hash *fvlm_reader_identity(const fvlm_reader *r); /* the header's hash, which covers every byte */
size_t fvlm_reader_n_tensors(const fvlm_reader *r);
const fvlm_tensor *fvlm_reader_tensor(const fvlm_reader *r, size_t i);         /* sorted by name, as by strcmp */
const fvlm_tensor *fvlm_reader_tensor_in_file(const fvlm_reader *r, size_t i); /* in the order of the file */
const fvlm_tensor *fvlm_reader_find(const fvlm_reader *r, const char *name);   /* NULL if absent */
const uint8_t *fvlm_reader_bytes(const fvlm_reader *r, const fvlm_tensor *t);  /* in the mapping; 64-byte aligned */

/* The tokenizer section, decompressed by the first call; n_bytes does not count a NUL at its end. */
fvlm_status fvlm_reader_tokenizer(fvlm_reader *r, const char **json, size_t *n_bytes, fvlm_err *err);

/* Copies n_bytes of tensor t, from byte at, into the caller's memory. Uses pread, since mapped bytes can change. */
fvlm_status fvlm_reader_read(const fvlm_reader *r, const fvlm_tensor *t, uint64_t at, size_t n_bytes, void *out,
                             fvlm_err *err);

/* Compares the hash found for a tensor's bytes with the index; FVLM_MISMATCH names file, tensor and bytes. */
fvlm_status fvlm_reader_compare_hash(const fvlm_reader *r, const fvlm_tensor *t, fvlm_hash found, fvlm_err *err);

/* A copy of the whole tensor whose hash has been checked, 64-byte aligned; the caller frees *out with free(). stop may
 * be NULL. On failure *out is NULL. */
fvlm_status fvlm_reader_copy(const fvlm_reader *r, const fvlm_tensor *t, uint8_t **out, const fvlm_stop *stop,
                             fvlm_err *err);

/* Call before publishing output or a verdict. Returns st, or FVLM_CHANGED if the file was modified since it was
 * opened: see fvlm_stamp_check_unchanged. A file that was replaced by another of its name is not modified. */
fvlm_status fvlm_reader_check_unchanged(const fvlm_reader *r, fvlm_status st, fvlm_err *err);

typedef void (*fvlm_progress_fn)(void *ctx, uint64_t done, uint64_t total);

typedef struct {
    fvlm_pool *pool;           /* NULL: the caller alone */
    fvlm_progress_fn progress; /* may be NULL; called from the calling thread, in bytes */
    void *progress_ctx;
    const fvlm_stop *stop; /* may be NULL */
} fvlm_check_options;

/* Checks everything: all hashes, and that every byte that no hash covers is zero. Each thread reads with pread, 1 MiB
 * at a time. options may be NULL. FVLM_MISMATCH names the damaged tensor and its bytes; of several the largest. */
fvlm_status fvlm_reader_check(const fvlm_reader *r, const fvlm_check_options *options, fvlm_err *err);

#endif
