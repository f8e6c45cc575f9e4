/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_dump - prints graphs as convert/graph reads them, for tests/oracle/test_onnx_graph.py: a line of JSON for each
 * path on stdin.
 *   {"path": ..., "producer": ..., "inputs": [...], "outputs": [...], "nodes": [...], "values": {...}} or
 *   {"path": ..., "refused": message}
 * Tensors appear as [type, dims, XXH3-128 of the bytes]. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "convert/graph/graph.h"

static json_t *dims_json(unsigned rank, const uint64_t *dims)
{
    json_t *a = json_array();
    for (unsigned i = 0; i < rank; i++) json_array_append_new(a, json_integer((json_int_t)dims[i]));
    return a;
}

static json_t *tensor_json(const fvlm_graph_tensor *t)
{
    char hash[33];
    const fvlm_hash h = fvlm_hash_of(t->bytes, (size_t)t->n_bytes);
    fvlm_hash_text(&h, hash);
    return json_pack("[s o s]", fvlm_onnx_type_name(t->type), dims_json(t->rank, t->dims), hash);
}

/* Exact, and NaN has a spelling. */
static json_t *float_json(float f)
{
    char text[32];
    snprintf(text, sizeof text, "%08" PRIx32, fvlm_f32_bits(f));
    return json_string(text);
}

/* Attributes of type STRING may hold any bytes. */
static json_t *text_json(const char *s)
{
    char hex[8192] = "";
    for (size_t i = 0; s[i] && i < sizeof hex / 2 - 1; i++) snprintf(hex + 2 * i, 3, "%02x", (uint8_t)s[i]);
    return json_string(hex);
}

static json_t *attr_json(const fvlm_graph_attr *a)
{
    json_t *list = json_array();
    switch (a->kind) {
    case FVLM_ATTR_FLOAT:
        json_array_append_new(list, float_json(a->f));
        break;
    case FVLM_ATTR_INT:
        json_array_append_new(list, json_integer(a->i));
        break;
    case FVLM_ATTR_STRING:
        json_array_append_new(list, text_json(a->s));
        break;
    case FVLM_ATTR_TENSOR:
        json_array_append_new(list, tensor_json(a->tensor));
        break;
    case FVLM_ATTR_FLOATS:
        for (size_t i = 0; i < a->n; i++) json_array_append_new(list, float_json(a->floats[i]));
        break;
    case FVLM_ATTR_INTS:
        for (size_t i = 0; i < a->n; i++) json_array_append_new(list, json_integer(a->ints[i]));
        break;
    case FVLM_ATTR_STRINGS:
        for (size_t i = 0; i < a->n; i++) json_array_append_new(list, text_json(a->strings[i]));
        break;
    }
    return json_pack("[s i o]", a->name, (int)a->kind, list);
}

static json_t *names_json(const fvlm_graph *g, size_t n, const uint32_t *ids)
{
    json_t *a = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(a, json_string(ids[i] == FVLM_GRAPH_NONE ? "" : fvlm_graph_value_at(g, ids[i])->name));
    return a;
}

static json_t *node_json(const fvlm_graph *g, const fvlm_graph_node *n)
{
    json_t *attrs = json_array();
    for (size_t i = 0; i < n->n_attrs; i++) json_array_append_new(attrs, attr_json(&n->attrs[i]));
    return json_pack("[s s s o o o]", n->name, n->op, n->domain, names_json(g, n->n_inputs, n->inputs),
                     names_json(g, n->n_outputs, n->outputs), attrs);
}

static json_t *value_json(const fvlm_graph_value *v)
{
    json_t *shape = v->has_shape ? json_array() : json_null();
    for (unsigned i = 0; v->has_shape && i < v->rank; i++)
        json_array_append_new(shape, v->symbols[i] ? json_string(v->symbols[i]) : json_integer(v->dims[i]));
    return json_pack("{s:o s:i s:o s:b s:b s:i}", "tensor", v->tensor ? tensor_json(v->tensor) : json_null(), "type",
                     (int)v->type, "shape", shape, "input", v->is_input, "output", v->is_output, "node",
                     v->node == FVLM_GRAPH_NONE ? -1 : (int)v->node);
}

static json_t *graph_json(const fvlm_graph *g)
{
    json_t *inputs = json_array(), *outputs = json_array(), *nodes = json_array(), *values = json_object();
    for (size_t i = 0; i < fvlm_graph_n_inputs(g); i++)
        json_array_append_new(inputs, json_string(fvlm_graph_value_at(g, fvlm_graph_input_at(g, i))->name));
    for (size_t i = 0; i < fvlm_graph_n_outputs(g); i++)
        json_array_append_new(outputs, json_string(fvlm_graph_value_at(g, fvlm_graph_output_at(g, i))->name));
    for (size_t i = 0; i < fvlm_graph_n_nodes(g); i++)
        json_array_append_new(nodes, node_json(g, fvlm_graph_node_at(g, i)));
    for (uint32_t i = 0; i < fvlm_graph_n_values(g); i++)
        json_object_set_new(values, fvlm_graph_value_at(g, i)->name, value_json(fvlm_graph_value_at(g, i)));
    return json_pack("{s:s s:I s:o s:o s:o s:o s:i}", "producer", fvlm_graph_producer(g), "opset",
                     (json_int_t)fvlm_graph_opset(g, ""), "inputs", inputs, "outputs", outputs, "nodes", nodes,
                     "values", values, "files", (int)fvlm_graph_n_files(g));
}

int main(void)
{
    char path[4096];
    while (fgets(path, sizeof path, stdin)) {
        fvlm_err err = {0};
        fvlm_graph *g;
        path[strcspn(path, "\n")] = 0;
        const fvlm_status st = fvlm_graph_open(&g, path, &err);
        json_t *line = st ? json_pack("{s:s s:i}", "refused", err.msg, "code", (int)st) : graph_json(g);
        json_object_set_new(line, "path", json_string(path));
        json_dumpf(line, stdout, JSON_COMPACT | JSON_SORT_KEYS);
        putchar('\n');
        fflush(stdout);
        json_decref(line);
        fvlm_graph_close(&g);
    }
    return 0;
}
