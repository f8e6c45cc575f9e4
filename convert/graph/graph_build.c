/* SPDX-License-Identifier: Apache-2.0 */
/* graph_build.c - an unpacked ModelProto becomes nodes and values: each value has one origin, each name that is used is
 * defined. */
#include <inttypes.h>

#include "convert/graph/graph_internal.h"
#include "convert/graph/skeleton.h"

#define MIN_IR_VERSION 3 /* of ONNX 1.0 */

/* ---- the model ---- */

static fvlm_status check_model(fvlm_graph *g, const FvlmOnnx__ModelProto *m, fvlm_err *err)
{
    if (!m->graph) return fvlm_fail(err, FVLM_BAD_INPUT, "holds no graph; is it an ONNX model?");
    if (!m->has_ir_version) return fvlm_fail(err, FVLM_BAD_INPUT, "has no ir_version; is it an ONNX model?");
    if (m->ir_version < MIN_IR_VERSION || m->ir_version > FVLM_SKELETON_IR_VERSION)
        return fvlm_fail(err, FVLM_UNSUPPORTED, "has IR version %" PRId64 "; %d to %d are supported", m->ir_version,
                         MIN_IR_VERSION, FVLM_SKELETON_IR_VERSION);
    const char *name = m->producer_name ? m->producer_name : "",
               *version = m->producer_version ? m->producer_version : "";
    const size_t n = strlen(name) + strlen(version) + 2;
    char *producer = fvlm_graph_take(g, n, 1, err);
    if (!producer) return FVLM_NOMEM;
    strcpy(producer, name);
    if (name[0] && version[0]) strcat(producer, " ");
    strcat(producer, version);
    g->producer = producer;
    return FVLM_OK;
}

/* "ai.onnx" is another name of "". */
static const char *domain_of(const char *domain)
{
    return domain && strcmp(domain, "ai.onnx") ? domain : "";
}

static const char *shown(const char *domain)
{
    return domain[0] ? domain : "ai.onnx";
}

static fvlm_status read_opsets(fvlm_graph *g, const FvlmOnnx__ModelProto *m, fvlm_err *err)
{
    fvlm_graph_opset_row *opsets = fvlm_graph_take(g, m->n_opset_import, sizeof *opsets, err);
    if (!opsets) return FVLM_NOMEM;
    g->opsets = opsets;
    for (size_t i = 0; i < m->n_opset_import; i++) {
        const FvlmOnnx__OperatorSetIdProto *p = m->opset_import[i];
        const char *domain = domain_of(p->domain);
        if (fvlm_graph_opset(g, domain))
            return fvlm_fail(err, FVLM_BAD_INPUT, "imports the operators of \"%s\" twice", shown(domain));
        if (p->version < 1)
            return fvlm_fail(err, FVLM_BAD_INPUT, "imports version %" PRId64 " of the operators of \"%s\"", p->version,
                             shown(domain));
        opsets[g->n_opsets++] = (fvlm_graph_opset_row){domain, p->version};
    }
    return FVLM_OK;
}

/* ---- values ---- */

static fvlm_status read_initializers(fvlm_graph *g, const FvlmOnnx__GraphProto *p, fvlm_err *err)
{
    fvlm_graph_tensor *tensors = fvlm_graph_take(g, p->n_initializer, sizeof *tensors, err);
    if (!tensors) return FVLM_NOMEM;
    for (size_t i = 0; i < p->n_initializer; i++) {
        const char *name = p->initializer[i]->name;
        if (!name || !name[0]) return fvlm_fail(err, FVLM_BAD_INPUT, "initializer %zu has no name", i);
        fvlm_graph_value *v = &g->values[fvlm_graph_intern_name(g, name)];
        if (v->tensor) return fvlm_fail(err, FVLM_BAD_INPUT, "tensor \"%s\" is given twice", name);
        v->tensor = &tensors[i];
        const fvlm_status st = fvlm_graph_read_tensor(&tensors[i], g, p->initializer[i], err);
        if (st) return st;
    }
    return FVLM_OK;
}

/* Type and shape as declared. */
static fvlm_status declare(fvlm_graph_value *v, const FvlmOnnx__TypeProto *type, fvlm_err *err)
{
    const FvlmOnnx__TypeProto__Tensor *t =
        type && type->value_case == FVLM_ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE ? type->tensor_type : NULL;
    if (!t) return FVLM_OK;
    if (v->tensor && t->elem_type && t->elem_type != v->tensor->type)
        return fvlm_fail(err, FVLM_BAD_INPUT, "value \"%s\" is declared as %s, but its tensor is %s", v->name,
                         fvlm_onnx_type_name(t->elem_type), fvlm_onnx_type_name(v->tensor->type));
    v->type = t->elem_type;
    v->has_shape = t->shape != NULL;
    if (!t->shape) return FVLM_OK;
    if (t->shape->n_dim > FVLM_GRAPH_MAX_RANK)
        return fvlm_fail(err, FVLM_LIMIT, "value \"%s\" has %zu dimensions; at most %d are supported", v->name,
                         t->shape->n_dim, FVLM_GRAPH_MAX_RANK);
    v->rank = (unsigned)t->shape->n_dim;
    for (unsigned i = 0; i < v->rank; i++) {
        const FvlmOnnx__TensorShapeProto__Dimension *d = t->shape->dim[i];
        v->dims[i] = -1;
        if (d->value_case == FVLM_ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM && d->dim_param[0])
            v->symbols[i] = d->dim_param;
        if (d->value_case != FVLM_ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE) continue;
        if (d->dim_value < -1) /* -1 stands for "unknown" in old exports */
            return fvlm_fail(err, FVLM_BAD_INPUT, "value \"%s\": dimension %u is %" PRId64, v->name, i, d->dim_value);
        v->dims[i] = d->dim_value;
    }
    return FVLM_OK;
}

static fvlm_status read_inputs(fvlm_graph *g, const FvlmOnnx__GraphProto *p, fvlm_err *err)
{
    g->inputs = fvlm_graph_take(g, p->n_input, sizeof *g->inputs, err);
    if (!g->inputs) return FVLM_NOMEM;
    uint8_t *given = fvlm_graph_take(g, g->n_values + p->n_input, 1, err);
    if (!given) return FVLM_NOMEM;
    for (size_t i = 0; i < p->n_input; i++) {
        const char *name = p->input[i]->name;
        if (!name || !name[0]) return fvlm_fail(err, FVLM_BAD_INPUT, "input %zu has no name", i);
        const uint32_t id = fvlm_graph_intern_name(g, name);
        fvlm_graph_value *v = &g->values[id];
        if (given[id]) return fvlm_fail(err, FVLM_BAD_INPUT, "input \"%s\" is given twice", name);
        given[id] = 1;
        v->is_input = !v->tensor; /* with one, it is that input's default */
        if (v->is_input) g->inputs[g->n_inputs++] = id;
        const fvlm_status st = declare(v, p->input[i]->type, err);
        if (st) return st;
    }
    return FVLM_OK;
}

/* ---- nodes ---- */

/* Ids of names; those of inputs need not be defined yet. */
static fvlm_status read_names(const uint32_t **out, fvlm_graph *g, char *const *names, size_t n, fvlm_err *err)
{
    uint32_t *ids = fvlm_graph_take(g, n, sizeof *ids, err);
    if (!ids) return FVLM_NOMEM;
    for (size_t i = 0; i < n; i++) ids[i] = names[i][0] ? fvlm_graph_intern_name(g, names[i]) : FVLM_GRAPH_NONE;
    *out = ids;
    return FVLM_OK;
}

static fvlm_status define_outputs(fvlm_graph *g, const fvlm_graph_node *n, uint32_t node, fvlm_err *err)
{
    for (size_t i = 0; i < n->n_outputs; i++) {
        if (n->outputs[i] == FVLM_GRAPH_NONE) continue;
        fvlm_graph_value *v = &g->values[n->outputs[i]];
        if (v->tensor || v->is_input || v->node != FVLM_GRAPH_NONE)
            return fvlm_fail(err, FVLM_BAD_INPUT, "computes \"%s\", which is %s already", v->name,
                             v->is_input ? "an input"
                             : v->tensor ? "a constant"
                                         : "computed by another node");
        v->node = node;
    }
    return FVLM_OK;
}

static fvlm_status read_node(fvlm_graph *g, const FvlmOnnx__NodeProto *p, fvlm_err *err)
{
    fvlm_graph_node *n = &g->nodes[g->n_nodes];
    *n = (fvlm_graph_node){
        .name = p->name ? p->name : "", .op = p->op_type ? p->op_type : "", .domain = domain_of(p->domain)};
    char text[192];
    fvlm_status st = read_names(&n->inputs, g, p->input, p->n_input, err);
    if (!st) st = read_names(&n->outputs, g, p->output, p->n_output, err);
    if (st) return st;
    n->n_inputs = p->n_input;
    n->n_outputs = p->n_output;
    if (!n->op[0]) st = fvlm_fail(err, FVLM_BAD_INPUT, "has no op_type");
    if (!st && !fvlm_graph_opset(g, n->domain))
        st = fvlm_fail(err, FVLM_BAD_INPUT, "the model does not import the operators of \"%s\" (opset_import)",
                       shown(n->domain));
    if (!st) st = fvlm_graph_read_attributes(n, g, p, err);
    const bool constant = !strcmp(n->op, "Constant") && !n->domain[0];
    fvlm_graph_tensor *t = constant ? fvlm_graph_take(g, 1, sizeof *t, err) : NULL;
    if (!st && constant) st = t ? fvlm_graph_read_constant(t, g, n, err) : FVLM_NOMEM;
    if (!st) st = define_outputs(g, n, (uint32_t)g->n_nodes, err);
    if (st) return fvlm_err_prefix(err, "%s", fvlm_graph_node_text(g, n, text));
    if (constant) {
        g->values[n->outputs[0]].tensor = t;
        g->values[n->outputs[0]].node = FVLM_GRAPH_NONE;
    } else {
        g->n_nodes++;
    }
    return FVLM_OK;
}

static fvlm_status read_nodes(fvlm_graph *g, const FvlmOnnx__GraphProto *p, fvlm_err *err)
{
    g->nodes = fvlm_graph_take(g, p->n_node, sizeof *g->nodes, err);
    if (!g->nodes) return FVLM_NOMEM;
    for (size_t i = 0; i < p->n_node; i++) {
        const fvlm_status st = read_node(g, p->node[i], err);
        if (st) return st;
    }
    return FVLM_OK;
}

/* ---- the end of the graph ---- */

static bool is_defined(const fvlm_graph_value *v)
{
    return v->tensor || v->is_input || v->node != FVLM_GRAPH_NONE;
}

static fvlm_status read_outputs(fvlm_graph *g, const FvlmOnnx__GraphProto *p, fvlm_err *err)
{
    if (p->n_output == 0) return fvlm_fail(err, FVLM_BAD_INPUT, "the graph has no outputs");
    g->outputs = fvlm_graph_take(g, p->n_output, sizeof *g->outputs, err);
    if (!g->outputs) return FVLM_NOMEM;
    for (size_t i = 0; i < p->n_output; i++) {
        const char *name = p->output[i]->name;
        if (!name || !name[0]) return fvlm_fail(err, FVLM_BAD_INPUT, "output %zu has no name", i);
        const uint32_t id = fvlm_graph_find_name(g, name);
        if (id == FVLM_GRAPH_NONE || !is_defined(&g->values[id]))
            return fvlm_fail(err, FVLM_BAD_INPUT, "output \"%s\" is computed by no node", name);
        if (g->values[id].is_output) return fvlm_fail(err, FVLM_BAD_INPUT, "output \"%s\" is given twice", name);
        g->values[id].is_output = true;
        g->outputs[g->n_outputs++] = id;
        const fvlm_status st = declare(&g->values[id], p->output[i]->type, err);
        if (st) return st;
    }
    return FVLM_OK;
}

/* Optimizers leave declarations behind of values that they have removed. */
static fvlm_status read_declarations(fvlm_graph *g, const FvlmOnnx__GraphProto *p, fvlm_err *err)
{
    for (size_t i = 0; i < p->n_value_info; i++) {
        const uint32_t id = p->value_info[i]->name ? fvlm_graph_find_name(g, p->value_info[i]->name) : FVLM_GRAPH_NONE;
        if (id == FVLM_GRAPH_NONE || g->values[id].is_input || g->values[id].is_output) continue;
        const fvlm_status st = declare(&g->values[id], p->value_info[i]->type, err);
        if (st) return st;
    }
    return FVLM_OK;
}

static fvlm_status check_uses(const fvlm_graph *g, fvlm_err *err)
{
    char text[192];
    for (size_t i = 0; i < g->n_nodes; i++)
        for (size_t j = 0; j < g->nodes[i].n_inputs; j++) {
            const uint32_t id = g->nodes[i].inputs[j];
            if (id != FVLM_GRAPH_NONE && !is_defined(&g->values[id]))
                return fvlm_fail(err, FVLM_BAD_INPUT, "%s: input \"%s\" is computed by no node",
                                 fvlm_graph_node_text(g, &g->nodes[i], text), g->values[id].name);
        }
    return FVLM_OK;
}

fvlm_status fvlm_graph_build(fvlm_graph *g, const FvlmOnnx__ModelProto *m, fvlm_err *err)
{
    const FvlmOnnx__GraphProto *p = m->graph;
    fvlm_status st = check_model(g, m, err);
    if (!st) st = read_opsets(g, m, err);
    if (!st) st = fvlm_graph_make_names(g, p, err);
    if (!st) st = read_initializers(g, p, err);
    if (!st) st = read_inputs(g, p, err);
    if (!st) st = read_nodes(g, p, err);
    if (!st) st = read_outputs(g, p, err);
    if (!st) st = read_declarations(g, p, err);
    if (!st) st = check_uses(g, err);
    return st ? st : fvlm_graph_sort(g, err);
}
