/* SPDX-License-Identifier: Apache-2.0 */
/* stored.c - see stored.h. stored_bind.c fills the struct. */
#include "convert/graph/stored.h"

#include <string.h>

#include "format/base/bits.h"

enum { TILE = 64 }; /* side of a tile of a transposed matrix: its lines stay in the L1 cache */

/* ---- one element ---- */

static inline unsigned integer_at(const fvlm_stored_array *a, uint64_t i)
{
    if (a->row) i = i / a->row * a->stride + i % a->row;
    if (a->bits == 8) return a->bytes[i] ^ a->flip;
    const unsigned shift = ((unsigned)i & 1) == a->high_first ? 0 : 4;
    return ((unsigned)a->bytes[i >> 1] >> shift & 15u) ^ a->flip;
}

static inline float float_at(const fvlm_stored_array *a, uint64_t i)
{
    if (!a->bytes) return a->constant;
    switch (a->type) {
    case FVLM_SOURCE_F32:
        return fvlm_f32_from_bits(fvlm_load_u32(a->bytes + 4 * i));
    case FVLM_SOURCE_F16:
        return fvlm_f16_to_f32(fvlm_load_u16(a->bytes + 2 * i));
    case FVLM_SOURCE_BF16:
        return fvlm_bf16_to_f32(fvlm_load_u16(a->bytes + 2 * i));
    default:
        return (float)integer_at(a, i);
    }
}

static uint64_t scale_of(const fvlm_stored *s, uint64_t row, uint64_t column)
{
    const uint64_t i = (s->first_row + row) * s->row_step + column * s->column_step;
    const uint64_t inside = i % s->outer_size, along = inside / s->along / s->block;
    if (s->per_axis) return along;
    return i / s->outer_size * s->outer_scales + along * s->along + i % s->along;
}

static float scale_at(const fvlm_stored *s, uint64_t number)
{
    return (s->twice ? 2 : 1) * float_at(&s->scales, number);
}

/* Of the scale with this number. */
static double offset_at(const fvlm_stored *s, uint64_t number)
{
    if (!s->offsets.bytes) return 0;
    if (s->offsets_rows) number = number % s->offsets_groups * s->offsets_rows + number / s->offsets_groups;
    return (s->twice ? 2 : 1) * (double)float_at(&s->offsets, number);
}

/* ---- floats ---- */

/* A tile of a matrix whose columns are contiguous runs of rows: [n_columns][n_rows] to [n_rows][n_columns]. */
#define DEFINE_TRANSPOSE(name, type)                                                                                   \
    static void name(const uint8_t *from, uint64_t column_step, uint8_t *to, uint64_t row_step, size_t n_rows,         \
                     size_t n_columns)                                                                                 \
    {                                                                                                                  \
        type tile[TILE][TILE];                                                                                         \
        for (size_t c = 0; c < n_columns; c++)                                                                         \
            memcpy(tile[c], from + c * column_step * sizeof(type), n_rows * sizeof(type));                             \
        for (size_t r = 0; r < n_rows; r++) {                                                                          \
            type line[TILE];                                                                                           \
            for (size_t c = 0; c < n_columns; c++) line[c] = tile[c][r];                                               \
            memcpy(to + r * row_step * sizeof(type), line, n_columns * sizeof(type));                                  \
        }                                                                                                              \
    }
DEFINE_TRANSPOSE(transpose_1, uint8_t)
DEFINE_TRANSPOSE(transpose_2, uint16_t)
DEFINE_TRANSPOSE(transpose_4, uint32_t)

/* Elements of 'size' bytes, copied as they are. */
static void copy_elements(const fvlm_stored *s, const fvlm_stored_range *q, size_t size, uint8_t *out)
{
    const uint8_t *from =
        s->elements.bytes + ((s->first_row + q->first) * s->row_step + q->from * s->column_step) * size;
    if (s->column_step == 1) {
        for (uint64_t r = 0; r < q->n_rows; r++)
            memcpy(out + r * q->n_columns * size, from + r * s->row_step * size, (size_t)q->n_columns * size);
        return;
    }
    for (uint64_t r = 0; r < q->n_rows; r += TILE)
        for (uint64_t c = 0; c < q->n_columns; c += TILE) {
            const size_t n_rows = q->n_rows - r < TILE ? (size_t)(q->n_rows - r) : TILE;
            const size_t n_columns = q->n_columns - c < TILE ? (size_t)(q->n_columns - c) : TILE;
            const uint8_t *tile = from + (r + c * s->column_step) * size;
            uint8_t *to = out + (r * q->n_columns + c) * size;
            if (size == 1)
                transpose_1(tile, s->column_step, to, q->n_columns, n_rows, n_columns);
            else if (size == 2)
                transpose_2(tile, s->column_step, to, q->n_columns, n_rows, n_columns);
            else
                transpose_4(tile, s->column_step, to, q->n_columns, n_rows, n_columns);
        }
}

/* Exact, but for an element that overflows. */
static void twice(unsigned type, uint8_t *out, uint64_t n)
{
    const fvlm_stored_array a = {.bytes = out, .type = type};
    for (uint64_t i = 0; i < n; i++) {
        const float x = 2 * float_at(&a, i);
        const uint16_t narrow = type == FVLM_SOURCE_F16 ? fvlm_f32_to_f16(x) : fvlm_f32_to_bf16(x);
        if (type == FVLM_SOURCE_F32)
            memcpy(out + 4 * i, &x, 4);
        else
            memcpy(out + 2 * i, &narrow, 2);
    }
}

static void widen(unsigned type, uint8_t *out, uint64_t n)
{
    /* In place, from the end: the narrow elements are the first half. */
    const fvlm_stored_array a = {.bytes = out, .type = type};
    for (uint64_t i = n; i-- > 0;) {
        const float x = float_at(&a, i);
        memcpy(out + 4 * i, &x, 4);
    }
}

/* ---- integers ---- */

static void copy_codes(const fvlm_stored *s, const fvlm_stored_range *q, uint8_t *out)
{
    const fvlm_stored_array *a = &s->elements;
    const uint64_t n = q->n_rows * q->n_columns;
    if (a->bits == 8 && !a->row) {
        copy_elements(s, q, 1, out);
        for (uint64_t i = 0; a->flip && i < n; i++) out[i] ^= a->flip;
        return;
    }
    const uint64_t start = (s->first_row + q->first) * s->row_step + q->from * s->column_step;
    for (uint64_t r = 0; s->column_step == 1 && r < q->n_rows; r++)
        for (uint64_t c = 0; c < q->n_columns; c++)
            out[r * q->n_columns + c] = (uint8_t)integer_at(a, start + r * s->row_step + c);
    for (uint64_t c = 0; s->column_step != 1 && c < q->n_columns; c++)
        for (uint64_t r = 0; r < q->n_rows; r++)
            out[r * q->n_columns + c] = (uint8_t)integer_at(a, start + r * s->row_step + c * s->column_step);
}

/* n codes of one row, from a column on, as floats. */
static void dequantize(const fvlm_stored *s, uint64_t row, uint64_t from, const uint8_t *codes, size_t n, uint8_t *out)
{
    for (size_t c = 0; c < n;) {
        const uint64_t left = s->group - (from + c) % s->group, number = scale_of(s, row, from + c);
        const size_t end = left < n - c ? c + (size_t)left : n;
        const float scale = scale_at(s, number), zero = float_at(&s->zeros, number);
        const double offset = offset_at(s, number);
        for (; c < end; c++) {
            const float q = s->table ? s->table[codes[c] & 15] : (float)codes[c] - zero;
            const float x = s->offsets.bytes ? (float)((double)q * (double)scale + offset) : q * scale;
            memcpy(out + 4 * c, &x, 4);
        }
    }
}

static void read_integers(const fvlm_stored *s, const fvlm_stored_range *q, uint8_t *out)
{
    uint8_t codes[TILE * TILE];
    const uint64_t rows = s->column_step == 1 ? 1 : TILE, columns = TILE * TILE / rows;
    for (uint64_t r = 0; r < q->n_rows; r += rows)
        for (uint64_t c = 0; c < q->n_columns; c += columns) {
            const fvlm_stored_range tile = {q->first + r, q->n_rows - r < rows ? q->n_rows - r : rows, q->from + c,
                                            q->n_columns - c < columns ? q->n_columns - c : columns};
            copy_codes(s, &tile, codes);
            for (uint64_t i = 0; i < tile.n_rows; i++)
                dequantize(s, tile.first + i, tile.from, codes + i * tile.n_columns, (size_t)tile.n_columns,
                           out + 4 * ((r + i) * q->n_columns + c));
        }
}

void fvlm_stored_read(const fvlm_stored *s, fvlm_stored_range range, unsigned as, uint8_t *out)
{
    if (!s->elements.type) {
        read_integers(s, &range, out);
        return;
    }
    copy_elements(s, &range, fvlm_source_type_bytes(s->elements.type), out);
    if (s->twice) twice(s->elements.type, out, range.n_rows * range.n_columns);
    if (as != s->elements.type) widen(s->elements.type, out, range.n_rows * range.n_columns);
}

void fvlm_stored_codes(const fvlm_stored *s, uint64_t first, size_t n_rows, fvlm_type type, fvlm_source_codes out)
{
    const uint64_t group = type.group ? type.group : s->columns, n_groups = (s->columns + group - 1) / group;
    copy_codes(s, &(fvlm_stored_range){first, n_rows, 0, s->columns}, out.codes);
    for (uint64_t r = 0; r < n_rows; r++)
        for (uint64_t g = 0; g < n_groups; g++) {
            const uint64_t number = scale_of(s, first + r, g * group);
            out.scales[r * n_groups + g] = scale_at(s, number);
            out.offsets[r * n_groups + g] =
                offset_at(s, number) - (double)scale_at(s, number) * (double)float_at(&s->zeros, number);
        }
}

fvlm_type fvlm_stored_type(const fvlm_stored *s)
{
    const fvlm_type none = {0};
    const uint64_t g = s->group;
    if (s->elements.type || s->table) return none;
    const bool named = !s->per_axis && (g == 32 || g == 64 || g == 128);
    if (!named && g < s->columns) return none;
    fvlm_type t = {.kind = FVLM_INT, .bits = (uint8_t)s->elements.bits, .group = (uint16_t)(named ? g : 0)};
    const float middle = (float)(1u << (s->elements.bits - 1));
    const uint64_t n = s->zeros.bytes ? s->n_zeros : 1;
    t.asymmetric = s->offsets.bytes != NULL;
    for (uint64_t i = 0; i < n && !t.asymmetric; i++) t.asymmetric = float_at(&s->zeros, i) != middle;
    return t;
}
