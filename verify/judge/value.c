/* SPDX-License-Identifier: Apache-2.0 */
/* value.c - see value.h: memory of values, and stored tensors. */
#include "verify/judge/value.h"

#include <inttypes.h>
#include <stdlib.h>

struct fvlm_judge_buffer {
    size_t refs;
    uint64_t n_bytes;
    fvlm_judge_memory *memory;
    void *data;
};

fvlm_judge_form fvlm_judge_form_of(int32_t type)
{
    switch (type) {
    case FVLM_ONNX_F32:
    case FVLM_ONNX_F16:
    case FVLM_ONNX_BF16:
        return FVLM_FORM_F32;
    case FVLM_ONNX_F64:
        return FVLM_FORM_F64;
    case FVLM_ONNX_I8:
    case FVLM_ONNX_I4:
        return FVLM_FORM_I8;
    case FVLM_ONNX_U8:
    case FVLM_ONNX_U4:
    case FVLM_ONNX_BOOL:
        return FVLM_FORM_U8;
    case FVLM_ONNX_I16:
        return FVLM_FORM_I16;
    case FVLM_ONNX_U16:
        return FVLM_FORM_U16;
    case FVLM_ONNX_I32:
        return FVLM_FORM_I32;
    case FVLM_ONNX_U32:
        return FVLM_FORM_U32;
    case FVLM_ONNX_I64:
        return FVLM_FORM_I64;
    case FVLM_ONNX_U64:
        return FVLM_FORM_U64;
    default:
        return FVLM_FORM_NONE;
    }
}

size_t fvlm_judge_form_bytes(fvlm_judge_form form)
{
    static const uint8_t bytes[] = {
        [FVLM_FORM_NONE] = 0, [FVLM_FORM_F32] = 4, [FVLM_FORM_F64] = 8, [FVLM_FORM_I8] = 1,
        [FVLM_FORM_U8] = 1,   [FVLM_FORM_I16] = 2, [FVLM_FORM_U16] = 2, [FVLM_FORM_I32] = 4,
        [FVLM_FORM_U32] = 4,  [FVLM_FORM_I64] = 8, [FVLM_FORM_U64] = 8,
    };
    return bytes[form];
}

bool fvlm_judge_is_float(int32_t type)
{
    return fvlm_judge_form_of(type) == FVLM_FORM_F32;
}

bool fvlm_judge_is_integer(int32_t type)
{
    return fvlm_judge_form_of(type) >= FVLM_FORM_I8 && type != FVLM_ONNX_BOOL;
}

size_t fvlm_judge_elem_bytes(const fvlm_judge_value *v)
{
    return fvlm_judge_form_bytes(fvlm_judge_form_of(v->type));
}

bool fvlm_judge_count(uint64_t *out, const uint64_t *dims, unsigned rank)
{
    uint64_t n = 1;
    bool zero = false;
    for (unsigned i = 0; i < rank; i++) zero |= dims[i] == 0;
    for (unsigned i = 0; i < rank && !zero; i++)
        if (!fvlm_checked_mul(n, dims[i], &n)) return false;
    *out = zero ? 0 : n;
    return true;
}

bool fvlm_judge_same_shape(const fvlm_judge_value *a, const fvlm_judge_value *b)
{
    return a->rank == b->rank && memcmp(a->dims, b->dims, a->rank * sizeof *a->dims) == 0;
}

fvlm_status fvlm_judge_value_make(fvlm_judge_value *v, fvlm_judge_memory *m, int32_t type, unsigned rank,
                                  const uint64_t *dims, fvlm_err *err)
{
    const size_t elem_bytes = fvlm_judge_form_bytes(fvlm_judge_form_of(type));
    uint64_t n, n_bytes, total;
    if (!elem_bytes)
        return fvlm_fail(err, FVLM_UNSUPPORTED, "values of %s are not supported", fvlm_onnx_type_name(type));
    if (rank > FVLM_GRAPH_MAX_RANK)
        return fvlm_fail(err, FVLM_LIMIT, "a value of rank %u; %d is the most", rank, FVLM_GRAPH_MAX_RANK);
    if (!fvlm_judge_count(&n, dims, rank) || !fvlm_checked_mul(n, elem_bytes, &n_bytes) || n_bytes > PTRDIFF_MAX ||
        !fvlm_checked_add(m->live, n_bytes, &total))
        return fvlm_fail(err, FVLM_LIMIT, "a value of more than 2^63 bytes");
    if (m->limit && total > m->limit)
        return fvlm_fail(err, FVLM_LIMIT, "a value of %" PRIu64 " bytes; all values may have %" PRIu64, n_bytes,
                         m->limit);
    fvlm_judge_buffer *b = malloc(sizeof *b);
    void *data = b ? fvlm_alloc((size_t)n, elem_bytes) : NULL;
    if (!data) {
        free(b);
        return fvlm_fail(err, FVLM_NOMEM, "out of memory for a value of %" PRIu64 " bytes", n_bytes);
    }
    *b = (fvlm_judge_buffer){.refs = 1, .n_bytes = n_bytes, .memory = m, .data = data};
    *v = (fvlm_judge_value){.type = type, .rank = rank, .n = n, .data = data, .buffer = b};
    if (rank) memcpy(v->dims, dims, rank * sizeof *dims); /* dims may be NULL for a scalar */
    m->live = total;
    if (m->peak < m->live) m->peak = m->live;
    return FVLM_OK;
}

void fvlm_judge_value_share(fvlm_judge_value *to, const fvlm_judge_value *from)
{
    *to = *from;
    if (to->buffer) to->buffer->refs++;
}

void fvlm_judge_value_free(fvlm_judge_value *v)
{
    fvlm_judge_buffer *b = v->buffer;
    if (b && --b->refs == 0) {
        b->memory->live -= b->n_bytes;
        free(b->data);
        free(b);
    }
    *v = (fvlm_judge_value){0};
}

/* ---- stored tensors ---- */

void fvlm_judge_value_store(fvlm_judge_value *v, const fvlm_graph_tensor *t)
{
    *v = (fvlm_judge_value){.type = t->type, .rank = t->rank, .n = t->n_elems, .stored = t};
    memcpy(v->dims, t->dims, t->rank * sizeof *t->dims);
}

void fvlm_judge_decode(void *out, const fvlm_graph_tensor *t, uint64_t first, uint64_t n)
{
    const uint8_t *bytes = t->bytes;
    float *f = out;
    int8_t *i8 = out;
    uint8_t *u8 = out;
    const size_t elem_bytes = fvlm_judge_form_bytes(fvlm_judge_form_of(t->type));
    if (!n) return;
    switch (t->type) {
    case FVLM_ONNX_F16:
        for (uint64_t i = 0; i < n; i++) f[i] = fvlm_f16_to_f32(fvlm_load_u16(bytes + 2 * (first + i)));
        break;
    case FVLM_ONNX_BF16:
        for (uint64_t i = 0; i < n; i++) f[i] = fvlm_bf16_to_f32(fvlm_load_u16(bytes + 2 * (first + i)));
        break;
    case FVLM_ONNX_U4:
        for (uint64_t i = 0; i < n; i++) u8[i] = bytes[(first + i) / 2] >> (first + i) % 2 * 4 & 15;
        break;
    case FVLM_ONNX_I4:
        for (uint64_t i = 0; i < n; i++) {
            const int nibble = bytes[(first + i) / 2] >> (first + i) % 2 * 4 & 15;
            i8[i] = (int8_t)(nibble - (nibble > 7 ? 16 : 0));
        }
        break;
    case FVLM_ONNX_BOOL:
        for (uint64_t i = 0; i < n; i++) u8[i] = bytes[first + i] != 0;
        break;
    default:
        memcpy(out, bytes + first * elem_bytes, n * elem_bytes);
    }
}

fvlm_status fvlm_judge_value_load(fvlm_judge_value *v, fvlm_judge_memory *m, fvlm_err *err)
{
    const fvlm_graph_tensor *t = v->stored;
    if (!t) return FVLM_OK;
    const size_t elem_bytes = fvlm_judge_form_bytes(fvlm_judge_form_of(t->type));
    const bool as_is = elem_bytes * 8 == fvlm_onnx_type_bits(t->type) && t->type != FVLM_ONNX_BOOL;
    if (as_is && t->n_elems && (uintptr_t)t->bytes % elem_bytes == 0) {
        v->data = (void *)(uintptr_t)t->bytes; /* read only */
        v->stored = NULL;
        return FVLM_OK;
    }
    fvlm_judge_value loaded;
    fvlm_status st = fvlm_judge_value_make(&loaded, m, t->type, t->rank, t->dims, err);
    if (st) return st;
    fvlm_judge_decode(loaded.data, t, 0, t->n_elems);
    *v = loaded;
    return FVLM_OK;
}
