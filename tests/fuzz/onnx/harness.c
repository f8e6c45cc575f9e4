/* SPDX-License-Identifier: Apache-2.0 */
/* harness.c - any bytes as an ONNX file, beside one of external data: refused with a message, or every node, value and
 * byte of a tensor can be read. */
#include "tests/fuzz/onnx_file.h"

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

static void use_graph(const fvlm_graph *g)
{
    fvlm_err err = {0};
    fvlm_hash hash;
    read_all(g);
    for (size_t i = 0; i < fvlm_graph_n_files(g); i++) MUST(!fvlm_graph_hash(&hash, g, i, NULL, &err));
    MUST(!fvlm_graph_check_unchanged(g, FVLM_OK, &err));
}
