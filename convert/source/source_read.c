/* SPDX-License-Identifier: Apache-2.0 */
/* source_read.c - reads a tensor's elements. Kernels that are stored with channels last, [out, height, width, in], are
 * read as [out, in, height, width]: an output's elements stay together, so a row at a time is read and put in order. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "convert/source/source_internal.h"

/* As it is stored: the range was checked, and the tensor is of this source. */
static fvlm_status read_stored(const fvlm_source *src, const fvlm_source_tensor *t, uint64_t at, size_t n_bytes,
                               void *out, fvlm_err *err)
{
    if (t->file == FVLM_SOURCE_NO_FILE)
        return src->reader->read(src->reader_ctx, (size_t)t->offset, at, n_bytes, out, err);
    return fvlm_source_read_file(src, t->file, t->offset + at, n_bytes, out, err);
}

/* Part of row 'o' of the tensor, n_bytes from its byte 'at' on. */
static fvlm_status read_row(const fvlm_source *src, const fvlm_source_tensor *t, uint64_t o, size_t at, size_t n_bytes,
                            uint8_t *stored, uint8_t *out, fvlm_err *err)
{
    const size_t size = fvlm_source_type_bytes(t->type), in = (size_t)t->dims[1];
    const size_t taps = (size_t)(t->dims[2] * t->dims[3]), row = in * taps * size;
    const fvlm_status st = read_stored(src, t, o * row, row, stored, err);
    if (st) return st;
    for (size_t done = 0; done < n_bytes;) {
        const size_t e = (at + done) / size, from = (at + done) % size;
        const size_t n = size - from < n_bytes - done ? size - from : n_bytes - done;
        memcpy(out + done, stored + (e % taps * in + e / taps) * size + from, n);
        done += n;
    }
    return FVLM_OK;
}

static fvlm_status read_permuted(const fvlm_source *src, const fvlm_source_tensor *t, uint64_t at, size_t n_bytes,
                                 void *out, fvlm_err *err)
{
    const uint64_t row = t->n_bytes / t->dims[0]; /* dims are not 0: the tensor has bytes */
    uint8_t *to = out, *stored = malloc((size_t)row);
    fvlm_status st = stored ? FVLM_OK : fvlm_fail_nomem(err);
    while (n_bytes && !st) {
        const uint64_t o = at / row, from = at % row;
        const size_t n = row - from < n_bytes ? (size_t)(row - from) : n_bytes;
        st = read_row(src, t, o, (size_t)from, n, stored, to, err);
        to += n;
        at += n;
        n_bytes -= n;
    }
    free(stored);
    return st;
}

fvlm_status fvlm_source_read(const fvlm_source *src, const fvlm_source_tensor *t, uint64_t at, size_t n_bytes,
                             void *out, fvlm_err *err)
{
    if (at > t->n_bytes || n_bytes > t->n_bytes - at)
        return fvlm_fail(err, FVLM_BAD_INPUT, "tensor \"%.200s\" has no %zu bytes at offset %" PRIu64, t->name, n_bytes,
                         at);
    if (t->of) src = t->of;
    return (t->channels_last ? read_permuted : read_stored)(src, t, at, n_bytes, out, err);
}
