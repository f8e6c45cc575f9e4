/* SPDX-License-Identifier: Apache-2.0 */
/* stream.h - private to quant/: one tensor on its way into the new file, cut into chunks.
 *
 * Chunks may be encoded in any order, by any thread. They are appended in order: that hashes their source bytes, adds
 * up their errors, and after the last chunk compares the hash with the source's index and appends the scales. So
 * neither the bytes nor the sums depend on threads. The caller keeps the order, and the locks (write.c). */
#ifndef FVLM_QUANT_STREAM_H
#define FVLM_QUANT_STREAM_H

#include "format/base/hash.h"
#include "format/writer.h"
#include "quant/chunk.h"

typedef struct {
    fvlm_quant_item *item;
    size_t id;                     /* the writer's */
    bool integer;                  /* encoded in panels; floats keep the source's layout */
    fvlm_matrix m;                 /* integer: layout of the result */
    size_t unit_elems;             /* source elements of a unit, as stored: a panel, one float, or a byte of what
                                      is integer already */
    uint64_t n_units, chunk_units; /* a chunk has chunk_units units, the last one fewer */
    size_t first_chunk, n_chunks;  /* first_chunk: its number among the chunks of all tensors */
    size_t n_appended;             /* chunks; the caller counts them */
    fvlm_hasher *hasher;           /* of the source bytes appended; NULL before opening */
    uint16_t *scales, *offsets;    /* integer: filled in by the chunks */
} fvlm_stream;

/* Cuts the item's tensor into chunks and declares it to w. */
fvlm_status fvlm_stream_plan(fvlm_stream *s, fvlm_quant_item *item, fvlm_writer *w, fvlm_err *err);

/* Allocates what the chunks share, unless that was done. On failure, call fvlm_stream_close all the same. */
fvlm_status fvlm_stream_open(fvlm_stream *s, fvlm_err *err);
void fvlm_stream_close(fvlm_stream *s);

/* Chunk number i of an open stream. */
fvlm_chunk fvlm_stream_chunk(const fvlm_stream *s, size_t i);

/* Appends the next chunk, which was encoded into c; the last one closes the stream. */
fvlm_status fvlm_stream_append(fvlm_stream *s, const fvlm_chunk_scratch *c, const fvlm_reader *source, fvlm_writer *w,
                               fvlm_err *err);

#endif
