/* SPDX-License-Identifier: Apache-2.0 */
/* packed_rows.c - rows of codes, scales and zero points, whichever way they are stored.
 *
 * GPTQ and AWQ store columns: a row is spread over the whole tensor. So a slab of columns is read ahead, and kept for
 * the next call; a conversion asks for the rows of a tensor in order. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "convert/source/packed_internal.h"

#define SLAB_CODES ((uint64_t)1 << 21) /* codes in a slab */

enum { MAX_SLABS = 16, STEP = 32 }; /* 32 columns are whole words in every form */

typedef struct {
    const fvlm_packed_module *of;
    uint64_t first, n;     /* columns */
    uint8_t *words;        /* [lines][line_bytes], as stored */
    float *scales, *zeros; /* [n][groups] */
    bool busy;
    uint64_t used; /* when: for choosing which to replace */
} slab;

struct fvlm_packed_slabs {
    pthread_mutex_t lock;
    slab slabs[MAX_SLABS];
    uint64_t clock;
};

fvlm_packed_slabs *fvlm_packed_slabs_create(void)
{
    fvlm_packed_slabs *s = fvlm_alloc(1, sizeof *s);
    if (s && pthread_mutex_init(&s->lock, NULL)) {
        free(s);
        s = NULL;
    }
    return s;
}

/* Leaves 'busy' and 'used' alone, which belong to the lock. */
static void empty(slab *s)
{
    free(s->words);
    free(s->scales);
    free(s->zeros);
    s->words = NULL;
    s->scales = s->zeros = NULL;
    s->of = NULL;
}

void fvlm_packed_slabs_destroy(fvlm_packed_slabs *s)
{
    if (!s) return;
    for (size_t i = 0; i < MAX_SLABS; i++) empty(&s->slabs[i]);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

/* ---- bits ---- */

void fvlm_packed_unpack(const uint8_t *stream, unsigned bits, size_t n, uint8_t *out)
{
    const unsigned mask = (1u << bits) - 1;
    for (size_t i = 0; i < n; i++) {
        const uint64_t at = (uint64_t)i * bits;
        const unsigned two = fvlm_load_u16(stream + at / 8);
        out[i] = (uint8_t)(two >> at % 8 & mask);
    }
}

static float float_at(const fvlm_source_tensor *t, const uint8_t *bytes, size_t i)
{
    if (t->type == FVLM_SOURCE_F16) return fvlm_f16_to_f32(fvlm_load_u16(bytes + 2 * i));
    if (t->type == FVLM_SOURCE_BF16) return fvlm_bf16_to_f32(fvlm_load_u16(bytes + 2 * i));
    return fvlm_f32_from_bits(fvlm_load_u32(bytes + 4 * i));
}

/* ---- rows that are stored as rows ---- */

/* Powers of two; 255, which is NaN, becomes infinity, and is refused like it. */
static float from_e8m0(unsigned x)
{
    return fvlm_f32_from_bits(x ? x << 23 : 0x400000);
}

float fvlm_packed_e4m3(unsigned x)
{
    const unsigned exponent = x >> 3 & 15, mantissa = x & 7;
    const float magnitude = (x & 127) == 127 ? fvlm_f32_from_bits(0x7fc00000)
                            : exponent       ? fvlm_f32_from_bits((exponent + 120) << 23 | mantissa << 20)
                                             : (float)mantissa * 0x1p-9f;
    return x & 128 ? -magnitude : magnitude;
}

/* Scales, or biases, of whole rows. */
static fvlm_status read_floats(const fvlm_source *src, const fvlm_packed_module *m, const fvlm_source_tensor *t,
                               uint64_t first, size_t n, float *out, fvlm_err *err)
{
    const size_t count = n * (size_t)m->n_groups, size = fvlm_source_type_bytes(t->type);
    uint8_t *bytes = fvlm_alloc(count, size);
    fvlm_status st =
        bytes ? fvlm_source_read(src, t, first * m->n_groups * size, count * size, bytes, err) : fvlm_fail_nomem(err);
    for (size_t i = 0; !st && i < count; i++)
        out[i] = m->is.form == FVLM_FORM_MLX     ? float_at(t, bytes, i)
                 : m->is.form == FVLM_FORM_NVFP4 ? fvlm_packed_e4m3(bytes[i])
                                                 : from_e8m0(bytes[i]);
    free(bytes);
    return st;
}

static fvlm_status read_rows(const fvlm_source *src, const fvlm_packed_module *m, uint64_t first, size_t n,
                             fvlm_packed_rows to, fvlm_err *err)
{
    const size_t in = (size_t)m->in, row_bytes = (size_t)m->codes.dims[1] * 4;
    uint8_t *stream = fvlm_alloc(n * row_bytes + 1, 1);
    fvlm_status st =
        stream ? fvlm_source_read(src, &m->codes, first * row_bytes, n * row_bytes, stream, err) : fvlm_fail_nomem(err);
    for (size_t r = 0; !st && r < n; r++) fvlm_packed_unpack(stream + r * row_bytes, m->is.bits, in, to.codes + r * in);
    free(stream);
    if (!st) st = read_floats(src, m, &m->scales, first, n, to.scales, err);
    if (!st && m->zeros.name) st = read_floats(src, m, &m->zeros, first, n, to.zeros, err);
    return st;
}

/* ---- rows that are stored as columns ---- */

/* Bytes of a stored line that hold n columns. */
static size_t line_bytes(const fvlm_packed_module *m, uint64_t n)
{
    return (size_t)(m->is.form == FVLM_FORM_AWQ ? n / 2 : 4 * n);
}

static fvlm_status fill_words(slab *s, const fvlm_source *src, fvlm_err *err)
{
    const fvlm_packed_module *m = s->of;
    const size_t part = line_bytes(m, s->n), whole = (size_t)m->codes.dims[1] * 4;
    fvlm_status st = FVLM_OK;
    for (uint64_t l = 0; !st && l < m->codes.dims[0]; l++)
        st = fvlm_source_read(src, &m->codes, l * whole + line_bytes(m, s->first), part, s->words + l * part, err);
    return st;
}

/* Columns of scales and zero points, transposed. */
static fvlm_status fill_scales(slab *s, const fvlm_source *src, fvlm_err *err)
{
    const fvlm_packed_module *m = s->of;
    const size_t n = (size_t)s->n, size = fvlm_source_type_bytes(m->scales.type), groups = (size_t)m->n_groups;
    const size_t zero_bytes = n * m->is.bits / 8; /* n is a multiple of 32, or ends with the row */
    uint8_t *bytes = fvlm_alloc(n, size), *stream = fvlm_alloc(zero_bytes + 1, 1), *zeros = fvlm_alloc(n, 1);
    fvlm_status st = bytes && stream && zeros ? FVLM_OK : fvlm_fail_nomem(err);
    for (size_t g = 0; !st && g < groups; g++) {
        st = fvlm_source_read(src, &m->scales, (g * m->out + s->first) * size, n * size, bytes, err);
        const uint64_t at = g * m->zeros.dims[1] * 4 + s->first * m->is.bits / 8;
        if (!st) st = fvlm_source_read(src, &m->zeros, at, zero_bytes, stream, err);
        if (st) break;
        fvlm_packed_unpack(stream, m->is.bits, n, zeros);
        for (size_t c = 0; c < n; c++) {
            const size_t from = m->is.form == FVLM_FORM_AWQ ? c / 8 * 8 + fvlm_packed_awq_nibble(c) : c;
            s->scales[c * groups + g] = float_at(&m->scales, bytes, c);
            s->zeros[c * groups + g] = (float)(zeros[from] + m->is.zero_plus);
        }
    }
    free(bytes);
    free(stream);
    free(zeros);
    return st;
}

static fvlm_status fill(slab *s, const fvlm_source *src, const fvlm_packed_module *m, uint64_t column, fvlm_err *err)
{
    uint64_t n = SLAB_CODES / m->in / STEP * STEP;
    empty(s);
    s->of = m;
    s->first = column / STEP * STEP;
    if (n < STEP) n = STEP;
    s->n = m->out - s->first < n ? m->out - s->first : n;
    s->words = fvlm_alloc((size_t)m->codes.dims[0], line_bytes(m, s->n));
    s->scales = fvlm_alloc((size_t)s->n, (size_t)m->n_groups * sizeof(float));
    s->zeros = fvlm_alloc((size_t)s->n, (size_t)m->n_groups * sizeof(float));
    fvlm_status st = s->words && s->scales && s->zeros ? FVLM_OK : fvlm_fail_nomem(err);
    if (!st) st = fill_words(s, src, err);
    if (!st) st = fill_scales(s, src, err);
    return st;
}

static bool covers(const slab *s, const fvlm_packed_module *m, uint64_t column)
{
    return s->of == m && column >= s->first && column - s->first < s->n;
}

/* A slab that no other thread uses: one of this module, the one with this column first, else the one that was used
 * longest ago. NULL: all are in use. */
static slab *take(fvlm_packed_slabs *all, const fvlm_packed_module *m, uint64_t column)
{
    slab *found = NULL;
    int best = -1;
    pthread_mutex_lock(&all->lock);
    for (size_t i = 0; i < MAX_SLABS; i++) {
        slab *s = &all->slabs[i];
        if (s->busy) continue;
        const int rank = covers(s, m, column) ? 2 : s->of == m;
        if (rank < best || (rank == best && s->used >= found->used)) continue;
        best = rank;
        found = s;
    }
    if (found) {
        found->busy = true;
        found->used = ++all->clock;
    }
    pthread_mutex_unlock(&all->lock);
    return found;
}

static void give_back(fvlm_packed_slabs *all, slab *s, bool spent)
{
    pthread_mutex_lock(&all->lock);
    if (spent) empty(s);
    s->busy = false;
    pthread_mutex_unlock(&all->lock);
}

/* The codes of column c of a slab. */
static void column_codes(const slab *s, uint64_t c, uint8_t *stream, uint8_t *out)
{
    const fvlm_packed_module *m = s->of;
    const size_t lines = (size_t)m->codes.dims[0], step = line_bytes(m, s->n);
    if (m->is.form == FVLM_FORM_AWQ) {
        const uint8_t *word = s->words + c / 8 * 4;
        const unsigned shift = 4 * fvlm_packed_awq_nibble(c);
        for (size_t l = 0; l < lines; l++) out[l] = (uint8_t)(fvlm_load_u32(word + l * step) >> shift & 15);
        return;
    }
    for (size_t l = 0; l < lines; l++) memcpy(stream + 4 * l, s->words + l * step + 4 * c, 4);
    fvlm_packed_unpack(stream, m->is.bits, (size_t)m->in, out);
}

static fvlm_status read_columns(const fvlm_source *src, fvlm_packed_slabs *all, const fvlm_packed_module *m,
                                uint64_t first, size_t n, fvlm_packed_rows to, fvlm_err *err)
{
    const size_t in = (size_t)m->in, groups = (size_t)m->n_groups;
    uint8_t *stream = fvlm_alloc((size_t)m->codes.dims[0] * 4 + 1, 1);
    fvlm_status st = stream ? FVLM_OK : fvlm_fail_nomem(err);
    for (size_t r = 0; !st && r < n;) {
        slab own = {0}, *kept = take(all, m, first + r), *s = kept ? kept : &own;
        if (!covers(s, m, first + r)) st = fill(s, src, m, first + r, err);
        for (; !st && r < n && covers(s, m, first + r); r++) {
            const uint64_t c = first + r - s->first;
            column_codes(s, c, stream, to.codes + r * in);
            memcpy(to.scales + r * groups, s->scales + c * groups, groups * sizeof(float));
            memcpy(to.zeros + r * groups, s->zeros + c * groups, groups * sizeof(float));
        }
        if (kept)
            give_back(all, kept, st || first + r == m->out);
        else
            empty(&own);
    }
    free(stream);
    return st;
}

fvlm_status fvlm_packed_rows_read(const fvlm_source *src, fvlm_packed_slabs *slabs, const fvlm_packed_module *m,
                                  uint64_t first, size_t n, fvlm_packed_rows to, fvlm_err *err)
{
    return fvlm_packed_by_columns(m->is.form) ? read_columns(src, slabs, m, first, n, to, err)
                                              : read_rows(src, m, first, n, to, err);
}
