/* SPDX-License-Identifier: Apache-2.0 */
/* harness.c - any bytes as the description of a weight: shapes, types, packing and which part of it is asked for. It is
 * refused, or every range of it can be read, and its codes where it has a type of the container. The tensors have as
 * many bytes as their types and shapes need, which convert/graph/graph.h promises, and not one more. */
#include "convert/graph/stored.h"
#include "tests/fuzz/harness.h"

static const uint8_t *at, *end;

static unsigned byte(void)
{
    return at < end ? *at++ : 0;
}

/* A tensor of small dimensions; its bytes are exactly as long as they have to be. */
static fvlm_graph_tensor tensor(void)
{
    static const int32_t types[] = {FVLM_ONNX_F32, FVLM_ONNX_F16, FVLM_ONNX_BF16, FVLM_ONNX_U8,
                                    FVLM_ONNX_I8,  FVLM_ONNX_U4,  FVLM_ONNX_I4,   FVLM_ONNX_I32};
    static const uint64_t dims[] = {1, 2, 3, 4, 5, 8, 16, 17, 32, 33, 48, 64, 65, 0, 7, 6};
    fvlm_graph_tensor t = {.name = "t", .type = types[byte() % 8], .rank = byte() % 5, .n_elems = 1};
    for (unsigned i = 0; i < t.rank; i++) t.n_elems *= t.dims[i] = t.n_elems < 20000 ? dims[byte() % 16] : 1;
    t.n_bytes = (t.n_elems * fvlm_onnx_type_bits(t.type) + 7) / 8;
    uint8_t *bytes = malloc(t.n_bytes ? (size_t)t.n_bytes : 1);
    MUST(bytes);
    for (size_t i = 0; i < t.n_bytes; i++) bytes[i] = (uint8_t)(i * 37 + t.rank);
    t.bytes = bytes;
    return t;
}

static void read_all(const fvlm_stored *s)
{
    static volatile uint64_t sum;
    const size_t rows = (size_t)s->n_rows, columns = (size_t)s->columns;
    const unsigned as = s->elements.type ? s->elements.type : FVLM_SOURCE_F32;
    uint8_t *out = malloc(rows * columns * 4 + 1);
    MUST(out);
    fvlm_stored_read(s, (fvlm_stored_range){0, rows, 0, columns}, as, out);
    fvlm_stored_read(s, (fvlm_stored_range){rows / 2, rows - rows / 2, columns / 2, columns - columns / 2},
                     FVLM_SOURCE_F32, out);
    for (size_t i = 0; i < rows * columns; i++) sum += out[i];
    free(out);
    const fvlm_type type = fvlm_stored_type(s);
    if (!type.kind) return;
    MUST(fvlm_type_valid(type));
    const size_t group = type.group ? type.group : columns, groups = (columns + group - 1) / group;
    fvlm_source_codes to = {malloc(rows * columns + 1), malloc(rows * groups * 4 + 1), malloc(rows * groups * 8 + 1)};
    MUST(to.codes && to.scales && to.offsets);
    fvlm_stored_codes(s, 0, rows, type, to);
    for (size_t i = 0; i < rows * columns; i++) MUST(to.codes[i] >> type.bits == 0);
    free(to.codes);
    free(to.scales);
    free(to.offsets);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint64_t blocks[] = {0, 1, 2, 3, 4, 8, 16, 32, 64, 128, 256, UINT64_MAX, 5, 7, 20, 24};
    static const unsigned bits[] = {4, 8, 4, 8, 0, 2, 16, 1000};
    at = data, end = data + size;
    fvlm_graph_tensor weight = tensor(), scales = tensor(), zeros = tensor();
    const unsigned flags = byte();
    fvlm_match_part p = {.transposed = flags & 1, .first_row = byte() % 40, .n_rows = byte() % 40};
    p.weight.tensor = &weight;
    p.weight.transposed = flags & 2;
    p.weight.packed = (fvlm_packed){.kind = (fvlm_packed_kind)(byte() % 5),
                                    .scales = flags & 4 ? NULL : &scales,
                                    .zero_points = flags & 8 ? NULL : &zeros,
                                    .bits = bits[byte() % 8],
                                    .block = blocks[byte() % 16],
                                    .axis = byte() % 5,
                                    .table = byte() % 3};
    uint64_t columns = byte();
    if (flags & 16) columns = weight.rank ? weight.n_elems / (weight.dims[0] ? weight.dims[0] : 1) : 1;
    if (flags & 32) p.first_row = UINT64_MAX - byte();
    fvlm_stored s;
    fvlm_err err = {0};
    const fvlm_status st = fvlm_stored_bind(&s, &p, columns, "w", &err);
    must_explain(st, &err);
    if (!st && s.n_rows && s.n_rows * s.columns < 1u << 16) read_all(&s);
    free((void *)(uintptr_t)weight.bytes);
    free((void *)(uintptr_t)scales.bytes);
    free((void *)(uintptr_t)zeros.bytes);
    return 0;
}
