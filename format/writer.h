/* SPDX-License-Identifier: Apache-2.0 */
/* writer.h - write a .fvlm file. SPEC.md defines every byte.
 *
 *   fvlm_writer *w;  size_t id;  uint64_t n_bytes;
 *   st = fvlm_writer_create(&w, "model.fvlm", false, &err);
 *   st = fvlm_writer_declare(w, name, type, layout, rank, dims, &id, &err);    for every tensor
 *   st = fvlm_writer_begin(w, &n_bytes, &err);                                 offsets and space on disk
 *   st = fvlm_writer_append(w, id, bytes, n, &err);                            from any thread
 *   st = fvlm_writer_publish(&w, meta, tokenizer, tokenizer_bytes, &err);      the file appears
 *
 * After a failure only fvlm_writer_discard may be called. */
#ifndef FVLM_FORMAT_WRITER_H
#define FVLM_FORMAT_WRITER_H

#include "format/base/pool.h"
#include "format/base/stop.h"
#include "format/tensor.h"

struct json_t; /* of <jansson.h> */

typedef struct fvlm_writer fvlm_writer;

/* Creates an unnamed file beside path (format/base/output.h). Refuses a target that is not a regular file, and without
 * force one that exists. On failure *out is NULL. */
fvlm_status fvlm_writer_create(fvlm_writer **out, const char *path, bool force, fvlm_err *err);

/* For the check that fvlm_writer_publish makes, borrowed until then: threads to share it out (NULL: the caller alone),
 * and the flag that stops it (NULL: none). */
void fvlm_writer_use_pool(fvlm_writer *w, fvlm_pool *pool, const fvlm_stop *stop);

/* Declares a tensor; name and dims are copied. *id counts from 0; tensors are stored in the order of their ids. */
fvlm_status fvlm_writer_declare(fvlm_writer *w, const char *name, fvlm_type type, fvlm_layout layout, unsigned rank,
                                const uint64_t *dims, size_t *id, fvlm_err *err);

/* After the last declare: fixes every offset and reserves the space, so that a full disk is found before the work.
 * *n_bytes is the size of the file without metadata and tokenizer. */
fvlm_status fvlm_writer_begin(fvlm_writer *w, uint64_t *n_bytes, fvlm_err *err);

/* Appends the next n_bytes of tensor id. Different tensors may be written by different threads at once; one tensor by
 * one thread at a time, in order. */
fvlm_status fvlm_writer_append(fvlm_writer *w, size_t id, const void *bytes, size_t n_bytes, fvlm_err *err);

/* Writes index, metadata, tokenizer and, last, the header; syncs; reads the whole file back and checks it; gives it
 * its name. meta is borrowed and must hold a valid "config"; without an "llm" in that, tokenizer_json is "". On failure
 * path is as it was. Frees and clears *w either way. */
fvlm_status fvlm_writer_publish(fvlm_writer **w, const struct json_t *meta, const char *tokenizer_json,
                                size_t tokenizer_bytes, fvlm_err *err);
void fvlm_writer_discard(fvlm_writer **w); /* nothing is left of the file; NULL is fine; sets NULL */

const fvlm_tensor *fvlm_writer_tensor(const fvlm_writer *w, size_t id); /* valid until the next declare */

#endif
