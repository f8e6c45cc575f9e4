/* SPDX-License-Identifier: Apache-2.0 */
/* op_packed.c - weights of 2, 4 and 8 bits, of com.microsoft: MatMulNBits, MatMulBnb4, GatherBlockQuantized. Layouts:
 * onnxruntime's ContribOperators.md. Weights are decoded in slices of rows, not kept. */
#include <inttypes.h>
#include <stdlib.h>

#include "verify/judge/gemm.h"

enum { SLICE = 256 /* rows of weights at a time */ };

typedef struct {
    uint64_t n, k, block, blocks; /* blocks of a row (MatMulNBits); elements of a block */
    unsigned bits;
    const uint8_t *codes;
    const float *scales, *zeros; /* zeros: of a float, or NULL */
    const uint8_t *packed_zeros; /* of codes, rows padded to bytes, or NULL */
    const float *table;          /* of MatMulBnb4 */
    float *slice;                /* [rows, k] */
    uint64_t first;              /* row of the slice */
} weights;

static unsigned code_at(const uint8_t *bytes, uint64_t i, unsigned bits)
{
    return (unsigned)bytes[i * bits / 8] >> (i * bits % 8) & ((1U << bits) - 1);
}

static void decode_nbits(void *ctx, uint64_t first, uint64_t end)
{
    const weights *w = ctx;
    const uint64_t block_bytes = w->block * w->bits / 8, zero_bytes = (w->blocks * w->bits + 7) / 8;
    for (uint64_t row = first; row < end; row++)
        for (uint64_t b = 0; b < w->blocks; b++) {
            const uint64_t at = (w->first + row) * w->blocks + b, from = b * w->block;
            const uint64_t count = w->k - from < w->block ? w->k - from : w->block;
            const uint8_t *codes = w->codes + at * block_bytes;
            float zero = (float)(1U << (w->bits - 1)), *out = w->slice + row * w->k + from;
            if (w->zeros) zero = w->zeros[at];
            if (w->packed_zeros) zero = (float)code_at(w->packed_zeros + (w->first + row) * zero_bytes, b, w->bits);
            for (uint64_t i = 0; i < count; i++) out[i] = ((float)code_at(codes, i, w->bits) - zero) * w->scales[at];
        }
}

static void decode_bnb4(void *ctx, uint64_t first, uint64_t end)
{
    const weights *w = ctx;
    for (uint64_t row = first; row < end; row++)
        for (uint64_t i = 0; i < w->k; i++) {
            const uint64_t at = (w->first + row) * w->k + i;
            const unsigned code = w->codes[at / 2] >> (at % 2 ? 0 : 4) & 15;
            w->slice[row * w->k + i] = w->table[code] * w->scales[at / w->block];
        }
}

/* Output 0 += a times the transposed weights, slice by slice. */
static fvlm_status multiply(weights *w, fvlm_judge_call *c, fvlm_judge_range_task decode)
{
    const uint64_t rows = w->k ? c->in[0]->n / w->k : 0;
    const uint64_t dims[2] = {w->n < SLICE ? w->n : SLICE, w->k};
    fvlm_judge_value slice;
    fvlm_status st = fvlm_judge_want_work(c, rows * w->n, w->k);
    if (!st) st = fvlm_judge_make_temp(c, &slice, FVLM_ONNX_F32, 2, dims);
    if (st) return st;
    w->slice = slice.data;
    for (w->first = 0; w->first < w->n && !st; w->first += SLICE) {
        const uint64_t n = w->n - w->first < SLICE ? w->n - w->first : SLICE;
        fvlm_judge_ranges(c, n, 16, decode, w);
        const fvlm_gemm g = {
            .m = rows,
            .n = n,
            .k = w->k,
            .a = {.data = c->in[0]->data, .row = w->k, .column = 1},
            .b = {.data = slice.data, .row = 1, .column = w->k},
            .c = (float *)c->out[0].data + w->first,
            .ldc = w->n,
        };
        st = fvlm_gemm_run(c, &g, 1);
        if (!st) st = fvlm_stop_check(c->stop, c->err);
    }
    fvlm_judge_value_free(&slice);
    return st;
}

/* K, N and block_size, and a result of [..., N]. */
static fvlm_status read_sizes(weights *w, fvlm_judge_call *c)
{
    const fvlm_judge_value *a = c->in[0];
    int64_t k, n, block;
    uint64_t dims[FVLM_GRAPH_MAX_RANK];
    fvlm_status st = fvlm_judge_attr_int(c, "K", 0, &k);
    if (!st) st = fvlm_judge_attr_int(c, "N", 0, &n);
    if (!st) st = fvlm_judge_attr_int(c, "block_size", 0, &block);
    if (!st) st = fvlm_judge_want_float(c, 0);
    if (!st) st = fvlm_judge_want_type(c, 1, FVLM_ONNX_U8);
    if (!st) st = fvlm_judge_want_float(c, 2);
    if (st) return st;
    if (k < 1 || n < 1 || k > INT32_MAX || n > INT32_MAX || block < 16 || block > 1 << 20 || block & (block - 1))
        return fvlm_judge_refuse(c, "K %" PRId64 ", N %" PRId64 ", block_size %" PRId64, k, n, block);
    if (!a->rank || a->dims[a->rank - 1] != (uint64_t)k)
        return fvlm_judge_refuse(c, "K is %" PRId64 ", the input's last dimension is not", k);
    *w = (weights){.n = (uint64_t)n, .k = (uint64_t)k, .block = (uint64_t)block};
    w->codes = c->in[1]->data;
    w->scales = c->in[2]->data;
    memcpy(dims, a->dims, sizeof dims);
    dims[a->rank - 1] = w->n;
    return fvlm_judge_make(c, 0, a->type, a->rank, dims);
}

static fvlm_status want_count(const fvlm_judge_call *c, size_t input, uint64_t n)
{
    if (c->in[input]->n == n) return FVLM_OK;
    return fvlm_judge_refuse(c, "input %zu has %" PRIu64 " elements, expected %" PRIu64, input, c->in[input]->n, n);
}

static void add_bias(fvlm_judge_value *v, const float *bias, uint64_t n)
{
    for (uint64_t i = 0; i < v->n; i++) ((float *)v->data)[i] += bias[i % n];
}

/* accuracy_level is the least precision that a kernel may compute in, and weight_prepacked 0 the layout of files. */
static fvlm_status run_nbits(fvlm_judge_call *c)
{
    weights w;
    const fvlm_judge_value *zeros = fvlm_judge_in(c, 3), *bias = fvlm_judge_in(c, 5);
    int64_t bits, prepacked;
    fvlm_status st = read_sizes(&w, c);
    if (!st) st = fvlm_judge_attr_int(c, "bits", 4, &bits);
    if (!st) st = fvlm_judge_attr_int(c, "weight_prepacked", 0, &prepacked);
    if (st) return st;
    if (bits != 2 && bits != 4 && bits != 8)
        return fvlm_judge_unsupported(c, "%" PRId64 " bits are not supported", bits);
    if (prepacked) return fvlm_judge_unsupported(c, "prepacked weights are not supported");
    if (fvlm_judge_in(c, 4)) return fvlm_judge_unsupported(c, "g_idx is not supported");
    w.bits = (unsigned)bits;
    w.blocks = (w.k + w.block - 1) / w.block;
    st = want_count(c, 1, w.n * w.blocks * (w.block * w.bits / 8));
    if (!st) st = want_count(c, 2, w.n * w.blocks);
    if (!st && zeros && zeros->type == FVLM_ONNX_U8) {
        w.packed_zeros = zeros->data;
        st = want_count(c, 3, w.n * ((w.blocks * w.bits + 7) / 8));
    } else if (!st && zeros) {
        w.zeros = zeros->data;
        st = fvlm_judge_want_float(c, 3);
        if (!st) st = want_count(c, 3, w.n * w.blocks);
    }
    if (!st && bias) st = fvlm_judge_want_float(c, 5);
    if (!st && bias) st = want_count(c, 5, w.n);
    if (!st) st = multiply(&w, c, decode_nbits);
    if (!st && bias) add_bias(&c->out[0], bias->data, w.n);
    return st;
}

/* Of bitsandbytes: onnxruntime's blockwise_quant_block_bnb4.h. */
static const float tables[2][16] = {
    {0.0F, 5.208333333e-03F, 0.66666667F, 1.0F, 0.33333333F, 0.5F, 0.16666667F, 0.25F, -0.0F, -5.208333333e-03F,
     -0.66666667F, -1.0F, -0.33333333F, -0.5F, -0.16666667F, -0.25F},
    {-1.0F, -0.6961928009986877F, -0.5250730514526367F, -0.39491748809814453F, -0.28444138169288635F,
     -0.18477343022823334F, -0.09105003625154495F, 0.0F, 0.07958029955625534F, 0.16093020141124725F,
     0.24611230194568634F, 0.33791524171829224F, 0.44070982933044434F, 0.5626170039176941F, 0.7229568362236023F, 1.0F},
};

static fvlm_status run_bnb4(fvlm_judge_call *c)
{
    weights w;
    int64_t type;
    bool training, transposed;
    fvlm_status st = read_sizes(&w, c);
    if (!st) st = fvlm_judge_attr_int(c, "quant_type", 1, &type);
    if (!st) st = fvlm_judge_attr_flag(c, "training_mode", false, &training);
    if (!st) st = fvlm_judge_attr_flag(c, "transB", true, &transposed);
    if (st) return st;
    if (type < 0 || type > 1 || !transposed)
        return fvlm_judge_unsupported(c, "quant_type %" PRId64 ", transB %d are not supported", type, transposed);
    w.table = tables[type];
    st = want_count(c, 1, (w.n * w.k + 1) / 2);
    if (!st) st = want_count(c, 2, (w.n * w.k + w.block - 1) / w.block);
    return st ? st : multiply(&w, c, decode_bnb4);
}

/* ---- GatherBlockQuantized ---- */

typedef struct {
    const fvlm_judge_value *data, *indices, *scales, *zeros;
    unsigned axis, quantized;           /* that is gathered; along which blocks lie */
    uint64_t dims[FVLM_GRAPH_MAX_RANK]; /* of the decoded data */
    uint64_t block;
    unsigned packed; /* codes in a byte of UINT8 data */
} blocks;

static int64_t code_of(const fvlm_judge_value *v, uint64_t row, uint64_t column, uint64_t row_length, unsigned packed)
{
    if (packed == 1) return fvlm_judge_get_i64(v, row * row_length + column);
    const uint64_t bytes = (row_length + packed - 1) / packed;
    const unsigned bits = 8 / packed;
    return (int64_t)((unsigned)((const uint8_t *)v->data)[row * bytes + column / packed] >> (column % packed * bits) &
                     ((1U << bits) - 1));
}

/* Element i of the decoded data, row-major. */
static float decode_one(const blocks *g, uint64_t i)
{
    const unsigned rank = g->data->rank;
    const uint64_t last = g->dims[rank - 1], zero_last = g->scales->dims[rank - 1];
    uint64_t rest = i, step = 1, at = 0;
    for (unsigned d = rank; d-- > 0; rest /= g->dims[d]) {
        at += rest % g->dims[d] / (d == g->quantized ? g->block : 1) * step;
        step *= g->scales->dims[d];
    }
    const int64_t code = code_of(g->data, i / last, i % last, last, g->packed);
    int64_t zero = g->data->type == FVLM_ONNX_U8 ? 1 << (8 / g->packed - 1) : 0;
    if (g->zeros) zero = code_of(g->zeros, at / zero_last, at % zero_last, zero_last, g->packed);
    return (float)(code - zero) * (float)fvlm_judge_get_f64(g->scales, at);
}

static fvlm_status read_gather(blocks *g, const fvlm_judge_call *c)
{
    int64_t axis, quantized, block, bits;
    const fvlm_judge_value *data = c->in[0];
    fvlm_status st = fvlm_judge_attr_int(c, "gather_axis", 0, &axis);
    if (!st) st = fvlm_judge_attr_int(c, "quantize_axis", 1, &quantized);
    if (!st) st = fvlm_judge_attr_int(c, "block_size", 128, &block);
    if (!st) st = fvlm_judge_attr_int(c, "bits", 4, &bits);
    if (!st) st = fvlm_judge_axis(c, axis, data->rank, &g->axis);
    if (!st) st = fvlm_judge_axis(c, quantized, data->rank, &g->quantized);
    if (!st) st = fvlm_judge_want_float(c, 2);
    if (!st && c->in[1]->type != FVLM_ONNX_I32) st = fvlm_judge_want_type(c, 1, FVLM_ONNX_I64);
    if (st) return st;
    const bool bytes = data->type == FVLM_ONNX_U8;
    if (!bytes && data->type != FVLM_ONNX_U4 && data->type != FVLM_ONNX_I4) return fvlm_judge_refuse_type(c, 0);
    if (block < 16 || block > 1 << 20 || block & (block - 1) ||
        (bytes ? bits != 2 && bits != 4 && bits != 8 : bits != 4))
        return fvlm_judge_refuse(c, "block_size %" PRId64 " and %" PRId64 " bits", block, bits);
    if (bytes && (g->axis != 0 || g->quantized != data->rank - 1))
        return fvlm_judge_unsupported(c, "UINT8 codes that are not gathered by rows");
    g->block = (uint64_t)block;
    g->packed = bytes ? 8 / (unsigned)bits : 1;
    memcpy(g->dims, data->dims, sizeof g->dims);
    if (!fvlm_checked_mul(g->dims[data->rank - 1], g->packed, &g->dims[data->rank - 1]) || !data->n)
        return fvlm_judge_refuse(c, "an input of no elements");
    return FVLM_OK;
}

static fvlm_status check_scales(blocks *g, const fvlm_judge_call *c)
{
    uint64_t dims[FVLM_GRAPH_MAX_RANK];
    const unsigned rank = g->data->rank;
    memcpy(dims, g->dims, sizeof dims);
    dims[g->quantized] = dims[g->quantized] / g->block + (dims[g->quantized] % g->block != 0);
    fvlm_status st = fvlm_judge_want_shape(c, 2, rank, dims);
    if (st || !g->zeros) return st;
    dims[rank - 1] = (dims[rank - 1] + g->packed - 1) / g->packed;
    st = fvlm_judge_want_type(c, 3, g->data->type);
    return st ? st : fvlm_judge_want_shape(c, 3, rank, dims);
}

static fvlm_status run_gather(fvlm_judge_call *c)
{
    blocks g = {.data = c->in[0], .indices = c->in[1], .scales = c->in[2], .zeros = fvlm_judge_in(c, 3)};
    uint64_t dims[2 * FVLM_GRAPH_MAX_RANK];
    fvlm_status st = read_gather(&g, c);
    if (!st) st = check_scales(&g, c);
    if (st) return st;
    const unsigned rank = g.data->rank, n_index = g.indices->rank;
    memcpy(dims, g.dims, g.axis * sizeof *dims);
    memcpy(dims + g.axis, g.indices->dims, n_index * sizeof *dims);
    memcpy(dims + g.axis + n_index, g.dims + g.axis + 1, (rank - g.axis - 1) * sizeof *dims);
    st = fvlm_judge_make(c, 0, g.scales->type, rank + n_index - 1, dims);
    if (st || !c->out[0].n) return st;
    fvlm_judge_value shape = *g.data;
    memcpy(shape.dims, g.dims, sizeof shape.dims);
    const uint64_t inner = fvlm_judge_span(&shape, g.axis + 1, rank), n = g.dims[g.axis];
    float *out = c->out[0].data;
    for (uint64_t i = 0; i < c->out[0].n / inner; i++) {
        const int64_t given = fvlm_judge_get_i64(g.indices, i % g.indices->n),
                      at = given < 0 ? given + (int64_t)n : given;
        if (at < 0 || (uint64_t)at >= n)
            return fvlm_judge_refuse(c, "index %" PRId64 " into a dimension of %" PRIu64, given, n);
        for (uint64_t k = 0; k < inner; k++) *out++ = decode_one(&g, (i / g.indices->n * n + (uint64_t)at) * inner + k);
    }
    return FVLM_OK;
}

const fvlm_judge_row fvlm_judge_rows_packed[] = {
    {MICROSOFT, "MatMulNBits", 0, 3, 6, 1, 0, 0, run_nbits, "K N bits block_size accuracy_level weight_prepacked"},
    {MICROSOFT, "MatMulBnb4", 0, 3, 3, 1, 0, 0, run_bnb4, "K N block_size quant_type training_mode transB"},
    {MICROSOFT, "GatherBlockQuantized", 0, 3, 4, 1, 0, 0, run_gather, "gather_axis quantize_axis block_size bits"},
    {0},
};
