/* SPDX-License-Identifier: Apache-2.0 */
/* chunk.h - about a megabyte of one tensor, from the source file to the bytes of the new one. Knows nothing of
 * threads, order or the writer (write.c does). */
#ifndef FVLM_QUANT_CHUNK_H
#define FVLM_QUANT_CHUNK_H

#include "quant/encode.h"
#include "quant/plan.h"

typedef struct {
    const fvlm_quant_item *item;
    const fvlm_matrix *m;       /* of the result; NULL for float types, which keep their layout */
    uint64_t first;             /* first source element, counted as stored */
    size_t n;                   /* source elements; whole panels when m is there */
    uint16_t *scales, *offsets; /* of the whole tensor; the piece fills its own panels' */
} fvlm_chunk;

/* What a thread works in, and what came out of the last piece. */
typedef struct {
    uint8_t *in;  /* source bytes as read: what is to be hashed */
    uint8_t *out; /* codes or floats as stored: what is to be appended */
    size_t n_in, n_out;
    double sums[2]; /* squared error, squared norm */
    float *x;
    fvlm_encode_scratch encode;
} fvlm_chunk_scratch;

fvlm_status fvlm_chunk_scratch_create(fvlm_chunk_scratch *s, size_t most_elems, size_t most_out, size_t longest_group,
                                      fvlm_err *err);
void fvlm_chunk_scratch_free(fvlm_chunk_scratch *s);

/* Reads with pread and encodes into s. Refuses values that are not finite, or too large for the type, naming
 * tensor and index. */
fvlm_status fvlm_chunk_encode(const fvlm_chunk *p, fvlm_encode_group_fn encode, const fvlm_reader *source,
                              fvlm_chunk_scratch *s, fvlm_err *err);

#endif
