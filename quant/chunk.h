/* SPDX-License-Identifier: Apache-2.0 */
/* chunk.h - private to quant/: about a megabyte of one tensor, from bytes of the source to bytes of the new file.
 * Knows nothing of threads, order or the writer (stream.h, write.c). */
#ifndef FVLM_QUANT_CHUNK_H
#define FVLM_QUANT_CHUNK_H

#include "quant/plan.h"
#include "quant/search/search.h"

typedef struct {
    const fvlm_quant_item *item;
    const fvlm_matrix *m;       /* layout of the result; NULL for float types, which keep the source's */
    uint64_t first;             /* first source element, in storage order */
    size_t n;                   /* source elements; whole panels if m is there */
    uint16_t *scales, *offsets; /* of the whole tensor; a chunk fills in those of its own panels */
} fvlm_chunk;

/* A thread's memory, and the result of its last chunk. */
typedef struct {
    uint8_t *in;  /* source bytes as read: what the hash is taken of */
    uint8_t *out; /* codes or floats, as stored */
    size_t n_in, n_out;
    double sums[2]; /* squared error, squared norm */
    float *x;
    fvlm_encode_group_fn encode;
    float *group; /* [max_group][16]: scratch for encode */
    uint8_t *q;   /* [max_group][16]: codes of a group */
} fvlm_chunk_scratch;

/* For chunks of at most max_elems elements and max_out bytes. On failure, call fvlm_chunk_scratch_free all the same. */
fvlm_status fvlm_chunk_scratch_create(fvlm_chunk_scratch *s, fvlm_cpu cpu, size_t max_elems, size_t max_out,
                                      size_t max_group, fvlm_err *err);
void fvlm_chunk_scratch_free(fvlm_chunk_scratch *s);

/* Reads with pread and encodes into s. Refuses values that are not finite or too large for the type, naming tensor
 * and index. */
fvlm_status fvlm_chunk_encode(const fvlm_chunk *c, const fvlm_reader *source, fvlm_chunk_scratch *s, fvlm_err *err);

#endif
