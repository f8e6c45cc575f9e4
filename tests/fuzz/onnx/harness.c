/* SPDX-License-Identifier: Apache-2.0 */
/* harness.c - any bytes as an ONNX file, beside one of external data: refused with a message, or every node, value and
 * byte of a tensor can be read. Most mutations keep the lengths of the messages right. */
#include "convert/graph/graph.h"
#include "convert/graph/wire.h"
#include "tests/fuzz/harness.h"

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed);

static volatile uint64_t sum;

static void touch(const fvlm_graph_tensor *t)
{
    MUST(t->rank <= FVLM_GRAPH_MAX_RANK && fvlm_onnx_type_bits(t->type) > 0);
    for (uint64_t i = 0; i < t->n_bytes; i++) sum += t->bytes[i];
}

static void read_attributes(const fvlm_graph_node *n)
{
    for (size_t i = 0; i < n->n_attrs; i++) {
        const fvlm_graph_attr *a = &n->attrs[i];
        MUST(fvlm_graph_attr_find(n, a->name) == a);
        if (a->kind == FVLM_ATTR_TENSOR) touch(a->tensor);
        for (size_t j = 0; a->kind == FVLM_ATTR_INTS && j < a->n; j++) sum += (uint64_t)a->ints[j];
        for (size_t j = 0; a->kind == FVLM_ATTR_FLOATS && j < a->n; j++) sum += fvlm_f32_bits(a->floats[j]);
        for (size_t j = 0; a->kind == FVLM_ATTR_STRINGS && j < a->n; j++) sum += strlen(a->strings[j]);
        if (a->kind == FVLM_ATTR_STRING) sum += strlen(a->s);
    }
}

static void read_all(const fvlm_graph *g)
{
    char text[192];
    for (uint32_t i = 0; i < fvlm_graph_n_values(g); i++) {
        const fvlm_graph_value *v = fvlm_graph_value_at(g, i);
        MUST(v->name[0] && v->rank <= FVLM_GRAPH_MAX_RANK);
        MUST((v->tensor != NULL) + v->is_input + (v->node != FVLM_GRAPH_NONE) <= 1);
        if (v->tensor) touch(v->tensor);
    }
    for (size_t i = 0; i < fvlm_graph_n_nodes(g); i++) {
        const fvlm_graph_node *n = fvlm_graph_node_at(g, i);
        MUST(n->op[0] && fvlm_graph_opset(g, n->domain) && fvlm_graph_node_text(g, n, text)[0]);
        for (size_t j = 0; j < n->n_inputs; j++) {
            if (n->inputs[j] == FVLM_GRAPH_NONE) continue;
            const fvlm_graph_value *v = fvlm_graph_value_at(g, n->inputs[j]);
            MUST(v->tensor || v->is_input || v->node < i);
        }
        for (size_t j = 0; j < n->n_outputs; j++)
            if (n->outputs[j] != FVLM_GRAPH_NONE) MUST(fvlm_graph_value_at(g, n->outputs[j])->node == i);
        read_attributes(n);
    }
    for (size_t i = 0; i < fvlm_graph_n_inputs(g); i++)
        MUST(fvlm_graph_value_at(g, fvlm_graph_input_at(g, i))->is_input);
    for (size_t i = 0; i < fvlm_graph_n_outputs(g); i++)
        MUST(fvlm_graph_value_at(g, fvlm_graph_output_at(g, i))->is_output);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char path[128];
    static const uint8_t outside[64] = {1, 2, 3};
    if (!path[0]) {
        fuzz_write("w.bin", outside, sizeof outside);
        snprintf(path, sizeof path, "%s/m.onnx", fuzz_folder());
    }
    fuzz_write("m.onnx", data, size);
    fvlm_err err = {0};
    fvlm_graph *g;
    fvlm_hash hash;
    const fvlm_status st = fvlm_graph_open(&g, path, &err);
    must_explain(st, &err);
    if (st) return 0;
    read_all(g);
    for (size_t i = 0; i < fvlm_graph_n_files(g); i++) MUST(!fvlm_graph_hash(&hash, g, i, NULL, &err));
    MUST(!fvlm_graph_check_unchanged(g, FVLM_OK, &err));
    fvlm_graph_close(&g);
    return 0;
}

/* ---- mutations that keep lengths right ---- */

enum { MAX_FIELDS = 256, MAX_BYTES = 1 << 16 };

static uint64_t chance(uint64_t *state, uint64_t n)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (*state >> 33) % n;
}

static size_t put_varint(uint8_t *out, uint64_t v)
{
    size_t n = 0;
    for (; v >= 0x80; v >>= 7) out[n++] = (uint8_t)(v | 0x80);
    out[n++] = (uint8_t)v;
    return n;
}

/* Changes one field of the message, or of a message inside; returns the new size, at most max. out does not overlap. */
static size_t mutate(const uint8_t *in, size_t n, uint8_t *out, size_t max, unsigned depth, uint64_t *state)
{
    const uint8_t *begins[MAX_FIELDS + 1];
    fvlm_wire_field fields[MAX_FIELDS];
    fvlm_wire w = {in, in + n, NULL};
    size_t n_fields = 0;
    while (n_fields < MAX_FIELDS && (begins[n_fields] = w.at, fvlm_wire_next(&w, &fields[n_fields]))) n_fields++;
    if (n_fields == 0 || max < n + 32) {
        memcpy(out, in, n < max ? n : max);
        return LLVMFuzzerMutate(out, n < max ? n : max, max);
    }
    const size_t i = (size_t)chance(state, n_fields), j = (size_t)chance(state, n_fields);
    const uint8_t *begin = begins[i], *end = i + 1 < n_fields ? begins[i + 1] : w.at;
    const uint8_t *other = begins[j], *other_end = j + 1 < n_fields ? begins[j + 1] : w.at;
    const size_t head = (size_t)(begin - in), n_one = (size_t)(end - begin), n_other = (size_t)(other_end - other);
    size_t at = head;
    memcpy(out, in, head);
    const uint64_t what = chance(state, 8);
    if (what < 5 && fields[i].type == FVLM_WIRE_BYTES) { /* inside, or its bytes */
        static uint8_t inner[8][MAX_BYTES];
        const size_t capacity = max - n < MAX_BYTES ? max - n : MAX_BYTES, size = (size_t)fields[i].n_bytes;
        size_t n_new;
        if (size > capacity || depth == 8) return memcpy(out, in, n), n;
        if (what < 4) {
            n_new = mutate(fields[i].bytes, size, inner[depth], capacity, depth + 1, state);
        } else {
            memcpy(inner[depth], fields[i].bytes, size);
            n_new = LLVMFuzzerMutate(inner[depth], size, capacity);
        }
        at += put_varint(out + at, (uint64_t)fields[i].number << 3 | 2);
        at += put_varint(out + at, n_new);
        if (at + n_new + (size_t)(in + n - end) > max) return memcpy(out, in, n), n;
        memcpy(out + at, inner[depth], n_new);
        at += n_new;
    } else if (what < 6) { /* another number */
        at += put_varint(out + at, (uint64_t)fields[i].number << 3);
        at += put_varint(out + at, chance(state, 2) ? chance(state, 32) : ~0ull >> chance(state, 64));
    } else if (what == 6 && n + n_other <= max) { /* again, or another field there */
        memcpy(out + at, other, n_other);
        at += n_other;
        if (chance(state, 2)) memcpy(out + at, begin, n_one), at += n_one;
    } /* else: left out */
    memcpy(out + at, end, (size_t)(in + n - end));
    return at + (size_t)(in + n - end);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    static uint8_t out[1 << 17];
    uint64_t state = seed;
    if (chance(&state, 8) == 0 || size + 64 > sizeof out || size > max) return LLVMFuzzerMutate(data, size, max);
    const size_t n = mutate(data, size, out, max < sizeof out ? max : sizeof out, 0, &state);
    memcpy(data, out, n);
    return n;
}
