/* SPDX-License-Identifier: Apache-2.0 */
/* stored_bind.c - finds out how a weight is stored: see stored.h. The formats of quantized weights are those of
 * https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md. */
#include <inttypes.h>

#include "convert/graph/stored.h"
#include "format/base/bits.h"

/* bitsandbytes' tables, as onnxruntime has them. */
static const float tables[2][16] = {
    {0.0f, 5.208333333e-03f, 0.66666667f, 1.0f, 0.33333333f, 0.5f, 0.16666667f, 0.25f, -0.0f, -5.208333333e-03f,
     -0.66666667f, -1.0f, -0.33333333f, -0.5f, -0.16666667f, -0.25f},
    {-1.0f, -0.6961928009986877f, -0.5250730514526367f, -0.39491748809814453f, -0.28444138169288635f,
     -0.18477343022823334f, -0.09105003625154495f, 0.0f, 0.07958029955625534f, 0.16093020141124725f,
     0.24611230194568634f, 0.33791524171829224f, 0.44070982933044434f, 0.5626170039176941f, 0.7229568362236023f, 1.0f},
};

typedef struct {
    fvlm_stored *out;
    const fvlm_graph_tensor *t;
    const fvlm_packed *packed;
    uint64_t dims[FVLM_GRAPH_MAX_RANK], n; /* of the elements, not of the bytes that hold them */
    unsigned rank;
    bool swapped; /* stored [columns][rows] */
    const char *text;
    fvlm_err *err;
} binding;

static fvlm_status refuse(const binding *b, const char *what)
{
    return fvlm_fail(b->err, FVLM_UNSUPPORTED, "%s: %s", b->text, what);
}

static fvlm_status misfit(const binding *b, const char *what, uint64_t found, uint64_t wanted)
{
    return fvlm_fail(b->err, FVLM_BAD_INPUT, "%s: %" PRIu64 " %s, expected %" PRIu64, b->text, found, what, wanted);
}

/* ---- arrays ---- */

static unsigned float_type(int32_t type)
{
    return type == FVLM_ONNX_F32    ? FVLM_SOURCE_F32
           : type == FVLM_ONNX_F16  ? FVLM_SOURCE_F16
           : type == FVLM_ONNX_BF16 ? FVLM_SOURCE_BF16
                                    : 0;
}

static bool is_signed(int32_t type)
{
    return type == FVLM_ONNX_I8 || type == FVLM_ONNX_I4;
}

static bool is_byte(int32_t type)
{
    return type == FVLM_ONNX_U8 || type == FVLM_ONNX_I8;
}

static bool is_nibble(int32_t type)
{
    return type == FVLM_ONNX_U4 || type == FVLM_ONNX_I4;
}

static fvlm_stored_array integers(const fvlm_graph_tensor *t, unsigned bits)
{
    return (fvlm_stored_array){
        .bytes = t->bytes, .bits = bits, .flip = (uint8_t)(is_signed(t->type) ? 1u << (bits - 1) : 0)};
}

/* Two 4-bit elements to a byte, in a tensor of bytes. */
static bool in_pairs(const binding *b)
{
    return b->packed->bits == 4 && is_byte(b->t->type);
}

/* ---- shape ---- */

/* A transposed weight is a matrix, but for dimensions of 1. */
static fvlm_status check_swapped(const binding *b, uint64_t n_rows)
{
    uint64_t d[2] = {1, 1};
    unsigned n = 0;
    for (unsigned i = 0; i < b->rank; i++) {
        if (b->dims[i] == 1) continue;
        if (n == 2) return refuse(b, "a transposed weight of more than two dimensions");
        d[n++] = b->dims[i];
    }
    if (n == 1) return FVLM_OK; /* a vector is its own transpose */
    return d[1] == n_rows ? FVLM_OK : misfit(b, "columns in the file", d[1], n_rows);
}

/* Rows and steps, from the shape in the file. */
static fvlm_status bind_shape(binding *b)
{
    fvlm_stored *s = b->out;
    const uint64_t n_rows = s->columns ? b->n / s->columns : 0;
    uint64_t end = UINT64_MAX, leading = 1;
    if (n_rows == 0 || b->n % s->columns) return misfit(b, "elements, a multiple of the columns", b->n, s->columns);
    if (!fvlm_checked_add(s->first_row, s->n_rows, &end) || end > n_rows) return misfit(b, "rows", n_rows, end);
    for (unsigned i = 0; i < b->rank && leading < n_rows; i++) leading *= b->dims[i]; /* divides n */
    fvlm_status st = b->swapped                             ? check_swapped(b, n_rows)
                     : leading == n_rows || s->columns == 1 ? FVLM_OK
                                                            : misfit(b, "rows in the file", leading, n_rows);
    s->row_step = b->swapped ? 1 : s->columns;
    s->column_step = b->swapped ? n_rows : 1;
    return st;
}

/* ---- groups ---- */

static fvlm_status check_count(const binding *b, const fvlm_graph_tensor *t, uint64_t n, const char *what)
{
    return t->n_elems == n ? FVLM_OK : misfit(b, what, t->n_elems, n);
}

static fvlm_status bind_scales(binding *b, uint64_t n)
{
    const fvlm_graph_tensor *t = b->packed->scales;
    if (!t || !float_type(t->type)) return refuse(b, "scales that are not FLOAT, FLOAT16 or BFLOAT16");
    b->out->scales = (fvlm_stored_array){.bytes = t->bytes, .type = float_type(t->type)};
    return check_count(b, t, n, "scales");
}

/* n zero points; per_row of them fill whole bytes if two share a byte. */
static fvlm_status bind_zeros(binding *b, uint64_t n, uint64_t per_row)
{
    const fvlm_graph_tensor *t = b->packed->zero_points;
    const unsigned bits = b->packed->bits;
    fvlm_stored *s = b->out;
    s->n_zeros = n;
    if (!t) {
        const bool middle = b->packed->kind == FVLM_PACKED_NBITS || is_signed(b->t->type) ||
                            (b->packed->kind == FVLM_PACKED_GATHER && is_byte(b->t->type));
        s->zeros = (fvlm_stored_array){.constant = middle ? (float)(1u << (bits - 1)) : 0};
        return FVLM_OK;
    }
    if (float_type(t->type) && b->packed->kind == FVLM_PACKED_NBITS) {
        s->zeros = (fvlm_stored_array){.bytes = t->bytes, .type = float_type(t->type)};
        return check_count(b, t, n, "zero points");
    }
    if (is_signed(t->type) != is_signed(b->t->type) || !(is_byte(t->type) || is_nibble(t->type)))
        return refuse(b, "zero points of another type than the weights");
    s->zeros = integers(t, bits);
    if (bits == 8 || is_nibble(t->type)) return check_count(b, t, n, "zero points");
    s->zeros.row = per_row;
    s->zeros.stride = per_row + per_row % 2;
    return check_count(b, t, n / per_row * (s->zeros.stride / 2), "bytes of zero points");
}

/* A scale for each block along an axis, or for each index of it; the axis is one of rows, columns, or neither. */
static fvlm_status bind_axis(binding *b)
{
    fvlm_stored *s = b->out;
    const unsigned axis = b->packed->axis;
    const uint64_t block = b->packed->block;
    if (axis >= b->rank) return refuse(b, "a quantization axis that the weight does not have");
    uint64_t outer = 1, inner = 1, size = b->dims[axis];
    for (unsigned i = 0; i < axis; i++) outer *= b->dims[i];
    for (unsigned i = axis + 1; i < b->rank; i++) inner *= b->dims[i];
    const bool along_rows = b->swapped ? outer == s->columns : outer == 1 && inner == s->columns;
    const bool along_columns = size == s->columns && (b->swapped ? outer == 1 : inner == 1);
    const uint64_t n_blocks = block ? size / block + (size % block != 0) : size;
    s->per_axis = !block;
    s->along = inner;
    s->block = block ? block : 1;
    s->outer_size = size * inner;
    s->outer_scales = n_blocks * inner;
    s->group = !block && along_rows ? s->columns : block && along_columns && !along_rows ? block : 1;
    const uint64_t n = block ? outer * n_blocks * inner : size;
    fvlm_status st = bind_scales(b, n);
    return st ? st : bind_zeros(b, n, inner == 1 ? n_blocks : n);
}

static fvlm_status bind_tensor_wide(binding *b)
{
    b->out->outer_size = UINT64_MAX;
    b->out->along = 1;
    b->out->block = UINT64_MAX;
    b->out->per_axis = true;
    b->out->group = b->out->columns;
    fvlm_status st = bind_scales(b, 1);
    return st ? st : bind_zeros(b, 1, 1);
}

/* [N][blocks][bytes of a block], K padded to whole blocks. */
static fvlm_status bind_nbits(binding *b)
{
    fvlm_stored *s = b->out;
    const uint64_t block = b->packed->block, per_byte = 8 / b->packed->bits;
    if (block == 0 || block % per_byte || b->swapped) return refuse(b, "blocks of a kind that is not known");
    const uint64_t n_blocks = s->columns / block + (s->columns % block != 0), n_rows = b->t->dims[0];
    uint64_t stride, n;
    if (!fvlm_checked_mul(n_blocks, block, &stride) || !fvlm_checked_mul(stride, n_rows, &n))
        return refuse(b, "a weight that is too large");
    if (b->t->rank == 0 || b->t->n_bytes != n / per_byte) return misfit(b, "bytes", b->t->n_bytes, n / per_byte);
    if (s->first_row > n_rows || s->n_rows > n_rows - s->first_row) return misfit(b, "rows", n_rows, s->n_rows);
    s->row_step = s->outer_size = stride;
    s->column_step = s->along = 1;
    s->outer_scales = n_blocks;
    s->block = s->group = block;
    fvlm_status st = bind_scales(b, n_rows * n_blocks);
    return st ? st : bind_zeros(b, n_rows * n_blocks, n_blocks);
}

static fvlm_status bind_bnb4(binding *b)
{
    fvlm_stored *s = b->out;
    const uint64_t block = b->packed->block;
    if (block == 0 || b->packed->table > 1) return refuse(b, "blocks or a code table of a kind that is not known");
    s->outer_size = UINT64_MAX;
    s->along = 1;
    s->block = block;
    s->group = !b->swapped && s->columns % block == 0 ? block : 1;
    s->table = tables[b->packed->table];
    s->elements.high_first = true;
    return bind_scales(b, b->n / block + (b->n % block != 0));
}

/* As many as scales, each for a group of one row. */
static fvlm_status bind_offsets(binding *b, fvlm_status st)
{
    const fvlm_graph_tensor *t = b->packed->offsets;
    fvlm_stored *s = b->out;
    if (st || !t) return st;
    if (s->group == 1 && s->columns > 1) return refuse(b, "offsets of groups that do not lie along the inputs");
    st = check_count(b, t, b->packed->scales->n_elems, "offsets");
    if (st) return st;
    s->offsets = (fvlm_stored_array){.bytes = t->bytes, .type = FVLM_SOURCE_F32};
    s->offsets_groups = s->columns / s->group + (s->columns % s->group != 0);
    s->offsets_rows = b->packed->offsets_turned ? t->n_elems / s->offsets_groups : 0;
    return FVLM_OK;
}

static fvlm_status bind_integers(binding *b)
{
    const fvlm_packed *k = b->packed;
    if ((k->bits != 8 && k->bits != 4) || !(is_byte(b->t->type) || (k->bits == 4 && is_nibble(b->t->type))))
        return refuse(b, "integers of a size that is not known");
    b->out->elements = integers(b->t, k->bits);
    if (k->kind == FVLM_PACKED_NBITS) return bind_offsets(b, bind_nbits(b));
    fvlm_status st = bind_shape(b);
    if (st) return st;
    if (k->kind == FVLM_PACKED_BNB4) return bind_bnb4(b);
    const bool wide = k->scales && k->scales->n_elems == 1 && k->block == 0;
    return bind_offsets(b, wide ? bind_tensor_wide(b) : bind_axis(b));
}

/* The shape of the elements. */
static void take_shape(binding *b)
{
    b->rank = b->t->rank;
    b->n = b->t->n_elems;
    for (unsigned i = 0; i < b->rank; i++) b->dims[i] = b->t->dims[i];
    if (!b->packed->kind || !in_pairs(b)) return;
    b->n *= 2;                                 /* of bytes that are in memory */
    if (b->packed->kind == FVLM_PACKED_BNB4) { /* flat */
        b->dims[0] = b->out->columns ? b->n / b->out->columns : 0;
        b->dims[1] = b->out->columns;
        b->rank = 2;
    } else if (b->rank) {
        b->dims[b->rank - 1] *= 2;
    }
}

fvlm_status fvlm_stored_bind(fvlm_stored *out, const fvlm_match_part *p, uint64_t columns, const char *text,
                             fvlm_err *err)
{
    *out = (fvlm_stored){
        .columns = columns, .first_row = p->first_row, .n_rows = p->n_rows, .twice = p->twice, .group = 1};
    binding b = {.out = out,
                 .t = p->weight.tensor,
                 .packed = &p->weight.packed,
                 .swapped = p->transposed != p->weight.transposed,
                 .text = text,
                 .err = err};
    if (!b.t) return refuse(&b, "a weight that is computed in the graph");
    take_shape(&b);
    if (b.packed->kind) return bind_integers(&b);
    const unsigned type = float_type(b.t->type);
    if (!type) return refuse(&b, "weights that are not FLOAT, FLOAT16 or BFLOAT16; export the model in float32");
    out->elements = (fvlm_stored_array){.bytes = b.t->bytes, .type = type};
    return bind_shape(&b);
}
