/* SPDX-License-Identifier: Apache-2.0 */
/* dump.c - `fvlm info --dump`: writes one tensor as a .npy file of f32 in logical order, whatever its type and layout.
 * The values are those the executor multiplies with, bit for bit. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/file.h"
#include "format/base/npy.h"
#include "format/base/output.h"
#include "format/decode.h"
#include "verify/info/info.h"

#define WRITE_BYTES ((size_t)1 << 20) /* rows are gathered into writes of about this size */

typedef struct {
    const fvlm_tensor *t;
    uint8_t *bytes;     /* a private copy: what is dumped is what the hash was checked on */
    fvlm_weight weight; /* FVLM_PANELS only */
    size_t n, k;        /* rows, values to a row */
    size_t kernel;      /* kh * kw of a convolution, else 1 */
    float *row;
} source;

static float float_at(const source *s, size_t i)
{
    float value;
    fvlm_decode_floats(s->t->type, s->bytes + i * fvlm_type_float_bytes(s->t->type), 1, &value);
    return value;
}

/* Row n in logical order into little-endian bytes. */
static void logical_row(const source *s, size_t n, uint8_t *out)
{
    if (s->t->layout == FVLM_PANELS) fvlm_weight_row(&s->weight, n, s->row);
    const size_t inputs = s->k / s->kernel;
    for (size_t k = 0; k < s->k; k++) {
        float value;
        if (s->t->layout == FVLM_PANELS)
            value = s->row[k % s->kernel * inputs + k / s->kernel]; /* was channel fastest */
        else if (s->t->layout == FVLM_TAPS)
            value = float_at(s, k * s->n + n);
        else
            value = float_at(s, n * s->k + k);
        fvlm_store_u32(out + 4 * k, fvlm_f32_bits(value));
    }
}

static fvlm_status write_rows(const source *s, fvlm_output *o, uint64_t at, const fvlm_stop *stop, fvlm_err *err)
{
    size_t row_bytes = 4 * s->k, rows = row_bytes >= WRITE_BYTES ? 1 : WRITE_BYTES / row_bytes;
    uint8_t *rows_out = fvlm_alloc(rows, row_bytes);
    if (!rows_out) return fvlm_fail_nomem(err);
    fvlm_status st = FVLM_OK;
    for (size_t n = 0; n < s->n && !st;) {
        size_t count = rows < s->n - n ? rows : s->n - n;
        for (size_t i = 0; i < count; i++) logical_row(s, n + i, rows_out + i * row_bytes);
        st = fvlm_output_write(o, at, rows_out, count * row_bytes, err);
        at += count * row_bytes;
        n += count;
        if (!st) st = fvlm_stop_check(stop, err);
    }
    free(rows_out);
    return st;
}

static fvlm_status open_source(source *s, const fvlm_reader *r, const char *name, const fvlm_stop *stop, fvlm_err *err)
{
    memset(s, 0, sizeof *s);
    s->t = fvlm_reader_find(r, name);
    if (!s->t)
        return fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\" has no tensor \"%.255s\"; 'fvlm info --tensors' lists them",
                         fvlm_reader_path(r), name);
    fvlm_status st = fvlm_reader_copy(r, s->t, &s->bytes, stop, err);
    if (st) return fvlm_reader_check_unchanged(r, st, err);
    s->n = (size_t)s->t->dims[0];
    s->k = (size_t)(fvlm_tensor_n_elems(s->t) / s->t->dims[0]);
    s->kernel = s->t->rank > 2 ? s->k / (size_t)s->t->dims[1] : 1;
    if (s->k > SIZE_MAX / 8) return fvlm_fail(err, FVLM_LIMIT, "tensor \"%s\" is too large to dump", name);
    s->row = fvlm_alloc(s->k, sizeof *s->row);
    if (!s->row) return fvlm_fail_nomem(err);
    return s->t->layout == FVLM_PANELS ? fvlm_weight_bind(&s->weight, s->t, s->bytes, err) : FVLM_OK;
}

fvlm_status fvlm_info_dump(const fvlm_reader *r, const char *name, const char *path, bool force, const fvlm_stop *stop,
                           fvlm_err *err)
{
    source s;
    fvlm_output *o = NULL;
    uint8_t header[FVLM_NPY_MAX_HEADER];
    fvlm_status st = open_source(&s, r, name, stop, err);
    if (!st && fvlm_file_same(fvlm_reader_path(r), path))
        st = fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\" is the input itself; write to another name", path);
    if (!st) st = fvlm_output_create(&o, path, force, err);
    if (!st) {
        size_t header_bytes = fvlm_npy_header(s.t->rank, s.t->dims, header);
        uint64_t total;
        if (!fvlm_checked_mul(fvlm_tensor_n_elems(s.t), 4, &total) || !fvlm_checked_add(total, header_bytes, &total))
            st = fvlm_fail(err, FVLM_LIMIT, "tensor \"%s\" is too large to dump", name);
        if (!st) st = fvlm_output_reserve(o, total, err);
        if (!st) st = fvlm_output_write(o, 0, header, header_bytes, err);
        if (!st) st = write_rows(&s, o, header_bytes, stop, err);
        if (!st) st = fvlm_output_publish(&o, err);
    }
    fvlm_output_discard(&o);
    free(s.row);
    free(s.bytes);
    return st;
}
