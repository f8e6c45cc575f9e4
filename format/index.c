/* SPDX-License-Identifier: Apache-2.0 */
/* index.c - see index.h. Decoding trusts nothing. */
#include "format/index.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/utf8.h"

bool fvlm_index_name_valid(const char *name, size_t n_bytes)
{
    if (n_bytes < 1 || n_bytes > FVLM_MAX_NAME) return false;
    for (size_t i = 0; i < n_bytes;) {
        int32_t c;
        i += fvlm_utf8_next((const uint8_t *)name + i, n_bytes - i, &c);
        if (c < 0x20 || (c >= 0x7f && c < 0xa0)) return false; /* ill-formed (-1), or a control character */
    }
    return true;
}

size_t fvlm_index_bytes(const fvlm_tensor *const *sorted, size_t n)
{
    size_t bytes = FVLM_INDEX_HEAD_BYTES + n * FVLM_INDEX_ENTRY_BYTES;
    for (size_t i = 0; i < n; i++) bytes += strlen(sorted[i]->name) + 1;
    return bytes;
}

void fvlm_index_encode(const fvlm_tensor *const *sorted, size_t n, uint8_t *out)
{
    uint8_t *names = out + FVLM_INDEX_HEAD_BYTES + n * FVLM_INDEX_ENTRY_BYTES;
    size_t names_bytes = 0;
    for (size_t i = 0; i < n; i++) {
        const fvlm_tensor *t = sorted[i];
        uint8_t *p = out + FVLM_INDEX_HEAD_BYTES + i * FVLM_INDEX_ENTRY_BYTES;
        size_t name_bytes = strlen(t->name);
        memset(p, 0, FVLM_INDEX_ENTRY_BYTES);
        fvlm_store_u32(p, (uint32_t)names_bytes);
        fvlm_store_u16(p + 4, (uint16_t)name_bytes);
        fvlm_store_u16(p + 6, t->type.group);
        p[8] = t->type.kind;
        p[9] = t->type.bits;
        p[10] = t->type.asymmetric;
        p[11] = t->layout;
        p[12] = t->rank;
        for (unsigned d = 0; d < t->rank; d++) fvlm_store_u64(p + 16 + 8 * d, t->dims[d]);
        fvlm_store_u64(p + 48, t->offset);
        fvlm_store_u64(p + 56, t->n_bytes);
        memcpy(p + 64, t->hash.bytes, 16);
        memcpy(names + names_bytes, t->name, name_bytes + 1);
        names_bytes += name_bytes + 1;
    }
    fvlm_store_u64(out, n);
    fvlm_store_u64(out + 8, names_bytes);
}

/* ---- decoding ---- */

/* Names follow one another, each with its NUL, in the order of the entries. */
static fvlm_status decode_name(fvlm_index *x, size_t i, uint64_t name_at, size_t name_bytes, uint64_t *names_end,
                               uint64_t names_bytes, fvlm_err *err)
{
    uint64_t left, end;
    if (name_at != *names_end || !fvlm_checked_sub(names_bytes, name_at, &left) || name_bytes >= left ||
        !fvlm_checked_add(name_at, name_bytes + 1, &end))
        return fvlm_refuse(err, name_at, "tensor %zu: its name lies outside the names", i);
    const char *name = x->names + name_at;
    if (name[name_bytes] != 0 || !fvlm_index_name_valid(name, name_bytes))
        return fvlm_refuse(err, name_at, "tensor %zu: its name is not 1 to %d bytes of printable UTF-8", i,
                           FVLM_MAX_NAME);
    if (i > 0 && strcmp(x->tensor[i - 1].name, name) >= 0)
        return fvlm_refuse(err, name_at, "tensor \"%s\" is a duplicate or out of order", name);
    x->tensor[i].name = name;
    *names_end = end;
    return FVLM_OK;
}

static fvlm_status check_tensor(const fvlm_tensor *t, fvlm_err *err)
{
    uint64_t expected;
    if (t->layout < FVLM_ROWS || t->layout > FVLM_TAPS)
        return fvlm_fail(err, FVLM_UNSUPPORTED, "tensor \"%s\": unknown layout %u", t->name, t->layout);
    fvlm_status st = fvlm_type_tensor_bytes(&expected, t->type, (fvlm_layout)t->layout, t->rank, t->dims, err);
    if (st) return fvlm_err_prefix(err, "tensor \"%s\"", t->name);
    if (expected != t->n_bytes)
        return fvlm_refuse(err, t->offset, "tensor \"%s\" has %" PRIu64 " bytes, its shape and type need %" PRIu64,
                           t->name, t->n_bytes, expected);
    for (unsigned d = t->rank; d < FVLM_MAX_RANK; d++)
        if (t->dims[d]) return fvlm_refuse(err, t->offset, "tensor \"%s\": a dimension beyond its rank", t->name);
    return FVLM_OK;
}

static fvlm_status decode_entry(fvlm_index *x, size_t i, const uint8_t *p, uint64_t *names_end, uint64_t names_bytes,
                                fvlm_err *err)
{
    fvlm_tensor *t = &x->tensor[i];
    fvlm_status st = decode_name(x, i, fvlm_load_u32(p), fvlm_load_u16(p + 4), names_end, names_bytes, err);
    if (st) return st;
    t->type = (fvlm_type){.kind = p[8], .bits = p[9], .asymmetric = p[10], .group = fvlm_load_u16(p + 6)};
    t->layout = p[11];
    t->rank = p[12];
    for (unsigned d = 0; d < FVLM_MAX_RANK; d++) t->dims[d] = fvlm_load_u64(p + 16 + 8 * d);
    t->offset = fvlm_load_u64(p + 48);
    t->n_bytes = fvlm_load_u64(p + 56);
    memcpy(t->hash.bytes, p + 64, 16);
    if (p[13] || p[14] || p[15]) return fvlm_refuse(err, t->offset, "tensor \"%s\": reserved bytes are set", t->name);
    return check_tensor(t, err);
}

static int by_offset(const void *a, const void *b)
{
    const fvlm_tensor *x = *(const fvlm_tensor *const *)a, *y = *(const fvlm_tensor *const *)b;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* No gaps but padding, no overlap, nothing left over. */
static fvlm_status check_offsets(fvlm_index *x, const fvlm_section *data, fvlm_err *err)
{
    for (size_t i = 0; i < x->n_tensors; i++) x->by_offset[i] = &x->tensor[i];
    qsort(x->by_offset, x->n_tensors, sizeof *x->by_offset, by_offset);
    fvlm_status st = FVLM_OK;
    uint64_t end = data->offset, data_end, expected;
    if (!fvlm_checked_add(data->offset, data->n_bytes, &data_end)) st = fvlm_refuse(err, 0, "the data section wraps");
    for (size_t i = 0; i < x->n_tensors && !st; i++) {
        const fvlm_tensor *t = x->by_offset[i];
        if (!fvlm_checked_round_up(end, FVLM_TENSOR_ALIGN, &expected) || t->offset != expected)
            st = fvlm_refuse(err, t->offset, "tensor \"%s\" begins at %" PRIu64 ", expected %" PRIu64, t->name,
                             t->offset, expected);
        else if (!fvlm_checked_add(t->offset, t->n_bytes, &end) || end > data_end)
            st = fvlm_refuse(err, t->offset, "tensor \"%s\" runs past the data section", t->name);
    }
    if (!st && end != data_end) st = fvlm_refuse(err, end, "bytes of the data section belong to no tensor");
    return st;
}

fvlm_status fvlm_index_decode(fvlm_index *x, const uint8_t *bytes, size_t n_bytes, const fvlm_section *data,
                              fvlm_err *err)
{
    memset(x, 0, sizeof *x);
    fvlm_cursor c = fvlm_cursor_over(bytes, n_bytes);
    uint64_t n = fvlm_cursor_take_u64(&c), names_bytes = fvlm_cursor_take_u64(&c), entries_bytes, end;
    if (n < 1 || n > FVLM_MAX_TENSORS)
        return fvlm_fail(err, FVLM_LIMIT, "the index has %" PRIu64 " tensors, expected 1 to %d", n, FVLM_MAX_TENSORS);
    /* Checked before anything is allocated, so that the size of the file bounds the memory. */
    if (!c.ok || !fvlm_checked_mul(n, FVLM_INDEX_ENTRY_BYTES, &entries_bytes) ||
        !fvlm_checked_add(c.pos, entries_bytes, &end) || !fvlm_checked_add(end, names_bytes, &end) || end != n_bytes)
        return fvlm_refuse(err, 0, "the index has %zu bytes, which its counts do not explain", n_bytes);
    x->n_tensors = (size_t)n;
    x->tensor = fvlm_alloc(x->n_tensors, sizeof *x->tensor);
    x->by_offset = fvlm_alloc(x->n_tensors, sizeof *x->by_offset);
    x->names = fvlm_alloc((size_t)names_bytes, 1);
    if (!x->tensor || !x->by_offset || !x->names) return fvlm_fail_nomem(err);
    const uint8_t *entries = fvlm_cursor_take(&c, (size_t)entries_bytes);
    memcpy(x->names, fvlm_cursor_take(&c, (size_t)names_bytes), (size_t)names_bytes);
    uint64_t names_end = 0;
    fvlm_status st = FVLM_OK;
    for (size_t i = 0; i < x->n_tensors && !st; i++)
        st = decode_entry(x, i, entries + i * FVLM_INDEX_ENTRY_BYTES, &names_end, names_bytes, err);
    if (!st && names_end != names_bytes) st = fvlm_refuse(err, names_end, "bytes after the last name in the index");
    if (!st) st = check_offsets(x, data, err);
    return st;
}

void fvlm_index_free(fvlm_index *x)
{
    free(x->tensor);
    free(x->by_offset);
    free(x->names);
    memset(x, 0, sizeof *x);
}
