/* SPDX-License-Identifier: Apache-2.0 */
/* writer.h - write a .fvlm file. SPEC.md defines every byte.
 *
 *   fvlm_writer_create, fvlm_writer_declare every tensor, fvlm_writer_begin (offsets are fixed, space is reserved),
 *   fvlm_writer_append from any thread, fvlm_writer_publish.
 */
#ifndef FVLM_FORMAT_WRITER_H
#define FVLM_FORMAT_WRITER_H

#include "format/base/pool.h"
#include "format/base/stop.h"
#include "format/tensor.h"

struct json_t; /* of <jansson.h> */

typedef struct fvlm_writer fvlm_writer;

/* Prepares an output beside 'path' that has no name until it is finished. Refuses a
 * target that exists without force, and one that is not a regular file. */
fvlm_status fvlm_writer_create(fvlm_writer **out, const char *path, bool force, fvlm_err *err);

/* For the check that fvlm_writer_publish makes, borrowed until then: threads to share it out (NULL: the caller alone),
 * and the flag that stops it (NULL: none). */
void fvlm_writer_use_pool(fvlm_writer *w, fvlm_pool *pool, const fvlm_stop *stop);

/* Declares a tensor; tensors lie in the file in the order declared. *id counts from 0. */
fvlm_status fvlm_writer_declare(fvlm_writer *w, const char *name, fvlm_type type, fvlm_layout layout, unsigned rank,
                                const uint64_t *dims, size_t *id, fvlm_err *err);

/* After the last declare: fixes every offset and reserves the space on disk
 * (a full disk is found here, before the work). *n_bytes = file size without
 * metadata and tokenizer. */
fvlm_status fvlm_writer_begin(fvlm_writer *w, uint64_t *n_bytes, fvlm_err *err);

/* Appends the next n_bytes of tensor id. Different tensors may be written by
 * different threads at once; one tensor by one thread at a time, in order. */
fvlm_status fvlm_writer_append(fvlm_writer *w, size_t id, const void *bytes, size_t n_bytes, fvlm_err *err);

/* Writes index, metadata, tokenizer and, last, the header; syncs, reads the whole
 * file back and checks every hash; then puts it in place of 'path'. meta must hold "config";
 * it is borrowed. On failure nothing has happened to 'path'. Frees and clears *w either way. */
fvlm_status fvlm_writer_publish(fvlm_writer **w, const struct json_t *meta, const char *tokenizer_json,
                               size_t tokenizer_bytes, fvlm_err *err);
void fvlm_writer_discard(fvlm_writer **w); /* NULL is fine */
const fvlm_tensor *fvlm_writer_tensor(const fvlm_writer *w, size_t id);

#endif
