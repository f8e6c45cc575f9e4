/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_write.c - see onnx_graph.h: a graph as ModelProto, and its file of external data. Lengths are known beforehand,
 * so that elements of initializers stream through one buffer. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "convert/export/onnx_graph.h"

enum { IR_VERSION = 10, OPSET = 21, CONTRIB_OPSET = 1 };
enum { CHUNK = 1 << 17 };  /* elements computed at once */
enum { ALIGNMENT = 4096 }; /* of external data, as onnx.proto recommends for mapping */

/* ---- where initializers lie ---- */

uint64_t fvlm_onnx_graph_place(fvlm_onnx_graph *g)
{
    uint64_t end = 0;
    for (size_t i = 0; i < g->n_initializers; i++) {
        fvlm_onnx_initializer *t = &g->initializers[i];
        t->offset = UINT64_MAX;
        if (t->n_bytes <= FVLM_ONNX_INLINE_BYTES) continue;
        t->offset = (end + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
        end = t->offset + t->n_bytes;
    }
    return end;
}

uint64_t fvlm_onnx_graph_bytes(const fvlm_onnx_graph *g)
{
    uint64_t n = 0;
    for (size_t i = 0; i < g->n_initializers; i++) n += g->initializers[i].n_bytes;
    return n;
}

static bool is_inline(const fvlm_onnx_initializer *t)
{
    return t->offset == UINT64_MAX;
}

/* ---- messages ---- */

/* StringStringEntryProto: 1 key, 2 value. */
static void put_entry(fvlm_message *m, unsigned field, const char *key, const char *value)
{
    fvlm_message entry = {0};
    fvlm_message_put_text(&entry, 1, key);
    fvlm_message_put_text(&entry, 2, value);
    fvlm_message_put_message(m, field, &entry);
    fvlm_message_free(&entry);
}

static void put_number(fvlm_message *m, unsigned field, const char *key, uint64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, value);
    put_entry(m, field, key, text);
}

/* TensorProto up to its elements: 1 dims, 2 data_type, 8 name, 9 raw_data, 13 external_data, 14 data_location. */
static void put_head(fvlm_message *m, const fvlm_onnx_initializer *t, const char *data_name)
{
    for (unsigned i = 0; i < t->rank; i++) fvlm_message_put_int(m, 1, (int64_t)t->dims[i]);
    fvlm_message_put_int(m, 2, t->type);
    fvlm_message_put_text(m, 8, t->name);
    if (is_inline(t)) {
        fvlm_message_put_length(m, 9, t->n_bytes);
        return;
    }
    put_entry(m, 13, "location", data_name);
    put_number(m, 13, "offset", t->offset);
    put_number(m, 13, "length", t->n_bytes);
    fvlm_message_put_int(m, 14, 1);
}

/* ModelProto: 1 ir_version, 2 producer_name, 3 producer_version, 7 graph, 8 opset_import { 1 domain, 2 version },
 * 14 metadata_props. */
static void put_model(fvlm_message *m, const fvlm_onnx_graph *g, const json_t *properties)
{
    const char *key;
    json_t *value;
    fvlm_message_put_int(m, 1, IR_VERSION);
    fvlm_message_put_text(m, 2, "fvlm");
    fvlm_message_put_text(m, 3, FVLM_VERSION);
    for (int contrib = 0; contrib <= (g->contrib ? 1 : 0); contrib++) {
        fvlm_message opset = {0};
        if (contrib) fvlm_message_put_text(&opset, 1, FVLM_ONNX_CONTRIB);
        fvlm_message_put_int(&opset, 2, contrib ? CONTRIB_OPSET : OPSET);
        fvlm_message_put_message(m, 8, &opset);
        fvlm_message_free(&opset);
    }
    json_object_foreach((json_t *)(uintptr_t)properties, key, value) put_entry(m, 14, key, json_string_value(value));
}

/* ---- writing ---- */

typedef struct {
    const fvlm_onnx_sink *to;
    uint64_t at; /* in the file */
    uint8_t *buffer;
    fvlm_err *err;
} writer;

static fvlm_status put_message(writer *o, const fvlm_message *m)
{
    if (m->failed) return fvlm_fail_nomem(o->err);
    fvlm_status st = fvlm_output_write(o->to->file, o->at, m->bytes, m->n, o->err);
    o->at += m->n;
    return st;
}

static fvlm_status put_elements(writer *o, const fvlm_onnx_initializer *t)
{
    fvlm_status st = FVLM_OK;
    for (uint64_t first = 0; first < t->n_elems && !st; first += CHUNK) {
        const size_t n = t->n_elems - first < CHUNK ? (size_t)(t->n_elems - first) : CHUNK;
        const size_t n_bytes = (n * t->bits + 7) / 8;
        st = fvlm_stop_check(o->to->stop, o->err);
        if (!st && !t->fill(t->of, first, n, o->buffer))
            st = fvlm_fail(o->err, FVLM_UNSUPPORTED,
                           "tensor \"%s\" has a value that is not finite, or too large for %u-bit floats%s", t->name,
                           t->bits, t->bits == 16 ? "; try --type f32" : "");
        if (!st) st = fvlm_output_write(o->to->file, o->at, o->buffer, n_bytes, o->err);
        o->at += n_bytes;
        if (!st && o->to->wrote) o->to->wrote(o->to->ctx, n_bytes);
    }
    return st;
}

fvlm_status fvlm_onnx_graph_write_data(const fvlm_onnx_graph *g, const fvlm_onnx_sink *to, fvlm_err *err)
{
    writer o = {.to = to, .err = err, .buffer = fvlm_alloc(CHUNK, 8)};
    uint64_t end = 0;
    for (size_t i = 0; i < g->n_initializers; i++)
        if (!is_inline(&g->initializers[i])) end = g->initializers[i].offset + g->initializers[i].n_bytes;
    fvlm_status st = o.buffer ? fvlm_output_reserve(to->file, end, err) : fvlm_fail_nomem(err);
    for (size_t i = 0; i < g->n_initializers && !st; i++) {
        o.at = g->initializers[i].offset;
        if (!is_inline(&g->initializers[i])) st = put_elements(&o, &g->initializers[i]);
    }
    free(o.buffer);
    return st;
}

/* The field of an initializer, without its elements. Returns its length with them. */
static uint64_t put_initializer(fvlm_message *m, const fvlm_onnx_initializer *t, const char *data_name)
{
    const uint64_t elements = is_inline(t) ? t->n_bytes : 0;
    fvlm_message head = {0};
    put_head(&head, t, data_name);
    fvlm_message_put_length(m, 5, head.n + elements);
    fvlm_message_append(m, &head);
    fvlm_message_free(&head);
    return m->n + elements;
}

/* GraphProto: 1 node, 2 name, 5 initializer, 11 input, 12 output. */
static fvlm_status put_graph(writer *o, const fvlm_onnx_graph *g, const fvlm_message *start, const char *data_name)
{
    fvlm_status st = put_message(o, start);
    for (size_t i = 0; i < g->n_initializers && !st; i++) {
        const fvlm_onnx_initializer *t = &g->initializers[i];
        fvlm_message field = {0};
        put_initializer(&field, t, data_name);
        st = put_message(o, &field);
        fvlm_message_free(&field);
        if (!st && is_inline(t)) st = put_elements(o, t);
    }
    return st ? st : put_message(o, &g->ports);
}

fvlm_status fvlm_onnx_graph_write_model(const fvlm_onnx_graph *g, const char *data_name, const json_t *properties,
                                        const fvlm_onnx_sink *to, uint64_t *n_bytes, fvlm_err *err)
{
    writer o = {.to = to, .err = err, .buffer = fvlm_alloc(CHUNK, 8)};
    fvlm_message model = {0}, start = {0};
    fvlm_message_append(&start, &g->nodes);
    fvlm_message_put_text(&start, 2, g->name);
    uint64_t length = start.n + g->ports.n;
    bool failed = !o.buffer || start.failed;
    for (size_t i = 0; i < g->n_initializers; i++) {
        fvlm_message field = {0};
        length += put_initializer(&field, &g->initializers[i], data_name);
        failed |= field.failed;
        fvlm_message_free(&field);
    }
    put_model(&model, g, properties);
    fvlm_message_put_length(&model, 7, length);
    fvlm_status st = failed || model.failed ? fvlm_fail_nomem(err) : FVLM_OK;
    if (!st && model.n + length > INT32_MAX) /* the most that protobuf's parsers take */
        st = fvlm_fail(err, FVLM_LIMIT, "the graph \"%s\" takes %" PRIu64 " bytes without its large tensors; 2 GiB fit",
                       g->name, length);
    if (!st) st = fvlm_output_reserve(to->file, model.n + length, err);
    if (!st) st = put_message(&o, &model);
    if (!st) st = put_graph(&o, g, &start, data_name);
    *n_bytes = o.at;
    fvlm_message_free(&model);
    fvlm_message_free(&start);
    free(o.buffer);
    return st;
}
