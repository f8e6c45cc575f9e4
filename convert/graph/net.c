/* SPDX-License-Identifier: Apache-2.0 */
/* net.c - evaluates a graph node by node, and drops what nothing uses. */
#include "convert/graph/net_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define NEWEST_OPSET 28

/* The node's name in front of a refusal that does not have it. */
static fvlm_status name_node(const fvlm_net *net, const fvlm_graph_node *n, fvlm_err *err)
{
    char text[192];
    fvlm_graph_node_text(net->g, n, text);
    if (err->code == FVLM_NOMEM || strncmp(err->msg, text, strlen(text)) == 0) return err->code;
    return fvlm_err_prefix(err, "%s", text);
}

/* ---- inputs and initializers ---- */

static fvlm_status add_input(fvlm_net *net, uint32_t id, const fvlm_net_input *in, fvlm_err *err)
{
    const fvlm_graph_value *g = fvlm_graph_value_at(net->g, id);
    char a[200];
    fvlm_net_shape shape = {.rank = in->rank};
    bool fits = in->rank <= FVLM_GRAPH_MAX_RANK && (!g->has_shape || g->rank == in->rank);
    for (unsigned d = 0; d < in->rank && fits; d++) {
        shape.dims[d] = in->dims[d];
        fits = !g->has_shape || g->dims[d] < 0 || (uint64_t)g->dims[d] == in->dims[d];
    }
    if (!fits)
        return fvlm_fail(err, FVLM_BAD_INPUT, "input \"%.200s\" does not take the shape %s", g->name,
                         fvlm_net_shape_text(in->rank <= FVLM_GRAPH_MAX_RANK ? in->rank : 0, in->dims, a));
    fvlm_net_value *v;
    double *numbers;
    net->name = g->name;
    int32_t type = g->type ? g->type : FVLM_ONNX_F32;
    fvlm_status st = in->numbers ? fvlm_net_new_const(&v, &numbers, net, type, &shape, err)
                                 : fvlm_net_new_value(&v, net, type, &shape, err);
    if (st) return st;
    if (in->numbers) memcpy(numbers, in->numbers, (size_t)v->n_elems * sizeof *numbers);
    v->is_input = true;
    net->values[id] = v;
    return FVLM_OK;
}

static fvlm_status add_inputs(fvlm_net *net, const fvlm_net_input *inputs, size_t n, fvlm_err *err)
{
    fvlm_status st = FVLM_OK;
    for (size_t i = 0; i < fvlm_graph_n_inputs(net->g) && !st; i++) {
        uint32_t id = fvlm_graph_input_at(net->g, i);
        const fvlm_graph_value *g = fvlm_graph_value_at(net->g, id);
        size_t k = 0;
        while (k < n && strcmp(inputs[k].name, g->name) != 0) k++;
        st = k < n ? add_input(net, id, &inputs[k], err)
                   : fvlm_fail(err, FVLM_UNSUPPORTED, "an input \"%.200s\" is not one that FastVLM has", g->name);
    }
    return st;
}

static fvlm_status add_stored(fvlm_net *net, fvlm_err *err)
{
    fvlm_status st = FVLM_OK;
    for (size_t id = 0; id < fvlm_graph_n_values(net->g) && !st; id++) {
        const fvlm_graph_value *g = fvlm_graph_value_at(net->g, (uint32_t)id);
        if (!g->tensor) continue;
        net->name = g->name;
        if (fvlm_onnx_type_bits(g->tensor->type) == 0)
            st = fvlm_fail(err, FVLM_UNSUPPORTED, "tensor \"%.200s\" has elements of %s", g->name,
                           fvlm_onnx_type_name(g->tensor->type));
        else
            st = fvlm_net_new_stored(&net->values[id], net, g->tensor, err);
    }
    return st;
}

/* ---- nodes ---- */

static fvlm_status read_inputs(fvlm_net *net, const fvlm_graph_node *n, const fvlm_net_operator *op,
                               fvlm_net_value **in, fvlm_err *err)
{
    for (size_t i = 0; i < n->n_inputs; i++) {
        if (n->inputs[i] == FVLM_GRAPH_NONE) continue;
        in[i] = net->values[n->inputs[i]];
        if (!in[i])
            return fvlm_fail(err, FVLM_UNSUPPORTED, "it reads \"%.200s\", which is an output that is not supported",
                             fvlm_graph_value_at(net->g, n->inputs[i])->name);
        if (in[i]->quantized &&
            (op->quantized == FVLM_NET_TAKES_FLOATS ||
             (op->quantized == FVLM_NET_TAKES_MOVED && (i || in[i]->quantized->kind != FVLM_QUANTIZED_VALUES))))
            return fvlm_fail(err, FVLM_UNSUPPORTED, "it reads \"%.200s\", integers of an activation or their scale",
                             in[i]->name);
    }
    for (size_t i = 0; i < op->min_inputs; i++)
        if (!in[i]) return fvlm_fail(err, FVLM_BAD_INPUT, "input %zu is missing", i);
    if (n->n_inputs > op->max_inputs)
        return fvlm_fail(err, FVLM_BAD_INPUT, "%zu inputs, at most %u are expected", n->n_inputs, op->max_inputs);
    return FVLM_OK;
}

/* Runs the handler; for operators that only move elements, on what integers of an activation stand for. */
static fvlm_status handle(fvlm_net *net, const fvlm_graph_node *n, const fvlm_net_operator *op, fvlm_net_value **in,
                          fvlm_net_value **out, fvlm_err *err)
{
    const fvlm_net_quantized *q =
        op->quantized == FVLM_NET_TAKES_MOVED && in[0] && in[0]->quantized ? in[0]->quantized : NULL;
    int32_t type = q ? in[0]->type : 0;
    if (q) in[0] = q->of;
    fvlm_status st = op->handle(net, n, in, out, err);
    for (size_t i = 0; i < n->n_outputs && q && !st; i++) {
        if (!out[i]) continue;
        fvlm_net_shape shape = fvlm_net_shape_of(out[i]);
        fvlm_net_quantized moved = *q;
        moved.of = out[i];
        st = fvlm_net_new_quantized(&out[i], net, type, &shape, &moved, err);
    }
    return st;
}

static fvlm_status evaluate(fvlm_net *net, const fvlm_graph_node *n, fvlm_net_value **slots, fvlm_err *err)
{
    const fvlm_net_operator *op = fvlm_net_operator_of(n);
    size_t n_in = n->n_inputs > FVLM_NET_MIN_SLOTS ? n->n_inputs : FVLM_NET_MIN_SLOTS;
    fvlm_net_value **in = slots, **out = slots + n_in;
    net->at = n;
    net->name = "";
    for (size_t i = n->n_outputs; i-- > 0;)
        if (n->outputs[i] != FVLM_GRAPH_NONE) net->name = fvlm_graph_value_at(net->g, n->outputs[i])->name;
    if (!op) {
        bool ours = strcmp(n->domain, "") == 0 || strcmp(n->domain, "ai.onnx") == 0;
        if (strcmp(n->domain, "com.microsoft.nchwc") == 0)
            return fvlm_fail(
                err, FVLM_UNSUPPORTED,
                "its weights are arranged for one kind of CPU (domain %s), of which the file does not tell "
                "the block size; save the model at onnxruntime's level \"extended\" or below",
                n->domain);
        return fvlm_fail(err, FVLM_UNSUPPORTED, "operator %.60s%s%.100s occurs in no export of FastVLM that is known",
                         n->op, ours ? "" : " of domain ", ours ? "" : n->domain);
    }
    uint64_t known = 0;
    for (size_t i = 0; i < n->n_inputs; i++) {
        const fvlm_net_value *v = n->inputs[i] == FVLM_GRAPH_NONE ? NULL : net->values[n->inputs[i]];
        if (v && v->numbers) known += v->n_elems;
    }
    if (fvlm_net_spend(net, known, err)) return err->code;
    if (n->n_outputs == 0) return fvlm_fail(err, FVLM_BAD_INPUT, "it has no outputs");
    fvlm_status st = read_inputs(net, n, op, in, err);
    if (!st) st = handle(net, n, op, in, out, err);
    for (size_t i = 0; i < n->n_outputs && !st; i++) {
        if (n->outputs[i] == FVLM_GRAPH_NONE || !out[i]) continue;
        const char *name = fvlm_graph_value_at(net->g, n->outputs[i])->name;
        if (out[i]->name == net->name) out[i]->name = name;
        net->values[n->outputs[i]] = out[i];
    }
    return st;
}

static fvlm_status evaluate_all(fvlm_net *net, fvlm_err *err)
{
    fvlm_status st = FVLM_OK;
    for (size_t i = 0; i < fvlm_graph_n_nodes(net->g) && !st; i++) {
        const fvlm_graph_node *n = fvlm_graph_node_at(net->g, i);
        fvlm_net_value **slots = calloc(n->n_inputs + n->n_outputs + 2 * FVLM_NET_MIN_SLOTS, sizeof(fvlm_net_value *));
        if (!slots) return fvlm_fail_nomem(err);
        st = evaluate(net, n, slots, err);
        free(slots);
        if (st) st = name_node(net, n, err);
    }
    return st;
}

/* ---- what is left ---- */

static fvlm_status mark_outputs(fvlm_net *net, fvlm_err *err)
{
    for (size_t i = 0; i < fvlm_graph_n_outputs(net->g); i++) {
        uint32_t id = fvlm_graph_output_at(net->g, i);
        fvlm_net_value *v = net->values[id];
        if (!v || v->quantized)
            return fvlm_fail(err, FVLM_UNSUPPORTED, "output \"%.200s\" of the graph is not one that can be computed",
                             fvlm_graph_value_at(net->g, id)->name);
        v->is_output = true;
    }
    return FVLM_OK;
}

/* From the last node to the first: a node stays if an output of it is used. n_users counts uses. */
static void drop_dead(fvlm_net *net)
{
    for (size_t i = net->n_nodes; i-- > 0;) {
        fvlm_net_node *n = net->nodes[i];
        bool used = false;
        for (size_t k = 0; k < n->n_outputs; k++)
            used |= n->outputs[k] && (n->outputs[k]->n_users || n->outputs[k]->is_output);
        if (!used) net->nodes[i] = NULL;
        for (size_t k = 0; k < n->n_inputs && used; k++)
            if (n->inputs[k]) n->inputs[k]->n_users++;
    }
    size_t left = 0;
    for (size_t i = 0; i < net->n_nodes; i++)
        if (net->nodes[i]) net->nodes[left++] = net->nodes[i];
    net->n_nodes = left;
}

static fvlm_status link_users(fvlm_net *net, fvlm_err *err)
{
    for (size_t i = 0; i < net->n_nodes; i++) {
        fvlm_net_node *n = net->nodes[i];
        n->index = i;
        for (size_t k = 0; k < n->n_inputs; k++) {
            fvlm_net_value *v = n->inputs[k];
            if (!v) continue;
            if (!v->users) {
                v->users = fvlm_net_take(net, v->n_users, sizeof *v->users, err);
                if (!v->users) return err->code;
                v->n_users = 0;
            }
            v->users[v->n_users++] = n;
        }
    }
    return FVLM_OK;
}

fvlm_status fvlm_net_create(fvlm_net **out, const fvlm_graph *g, const fvlm_net_input *inputs, size_t n, fvlm_err *err)
{
    fvlm_err local;
    if (!err) err = &local;
    *out = NULL;
    fvlm_net *net = calloc(1, sizeof *net);
    if (!net) return fvlm_fail_nomem(err);
    net->g = g;
    net->opset = fvlm_graph_opset(g, "");
    fvlm_status st = FVLM_OK;
    if (net->opset < 7 || net->opset > NEWEST_OPSET)
        st = fvlm_fail(err, FVLM_UNSUPPORTED, "opset %" PRId64 " of ai.onnx is not supported, 7 to %d are", net->opset,
                       NEWEST_OPSET);
    if (!st && !(net->values = calloc(fvlm_graph_n_values(g) + 1, sizeof *net->values))) st = fvlm_fail_nomem(err);
    if (!st) st = add_inputs(net, inputs, n, err);
    if (!st) st = add_stored(net, err);
    if (!st) st = evaluate_all(net, err);
    if (!st) st = mark_outputs(net, err);
    if (!st) drop_dead(net);
    if (!st) st = link_users(net, err);
    if (st) fvlm_net_destroy(&net);
    *out = net;
    return st;
}

void fvlm_net_destroy(fvlm_net **net)
{
    if (!*net) return;
    fvlm_net_free_chunks(*net);
    free((*net)->values);
    free((*net)->nodes);
    free(*net);
    *net = NULL;
}
