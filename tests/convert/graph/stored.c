/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: a weight is read as the file means it, however it is stored: floats of each type, transposed or not, a part
 * of the rows, any range; integers of each of onnxruntime's operators, with and without zero points. Every value is
 * compared bit for bit with the operators' formulas, computed here an element at a time. Which of them are one of the
 * container's types, and that their codes mean the same. What does not fit is refused. One file, however long: every
 * case goes through the same maker of graphs and the same formulas. */
#include <math.h>

#include "convert/graph/stored.h"
#include "format/base/bits.h"
#include "tests/support/check.h"
#include "tests/support/support.h"

enum { MAX = 1 << 17 };

/* A weight under test: what is stored, and the value that each element [row][column] must have. */
static struct {
    fvlm_graph_tensor tensor, scales, zeros;
    uint8_t bytes[MAX], scale_bytes[MAX], zero_bytes[MAX];
    fvlm_match_part part;
    size_t rows, columns;
    float want[MAX];
} w;

static test_rng rng = {5};

static float half(uint16_t h, int32_t type)
{
    return type == FVLM_ONNX_F16 ? fvlm_f16_to_f32(h) : fvlm_bf16_to_f32(h);
}

/* Random floats of a type, n of them. */
static void fill_floats(fvlm_graph_tensor *t, uint8_t *bytes, int32_t type, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const float x = test_normal(&rng);
        const uint16_t h = type == FVLM_ONNX_F16 ? fvlm_f32_to_f16(x) : fvlm_f32_to_bf16(x);
        if (type == FVLM_ONNX_F32)
            memcpy(bytes + 4 * i, &x, 4);
        else
            memcpy(bytes + 2 * i, &h, 2);
    }
    *t = (fvlm_graph_tensor){.name = "t", .type = type, .n_elems = n, .bytes = bytes};
    t->n_bytes = n * (type == FVLM_ONNX_F32 ? 4 : 2);
}

static float float_of(const fvlm_graph_tensor *t, size_t i)
{
    float x;
    uint16_t h;
    memcpy(&x, t->bytes + 4 * i, t->type == FVLM_ONNX_F32 ? 4 : 0);
    memcpy(&h, t->bytes + 2 * i, 2);
    return t->type == FVLM_ONNX_F32 ? x : half(h, t->type);
}

static void shape(fvlm_graph_tensor *t, unsigned rank, const uint64_t *dims)
{
    t->rank = rank;
    for (unsigned i = 0; i < rank; i++) t->dims[i] = dims[i];
}

#define SHAPE(t, ...) shape(t, sizeof((uint64_t[]){__VA_ARGS__}) / 8, (uint64_t[]){__VA_ARGS__})

/* Random integers of a type, n of them; two of 4 bits share a byte. */
static void fill_integers(fvlm_graph_tensor *t, uint8_t *bytes, int32_t type, size_t n)
{
    const bool nibbles = type == FVLM_ONNX_U4 || type == FVLM_ONNX_I4;
    const size_t n_bytes = nibbles ? (n + 1) / 2 : n;
    test_fill(&rng, bytes, n_bytes);
    *t = (fvlm_graph_tensor){.name = "t", .type = type, .n_elems = n, .bytes = bytes, .n_bytes = n_bytes};
}

/* The signed or unsigned integer, as ONNX has it. */
static int integer_of(const fvlm_graph_tensor *t, size_t i)
{
    const int nibble = t->bytes[i / 2] >> (i % 2 ? 4 : 0) & 15;
    switch (t->type) {
    case FVLM_ONNX_U8:
        return t->bytes[i];
    case FVLM_ONNX_I8:
        return (int8_t)t->bytes[i];
    case FVLM_ONNX_U4:
        return nibble;
    default:
        return nibble < 8 ? nibble : nibble - 16;
    }
}

/* Reads random ranges of part rows and compares; then the codes. Returns the container's type. */
static fvlm_type check(const char *what)
{
    static uint8_t got[4 * MAX], codes[MAX];
    static float scales[MAX];
    static double offsets[MAX];
    fvlm_stored s;
    fvlm_err err;
    w.part.weight.tensor = &w.tensor;
    w.part.first_row = test_below(&rng, w.rows);
    w.part.n_rows = 1 + test_below(&rng, w.rows - w.part.first_row);
    must(fvlm_stored_bind(&s, &w.part, w.columns, what, &err), &err);
    for (int i = 0; i < 12; i++) {
        fvlm_stored_range q = {0, w.part.n_rows, 0, w.columns};
        if (i) {
            q.first = test_below(&rng, w.part.n_rows), q.n_rows = 1 + test_below(&rng, w.part.n_rows - q.first);
            q.from = test_below(&rng, w.columns), q.n_columns = 1 + test_below(&rng, w.columns - q.from);
        }
        fvlm_stored_read(&s, q, FVLM_SOURCE_F32, got);
        for (size_t r = 0; r < q.n_rows; r++)
            for (size_t c = 0; c < q.n_columns; c++) {
                float x, want = w.want[(w.part.first_row + q.first + r) * w.columns + q.from + c];
                memcpy(&x, got + 4 * (r * q.n_columns + c), 4);
                if (fvlm_f32_bits(x) != fvlm_f32_bits(want))
                    fail_msg("%s: row %zu, column %zu is %a, expected %a", what, r, c, (double)x, (double)want);
            }
    }
    const fvlm_type type = fvlm_stored_type(&s);
    if (!type.kind) return type;
    const size_t group = type.group ? type.group : w.columns, groups = (w.columns + group - 1) / group;
    fvlm_stored_codes(&s, 0, w.part.n_rows, type, (fvlm_source_codes){codes, scales, offsets});
    for (size_t r = 0; r < w.part.n_rows; r++)
        for (size_t c = 0; c < w.columns; c++) {
            const size_t g = r * groups + c / group;
            const float z = (float)(-offsets[g] / (double)scales[g]); /* exact, since the offset is -scale * z */
            const float x = scales[g] * ((float)codes[r * w.columns + c] - z);
            const float want = w.want[(w.part.first_row + r) * w.columns + c];
            if (codes[r * w.columns + c] >> type.bits) fail_msg("%s: a code beyond %u bits", what, type.bits);
            if (!type.asymmetric) assert_true(offsets[g] == -(double)scales[g] * (1 << (type.bits - 1)));
            if (fvlm_f32_bits(x) != fvlm_f32_bits(want)) fail_msg("%s: codes at row %zu, column %zu", what, r, c);
        }
    return type;
}

static void check_type(const char *what, const char *name)
{
    char text[24];
    const fvlm_type type = check(what);
    const char *got = type.kind ? fvlm_type_name(type, text) : "none";
    if (strcmp(got, name)) fail_msg("%s: type %s, expected %s", what, got, name);
}

/* ---- floats ---- */

static void floats(void **state)
{
    (void)state;
    static const int32_t types[] = {FVLM_ONNX_F32, FVLM_ONNX_F16, FVLM_ONNX_BF16};
    static const size_t sizes[][2] = {{1, 1}, {1, 70}, {70, 1}, {64, 64}, {65, 130}, {200, 67}, {3, 500}};
    for (size_t i = 0; i < 3 * 7 * 4; i++) {
        char what[64];
        const size_t *size = sizes[i % 7];
        const int32_t type = types[i / 7 % 3];
        const bool by_weight = i / 21 & 1, by_part = i / 42 & 1, swapped = by_weight != by_part;
        memset(&w.part, 0, sizeof w.part);
        w.rows = size[0], w.columns = size[1];
        fill_floats(&w.tensor, w.bytes, type, w.rows * w.columns);
        if (swapped)
            SHAPE(&w.tensor, 1, w.columns, w.rows);
        else
            SHAPE(&w.tensor, w.rows, w.columns);
        w.part.transposed = by_part, w.part.weight.transposed = by_weight;
        for (size_t r = 0; r < w.rows; r++)
            for (size_t c = 0; c < w.columns; c++)
                w.want[r * w.columns + c] = float_of(&w.tensor, swapped ? c * w.rows + r : r * w.columns + c);
        snprintf(what, sizeof what, "type %d, %zu x %zu, %d %d", type, size[0], size[1], by_weight, by_part);
        check_type(what, "none");
    }
    memset(&w.part, 0, sizeof w.part); /* a kernel, and a layer scale stored as [1, c, 1, 1] */
    fill_floats(&w.tensor, w.bytes, FVLM_ONNX_F32, (size_t)6 * 4 * 9);
    SHAPE(&w.tensor, 6, 4, 3, 3);
    w.rows = 6, w.columns = 36;
    for (size_t i = 0; i < 6 * 36; i++) w.want[i] = float_of(&w.tensor, i);
    check("a kernel");
    SHAPE(&w.tensor, 1, 216, 1, 1);
    w.rows = 216, w.columns = 1;
    check("a vector");
}

/* The type that is stored is copied as it is. */
static void floats_as_stored(void **state)
{
    (void)state;
    fvlm_stored s;
    fvlm_err err;
    uint16_t got[90];
    fill_floats(&w.tensor, w.bytes, FVLM_ONNX_F16, 90);
    SHAPE(&w.tensor, 9, 10);
    w.part = (fvlm_match_part){.weight.tensor = &w.tensor, .transposed = true, .first_row = 3, .n_rows = 5};
    must(fvlm_stored_bind(&s, &w.part, 9, "x", &err), &err);
    assert_int_equal(s.elements.type, FVLM_SOURCE_F16);
    fvlm_stored_read(&s, (fvlm_stored_range){0, 5, 0, 9}, FVLM_SOURCE_F16, (uint8_t *)got);
    for (size_t r = 0; r < 5; r++)
        for (size_t c = 0; c < 9; c++) assert_memory_equal(&got[r * 9 + c], w.bytes + 2 * (c * 10 + 3 + r), 2);
}

/* ---- integers ---- */

static fvlm_packed *pack(fvlm_packed_kind kind, unsigned bits, uint64_t block, unsigned axis)
{
    memset(&w.part, 0, sizeof w.part);
    fvlm_packed *k = &w.part.weight.packed;
    *k = (fvlm_packed){.kind = kind, .scales = &w.scales, .bits = bits, .block = block, .axis = axis};
    return k;
}

/* ContribOperators.md, MatMulNBits: B [N][blocks][bytes], zero points in rows of whole bytes, or of the scales' type.
 */
static void nbits(void **state)
{
    (void)state;
    static const uint64_t blocks[] = {16, 32, 64, 128, 256};
    for (size_t i = 0; i < 2 * 5 * 3 * 3; i++) {
        const unsigned bits = i % 2 ? 8 : 4;
        const uint64_t block = blocks[i / 2 % 5];
        const unsigned zero_kind = (unsigned)(i / 10 % 3); /* none, integers, floats */
        const int32_t type = (int32_t[]){FVLM_ONNX_F32, FVLM_ONNX_F16, FVLM_ONNX_BF16}[i / 30];
        const size_t N = 21, K = 200, nb = (K + block - 1) / block, zero_row = bits == 4 ? (nb + 1) / 2 : nb;
        fvlm_packed *k = pack(FVLM_PACKED_NBITS, bits, block, 1);
        w.part.weight.transposed = w.part.transposed = true; /* a MatMul's right side, stored as its transpose */
        w.rows = N, w.columns = K;
        fill_integers(&w.tensor, w.bytes, FVLM_ONNX_U8, N * nb * block * bits / 8);
        SHAPE(&w.tensor, N, nb, block * bits / 8);
        fill_floats(&w.scales, w.scale_bytes, type, N * nb);
        if (zero_kind == 1) fill_integers(&w.zeros, w.zero_bytes, FVLM_ONNX_U8, N * zero_row);
        if (zero_kind == 2) fill_floats(&w.zeros, w.zero_bytes, type, N * nb);
        if (zero_kind) k->zero_points = &w.zeros;
        for (size_t n = 0; n < N; n++)
            for (size_t c = 0; c < K; c++) {
                const size_t b = c / block;
                const uint8_t *row = w.bytes + (n * nb + b) * block * bits / 8;
                const int q = bits == 8 ? row[c % block] : row[c % block / 2] >> (c % 2 ? 4 : 0) & 15;
                float z = bits == 8 ? 128 : 8;
                if (zero_kind == 1)
                    z = bits == 8 ? w.zero_bytes[n * nb + b]
                                  : (float)(w.zero_bytes[n * zero_row + b / 2] >> (b % 2 ? 4 : 0) & 15);
                if (zero_kind == 2) z = float_of(&w.zeros, n * nb + b);
                w.want[n * K + c] = ((float)q - z) * float_of(&w.scales, n * nb + b);
            }
        char what[64], name[32] = "none";
        snprintf(what, sizeof what, "MatMulNBits %u bits, block %d, zeros %u", bits, (int)block, zero_kind);
        if (block == 256)
            snprintf(name, sizeof name, "int%u-%s-row", bits, zero_kind ? "asym" : "sym");
        else if (block > 16)
            snprintf(name, sizeof name, "int%u-%s-g%d", bits, zero_kind ? "asym" : "sym", (int)block);
        check_type(what, name);
    }
}

/* MatMulBnb4: flat nibbles, the first in the high one; the tables of bitsandbytes. */
static void bnb4(void **state)
{
    (void)state;
    static const double fp4[8] = {0, 0.005208333333, 0.66666667, 1, 0.33333333, 0.5, 0.16666667, 0.25};
    static const double nf4[16] = {-1.0,
                                   -0.6961928009986877,
                                   -0.5250730514526367,
                                   -0.39491748809814453,
                                   -0.28444138169288635,
                                   -0.18477343022823334,
                                   -0.09105003625154495,
                                   0.0,
                                   0.07958029955625534,
                                   0.16093020141124725,
                                   0.24611230194568634,
                                   0.33791524171829224,
                                   0.44070982933044434,
                                   0.5626170039176941,
                                   0.7229568362236023,
                                   1.0};
    for (unsigned i = 0; i < 8; i++) {
        const size_t N = 20, K = i & 1 ? 128 : 72, block = i & 2 ? 64 : 16, n_blocks = (N * K + block - 1) / block;
        fvlm_packed *k = pack(FVLM_PACKED_BNB4, 4, block, 0);
        k->table = i / 4;
        w.part.weight.transposed = w.part.transposed = true;
        w.rows = N, w.columns = K;
        fill_integers(&w.tensor, w.bytes, FVLM_ONNX_U8, N * K / 2);
        SHAPE(&w.tensor, N * K / 2);
        fill_floats(&w.scales, w.scale_bytes, FVLM_ONNX_F32, n_blocks);
        for (size_t e = 0; e < N * K; e++) {
            const unsigned q = w.bytes[e / 2] >> (e % 2 ? 0 : 4) & 15;
            const double value = k->table ? nf4[q] : q < 8 ? fp4[q] : -fp4[q - 8];
            w.want[e] = (float)value * float_of(&w.scales, e / block);
        }
        check_type("MatMulBnb4", "none");
    }
}

/* GatherBlockQuantized: blocks along the columns of a table of rows. */
static void gather(void **state)
{
    (void)state;
    static const struct {
        int32_t type;
        unsigned bits;
        float zero; /* the default */
        const char *plain, *with_zeros;
    } kinds[] = {
        {FVLM_ONNX_U4, 4, 0, "int4-asym-g32", "int4-asym-g32"},
        {FVLM_ONNX_I4, 4, 0, "int4-sym-g32", "int4-asym-g32"},
        {FVLM_ONNX_U8, 4, 8, "int4-sym-g32", "int4-asym-g32"},
        {FVLM_ONNX_U8, 8, 128, "int8-sym-g32", "int8-asym-g32"},
    };
    for (size_t i = 0; i < 8; i++) {
        const size_t V = 33, H = 96, nb = 3, k = i % 4;
        const bool pairs = kinds[k].type == FVLM_ONNX_U8 && kinds[k].bits == 4, zeros = i >= 4;
        fvlm_packed *p = pack(FVLM_PACKED_GATHER, kinds[k].bits, 32, 1);
        w.rows = V, w.columns = H;
        fill_integers(&w.tensor, w.bytes, kinds[k].type, pairs ? V * H / 2 : V * H);
        SHAPE(&w.tensor, V, pairs ? H / 2 : H);
        fill_floats(&w.scales, w.scale_bytes, FVLM_ONNX_F16, V * nb);
        if (zeros) {
            fill_integers(&w.zeros, w.zero_bytes, kinds[k].type, pairs ? V * 2 : V * nb);
            p->zero_points = &w.zeros;
        }
        for (size_t r = 0; r < V; r++)
            for (size_t c = 0; c < H; c++) {
                const size_t e = r * H + c, b = r * nb + c / 32;
                const int q = pairs ? w.bytes[e / 2] >> (e % 2 ? 4 : 0) & 15 : integer_of(&w.tensor, e);
                float z = kinds[k].zero;
                if (zeros)
                    z = (float)(pairs ? w.zero_bytes[r * 2 + c / 64] >> (c / 32 % 2 ? 4 : 0) & 15
                                      : integer_of(&w.zeros, b));
                w.want[e] = ((float)q - z) * float_of(&w.scales, b);
            }
        check_type("GatherBlockQuantized", zeros ? kinds[k].with_zeros : kinds[k].plain);
    }
}

/* DequantizeLinear: (x - zero) * scale; per tensor, for each index of an axis, or in blocks along one. */
static void linear(void **state)
{
    (void)state;
    static const int32_t types[] = {FVLM_ONNX_I8, FVLM_ONNX_U8, FVLM_ONNX_I4, FVLM_ONNX_U4};
    static const struct {
        bool swapped;
        unsigned axis; /* 2: per tensor */
        uint64_t block;
        const char *group; /* of the container's type */
    } ways[] = {
        {false, 2, 0, "row"}, {true, 2, 0, "row"}, {false, 0, 0, "row"},  {false, 1, 0, NULL},
        {true, 0, 0, NULL},   {true, 1, 0, "row"}, {false, 1, 32, "g32"}, {false, 0, 8, NULL},
        {true, 0, 64, "g64"}, {true, 1, 16, NULL}, {true, 0, 20, NULL},   {true, 0, 128, "g128"},
    };
    for (size_t i = 0; i < 12 * 4 * 2; i++) {
        const size_t way = i % 12, R = 26, C = 160;
        const int32_t type = types[i / 12 % 4];
        const bool zeros = i / 48 & 1, is_signed = type == FVLM_ONNX_I8 || type == FVLM_ONNX_I4;
        const bool swapped = ways[way].swapped;
        const unsigned bits = i / 12 % 4 < 2 ? 8 : 4, axis = ways[way].axis;
        const uint64_t block = ways[way].block;
        const size_t d[2] = {swapped ? C : R, swapped ? R : C};
        const size_t nb = axis < 2 && block ? (d[axis] + block - 1) / block : 1;
        const size_t n = axis == 2 ? 1 : block ? d[1 - axis] * nb : d[axis];
        fvlm_packed *k = pack(FVLM_PACKED_LINEAR, bits, block, axis == 2 ? 1 : axis);
        w.part.transposed = swapped;
        w.rows = R, w.columns = C;
        fill_integers(&w.tensor, w.bytes, type, R * C);
        SHAPE(&w.tensor, d[0], d[1]);
        fill_floats(&w.scales, w.scale_bytes, FVLM_ONNX_F32, n);
        if (zeros) fill_integers(&w.zeros, w.zero_bytes, type, n);
        if (zeros) k->zero_points = &w.zeros;
        for (size_t r = 0; r < R; r++)
            for (size_t c = 0; c < C; c++) {
                const size_t x = swapped ? c : r, y = swapped ? r : c;
                const size_t s = axis == 2 ? 0
                                 : !block  ? (axis ? y : x)
                                 : axis    ? x * nb + y / block
                                           : x / block * d[1] + y;
                const float z = zeros ? (float)integer_of(&w.zeros, s) : 0;
                w.want[r * C + c] = ((float)integer_of(&w.tensor, x * d[1] + y) - z) * float_of(&w.scales, s);
            }
        char what[64], name[32] = "none";
        snprintf(what, sizeof what, "DequantizeLinear way %zu, type %d, zeros %d", way, type, zeros);
        if (ways[way].group)
            snprintf(name, sizeof name, "int%u-%s-%s", bits, is_signed && !zeros ? "sym" : "asym", ways[way].group);
        check_type(what, name);
    }
    fvlm_packed *k = pack(FVLM_PACKED_LINEAR, 8, 0, 0); /* a convolution, a scale for each output */
    fill_integers(&w.tensor, w.bytes, FVLM_ONNX_I8, (size_t)12 * 5 * 9);
    SHAPE(&w.tensor, 12, 5, 3, 3);
    fill_floats(&w.scales, w.scale_bytes, FVLM_ONNX_F32, 12);
    fill_integers(&w.zeros, w.zero_bytes, FVLM_ONNX_I8, 12);
    memset(w.zero_bytes, 0, 12); /* zero points of 0 are as good as none */
    k->zero_points = &w.zeros;
    w.rows = 12, w.columns = 45;
    for (size_t e = 0; e < 12 * 45; e++) w.want[e] = (float)integer_of(&w.tensor, e) * float_of(&w.scales, e / 45);
    check_type("a convolution", "int8-sym-row");
    k->axis = 1; /* a scale for each input channel */
    w.scales.n_elems = w.zeros.n_elems = 5;
    for (size_t e = 0; e < 12 * 45; e++) w.want[e] = (float)integer_of(&w.tensor, e) * float_of(&w.scales, e / 9 % 5);
    check_type("a convolution", "none");
}

/* ---- refusals ---- */

static void refused(const char *message)
{
    fvlm_stored s;
    fvlm_err err = {0};
    w.part.weight.tensor = &w.tensor;
    if (!w.part.n_rows) w.part.n_rows = w.rows;
    if (!fvlm_stored_bind(&s, &w.part, w.columns, "\"x.onnx: w\"", &err)) fail_msg("not refused: %s", message);
    char want[300];
    snprintf(want, sizeof want, "\"x.onnx: w\": %s", message);
    assert_string_equal(err.msg, want);
}

static void start_floats(void)
{
    memset(&w.part, 0, sizeof w.part);
    w.rows = 6, w.columns = 10;
    fill_floats(&w.tensor, w.bytes, FVLM_ONNX_F32, 60);
    SHAPE(&w.tensor, 6, 10);
}

static fvlm_packed *start_nbits(void)
{
    fvlm_packed *k = pack(FVLM_PACKED_NBITS, 4, 32, 1);
    w.rows = 6, w.columns = 100;
    fill_integers(&w.tensor, w.bytes, FVLM_ONNX_U8, 6 * 4 * 16);
    SHAPE(&w.tensor, 6, 4, 16);
    fill_floats(&w.scales, w.scale_bytes, FVLM_ONNX_F32, 24);
    fill_integers(&w.zeros, w.zero_bytes, FVLM_ONNX_U8, 12);
    k->zero_points = &w.zeros;
    return k;
}

static fvlm_packed *start_linear(void)
{
    fvlm_packed *k = pack(FVLM_PACKED_LINEAR, 8, 0, 0);
    w.rows = 6, w.columns = 10;
    fill_integers(&w.tensor, w.bytes, FVLM_ONNX_I8, 60);
    SHAPE(&w.tensor, 6, 10);
    fill_floats(&w.scales, w.scale_bytes, FVLM_ONNX_F32, 6);
    fill_integers(&w.zeros, w.zero_bytes, FVLM_ONNX_I8, 6);
    k->zero_points = &w.zeros;
    return k;
}

static void refusals(void **state)
{
    (void)state;
    start_floats(), w.tensor.type = FVLM_ONNX_F64;
    refused("weights that are not FLOAT, FLOAT16 or BFLOAT16; export the model in float32");
    start_floats(), w.columns = 7;
    refused("60 elements, a multiple of the columns, expected 7");
    start_floats(), w.columns = 0;
    refused("60 elements, a multiple of the columns, expected 0");
    start_floats(), w.part.n_rows = 7;
    refused("6 rows, expected 7");
    start_floats(), w.part.first_row = 1, w.part.n_rows = 6;
    refused("6 rows, expected 7");
    start_floats(), w.part.first_row = UINT64_MAX, w.part.n_rows = 6;
    refused("6 rows, expected 18446744073709551615");
    start_floats(), w.columns = 15, w.part.n_rows = 4;
    refused("6 rows in the file, expected 4");
    start_floats(), w.part.transposed = true;
    refused("10 columns in the file, expected 6");
    start_floats(), w.part.transposed = true, w.columns = 4, w.part.n_rows = 15;
    SHAPE(&w.tensor, 2, 2, 15);
    refused("a transposed weight of more than two dimensions");
    start_nbits()->block = 0;
    refused("blocks of a kind that is not known");
    start_nbits(), w.part.transposed = true;
    refused("blocks of a kind that is not known");
    start_nbits(), w.columns = 140;
    refused("384 bytes, expected 480");
    start_nbits()->block = 64;
    refused("24 scales, expected 12");
    start_nbits(), w.part.first_row = 5, w.part.n_rows = 2;
    refused("6 rows, expected 2");
    start_nbits()->bits = 2;
    refused("integers of a size that is not known");
    start_nbits()->bits = 16;
    refused("integers of a size that is not known");
    start_nbits(), w.tensor.type = FVLM_ONNX_I32;
    refused("integers of a size that is not known");
    start_nbits()->scales = NULL;
    refused("scales that are not FLOAT, FLOAT16 or BFLOAT16");
    start_nbits(), w.scales.type = FVLM_ONNX_F64;
    refused("scales that are not FLOAT, FLOAT16 or BFLOAT16");
    start_nbits(), w.scales.n_elems = 23;
    refused("23 scales, expected 24");
    start_nbits(), w.zeros.n_elems = 13;
    refused("13 bytes of zero points, expected 12");
    start_nbits(), fill_floats(&w.zeros, w.zero_bytes, FVLM_ONNX_F32, 23);
    refused("23 zero points, expected 24");
    start_nbits(), w.zeros.type = FVLM_ONNX_I8;
    refused("zero points of another type than the weights");
    start_nbits(), w.zeros.type = FVLM_ONNX_I64;
    refused("zero points of another type than the weights");
    start_nbits()->kind = FVLM_PACKED_BNB4, w.part.weight.packed.block = 0, w.columns = 128;
    refused("blocks or a code table of a kind that is not known");
    start_nbits()->kind = FVLM_PACKED_BNB4, w.part.weight.packed.table = 2, w.columns = 128;
    refused("blocks or a code table of a kind that is not known");
    start_nbits()->kind = FVLM_PACKED_BNB4, w.columns = 100;
    refused("768 elements, a multiple of the columns, expected 100");
    start_nbits()->kind = FVLM_PACKED_BNB4, w.columns = 128, w.scales.n_elems = 25;
    refused("25 scales, expected 24");
    start_linear()->axis = 2;
    refused("a quantization axis that the weight does not have");
    start_linear()->axis = 1;
    refused("6 scales, expected 10");
    start_linear()->block = 4;
    refused("6 scales, expected 20");
    start_linear(), w.zeros.n_elems = 1;
    refused("1 zero points, expected 6");
    start_linear(), w.zeros.type = FVLM_ONNX_U8;
    refused("zero points of another type than the weights");
    start_linear(), w.zeros.type = FVLM_ONNX_F32;
    refused("zero points of another type than the weights");
    start_linear(), w.scales.type = FVLM_ONNX_I8;
    refused("scales that are not FLOAT, FLOAT16 or BFLOAT16");
    start_linear(), w.part.transposed = true;
    refused("10 columns in the file, expected 6");
    start_linear(), w.tensor.type = FVLM_ONNX_I32;
    refused("integers of a size that is not known");
    start_linear(), w.part.n_rows = 7;
    refused("6 rows, expected 7");
    start_floats();
    w.part.weight.tensor = NULL;
    fvlm_stored s;
    fvlm_err err;
    w.part.n_rows = 6;
    assert_int_equal(fvlm_stored_bind(&s, &w.part, 10, "w", &err), FVLM_UNSUPPORTED);
    assert_string_equal(err.msg, "w: a weight that is computed in the graph");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(floats),   cmocka_unit_test(floats_as_stored), cmocka_unit_test(nbits),
        cmocka_unit_test(bnb4),     cmocka_unit_test(gather),           cmocka_unit_test(linear),
        cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
