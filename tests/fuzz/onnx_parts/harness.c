/* SPDX-License-Identifier: Apache-2.0 */
/* harness.c - edits anywhere in the ONNX files of small towers and decoders: matched, or refused with a message. The
 * first byte chooses the file, every two further bytes are an edit, mostly of a node: bytes of a name or a number,
 * another operator, another value's name, a field left out, put twice, or exchanged. */
#include "convert/graph/match.h"
#include "tests/fuzz/onnx.h"
#include "tests/support/onnx_decoder.h"
#include "tests/support/onnx_tower.h"

enum { N_TOWERS = 6, N_DECODERS = 5, N_BASES = N_TOWERS + N_DECODERS, MAX_NAMES = 4096, MAX_EDITS = 8 };

typedef struct {
    onnx_bytes file;
    struct {
        const uint8_t *bytes;
        size_t n;
    } names[MAX_NAMES]; /* of values */
    size_t n_names;
} base;

static base bases[N_BASES], *current;

/* ---- the files ---- */

static void collect(base *b, const uint8_t *bytes, size_t n, unsigned depth)
{
    /* model 7 graph; graph 1 nodes, 5 initializers; their names */
    fvlm_wire w = {bytes, bytes + n, NULL};
    fvlm_wire_field f;
    while (fvlm_wire_next(&w, &f)) {
        if (f.type != FVLM_WIRE_BYTES) continue;
        if (depth == 0 && f.number == 7) collect(b, f.bytes, (size_t)f.n_bytes, 1);
        if (depth == 1 && (f.number == 1 || f.number == 5)) collect(b, f.bytes, (size_t)f.n_bytes, 1 + f.number);
        if (((depth == 2 && f.number == 2) || (depth == 6 && f.number == 8)) && b->n_names < MAX_NAMES) {
            b->names[b->n_names].bytes = f.bytes;
            b->names[b->n_names++].n = (size_t)f.n_bytes;
        }
    }
}

static void make_towers(void)
{
    static const tower_style styles[N_TOWERS] = {
        {0},
        {.gelu = GELU_OPERATOR, .norm = NORM_OPERATOR, .linear = LINEAR_MATMUL, .qkv = QKV_SPLIT, .pool = POOL_MEAN},
        {.gelu = GELU_HALF_INNER, .norm = NORM_MUL, .linear = LINEAR_GEMM, .qkv = QKV_SLICE, .scale = SCALE_SCORES},
        {.norm = NORM_POWER_HALF, .qkv = QKV_CONV, .pool = POOL_GLOBAL, .dynamic = true, .without_projector = true},
        {.qkv = QKV_MULTI_HEAD, .swap = true},
        {0},
    };
    for (int i = 0; i < N_TOWERS; i++) {
        test_checkpoint c;
        test_checkpoint_make(&c, i == N_TOWERS - 1, FVLM_SOURCE_F32);
        onnx_model m = onnx_tower(&c, &styles[i]);
        bases[i].file = onnx_finish(&m);
        test_checkpoint_free(&c);
    }
}

static void make_decoders(void)
{
    static const decoder_style styles[N_DECODERS] = {
        {.norm = DECODER_NORM_SPELLED},
        {.norm = DECODER_NORM_DIV, .gemm = true, .ids = true, .no_cache = true},
        {.norm = DECODER_NORM_SKIP, .core = DECODER_CORE_ROTARY},
        {.norm = DECODER_NORM_SKIP, .core = DECODER_CORE_GROUPED, .packed_gate = true, .last_only = true},
        {.norm = DECODER_NORM_SIMPLE, .core = DECODER_CORE_ONNX},
    };
    char path[128];
    snprintf(path, sizeof path, "%s/decoder.onnx", fuzz_folder());
    for (int i = 0; i < N_DECODERS; i++) {
        uint8_t buffer[4096];
        decoder_graph_save(decoder_graph_new(&styles[i]), path);
        FILE *f = fopen(path, "rb");
        MUST(f);
        for (size_t n; (n = fread(buffer, 1, sizeof buffer, f)) > 0;) onnx_append(&bases[N_TOWERS + i].file, buffer, n);
        fclose(f);
    }
    fuzz_remove("decoder.onnx");
}

/* ---- edits ---- */

static const char *const ops[] = {"Add",     "Mul",       "Sub",    "Div",        "Relu",  "Sigmoid", "Erf",
                                  "Gelu",    "Tanh",      "MatMul", "Gemm",       "Conv",  "Softmax", "Transpose",
                                  "Reshape", "Concat",    "Slice",  "Gather",     "Split", "Cast",    "Identity",
                                  "Expand",  "Unsqueeze", "Neg",    "ReduceMean", "Sqrt",  "Pow",     "Constant"};
enum { N_OPS = sizeof ops / sizeof ops[0] };

static size_t leaf(uint8_t *bytes, size_t n, size_t max, uint64_t *state)
{
    const void *from = NULL;
    size_t n_from = 0;
    switch (fuzz_chance(state, 4)) {
    case 0:
        from = ops[fuzz_chance(state, N_OPS)];
        n_from = strlen(from);
        break;
    case 1:
        if (current->n_names) {
            const size_t i = (size_t)fuzz_chance(state, current->n_names);
            from = current->names[i].bytes;
            n_from = current->names[i].n;
        }
        break;
    case 2:
        if (n) bytes[fuzz_chance(state, n)] = (uint8_t)fuzz_chance(state, 256);
        return n;
    default:
        if (n) bytes[fuzz_chance(state, n)] ^= (uint8_t)(1u << fuzz_chance(state, 8));
        return n;
    }
    if (!from || n_from > max) return n;
    memcpy(bytes, from, n_from);
    return n_from;
}

/* A field of a message and where it begins and ends, with its tag. */
typedef struct {
    const uint8_t *begin, *end;
    fvlm_wire_field field;
} place;

/* The which-th field of this number; false if there are fewer, and then *count is how many. */
static bool find(place *out, size_t *count, const uint8_t *bytes, size_t n, uint32_t number, size_t which)
{
    fvlm_wire w = {bytes, bytes + n, NULL};
    for (*count = 0; out->begin = w.at, fvlm_wire_next(&w, &out->field);) {
        out->end = w.at;
        if (out->field.number == number && out->field.type == FVLM_WIRE_BYTES && (*count)++ == which) return true;
    }
    return false;
}

static size_t put_field(uint8_t *out, uint32_t number, size_t n_bytes)
{
    const size_t n = fuzz_put_varint(out, (uint64_t)number << 3 | 2);
    return n + fuzz_put_varint(out + n, n_bytes);
}

/* The node reads another value, or is another operator. Returns its new size. */
static size_t rewire(const fvlm_wire_field *node, uint8_t *out, size_t max, uint64_t *state)
{
    place old;
    size_t count = 0;
    const uint32_t number = fuzz_chance(state, 3) ? 1 : 4;
    const size_t n = (size_t)node->n_bytes;
    find(&old, &count, node->bytes, n, number, SIZE_MAX);
    if (!count || !find(&old, &count, node->bytes, n, number, (size_t)fuzz_chance(state, count)) || n > max / 2)
        return fuzz_edit(node->bytes, n, out, max, 2, state, leaf);
    const size_t before = (size_t)(old.begin - node->bytes), after = (size_t)(node->bytes + n - old.end);
    const size_t i = (size_t)fuzz_chance(state, number == 1 && current->n_names ? current->n_names : N_OPS);
    const uint8_t *text = number == 1 && current->n_names ? current->names[i].bytes : (const uint8_t *)ops[i];
    const size_t n_text = number == 1 && current->n_names ? current->names[i].n : strlen(ops[i]);
    memcpy(out, node->bytes, before);
    size_t at = before + put_field(out + before, number, n_text);
    memcpy(out + at, text, n_text), at += n_text;
    memcpy(out + at, old.end, after);
    return at + after;
}

/* Mostly an edit of a node; else of anything. */
static size_t edit(const uint8_t *in, size_t n, uint8_t *out, size_t max, uint64_t *state)
{
    static uint8_t fresh[1 << 16];
    place graph, node;
    size_t count = 0, at = 0;
    const bool has_graph = fuzz_chance(state, 16) && find(&graph, &count, in, n, 7, 0);
    if (!has_graph) return fuzz_edit(in, n, out, max, 0, state, leaf);
    const uint8_t *body = graph.field.bytes;
    const size_t n_body = (size_t)graph.field.n_bytes;
    find(&node, &count, body, n_body, 1, SIZE_MAX);
    if (!count || !find(&node, &count, body, n_body, 1, (size_t)fuzz_chance(state, count)) ||
        node.field.n_bytes > sizeof fresh / 2)
        return fuzz_edit(in, n, out, max, 0, state, leaf);
    const size_t n_fresh = fuzz_chance(state, 2) ? rewire(&node.field, fresh, sizeof fresh, state)
                                                 : fuzz_edit(node.field.bytes, (size_t)node.field.n_bytes, fresh,
                                                             sizeof fresh, 2, state, leaf);
    uint8_t head[16];
    const size_t n_head = put_field(head, 1, n_fresh), before = (size_t)(node.begin - body),
                 after = (size_t)(body + n_body - node.end), tail = (size_t)(in + n - graph.end);
    if ((size_t)(graph.begin - in) + 32 + before + n_head + n_fresh + after + tail > max) return memcpy(out, in, n), n;
    memcpy(out, in, (size_t)(graph.begin - in));
    at = (size_t)(graph.begin - in);
    at += put_field(out + at, 7, before + n_head + n_fresh + after);
    memcpy(out + at, body, before), at += before;
    memcpy(out + at, head, n_head), at += n_head;
    memcpy(out + at, fresh, n_fresh), at += n_fresh;
    memcpy(out + at, node.end, after), at += after;
    memcpy(out + at, graph.end, tail), at += tail;
    return at;
}

static fvlm_status match_vision(fvlm_match *m, const fvlm_graph *g, fvlm_err *err)
{
    return fvlm_match_vision(m, g, TEST_TOWER_SIDE, err);
}

static void match(const uint8_t *file, size_t n)
{
    fvlm_err err = {0};
    fvlm_graph *g;
    fvlm_match m = {0};
    fvlm_status st = fvlm_graph_open(&g, fuzz_onnx(file, n), &err);
    const fvlm_graph_role role = st ? FVLM_GRAPH_FOREIGN : fvlm_match_role(g);
    if (role == FVLM_GRAPH_VISION) st = match_vision(&m, g, &err);
    if (role == FVLM_GRAPH_EMBEDDING) st = fvlm_match_embedding(&m, g, &err);
    if (role == FVLM_GRAPH_DECODER) st = fvlm_match_decoder(&m, g, &err);
    must_explain(st, &err);
    fvlm_match_free(&m);
    fvlm_graph_close(&g);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t *buffers[2];
    enum { CAPACITY = 4 << 20 };
    if (!buffers[0]) {
        make_towers();
        make_decoders();
        for (int i = 0; i < N_BASES; i++) {
            MUST(bases[i].file.n < CAPACITY / 2);
            collect(&bases[i], bases[i].file.bytes, bases[i].file.n, 0);
            current = &bases[i];
            match(bases[i].file.bytes, bases[i].file.n);
        }
        for (int i = 0; i < 2; i++) MUST((buffers[i] = malloc(CAPACITY)));
    }
    if (size < 1) return 0;
    current = &bases[data[0] % N_BASES];
    const uint8_t *from = current->file.bytes;
    size_t n = current->file.n;
    for (unsigned i = 0; i < MAX_EDITS && 1 + 2 * (size_t)i + 1 < size; i++) {
        uint64_t state = fvlm_load_u16(data + 1 + 2 * i);
        n = edit(from, n, buffers[i % 2], CAPACITY, &state);
        from = buffers[i % 2];
    }
    match(from, n);
    return 0;
}
