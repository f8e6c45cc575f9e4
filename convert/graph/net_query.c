/* SPDX-License-Identifier: Apache-2.0 */
/* net_query.c - what matchers ask about a net. */
#include "convert/graph/net_internal.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const fvlm_graph *fvlm_net_graph(const fvlm_net *net)
{
    return net->g;
}

size_t fvlm_net_n_nodes(const fvlm_net *net)
{
    return net->n_nodes;
}

fvlm_net_node *fvlm_net_node_at(const fvlm_net *net, size_t i)
{
    return net->nodes[i];
}

/* Searches the n inputs or outputs of the graph that at() gives the ids of. */
static fvlm_net_value *by_name(const fvlm_net *net, size_t n, uint32_t (*at)(const fvlm_graph *, size_t),
                               const char *name)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t id = at(net->g, i);
        if (strcmp(fvlm_graph_value_at(net->g, id)->name, name) == 0) return net->values[id];
    }
    return NULL;
}

fvlm_net_value *fvlm_net_input_value(const fvlm_net *net, const char *name)
{
    return by_name(net, fvlm_graph_n_inputs(net->g), fvlm_graph_input_at, name);
}

fvlm_net_value *fvlm_net_output_value(const fvlm_net *net, const char *name)
{
    return by_name(net, fvlm_graph_n_outputs(net->g), fvlm_graph_output_at, name);
}

fvlm_net_value *fvlm_net_value_of(const fvlm_net *net, uint32_t id)
{
    return id < fvlm_graph_n_values(net->g) ? net->values[id] : NULL;
}

size_t fvlm_net_n_fake_quantized(const fvlm_net *net)
{
    return net->n_fake_quantized;
}

size_t fvlm_net_n_narrowed(const fvlm_net *net, const fvlm_graph_node **first)
{
    *first = net->narrowed;
    return net->n_narrowed;
}

uint64_t fvlm_net_product(const fvlm_net_value *v, unsigned from, unsigned to)
{
    uint64_t n = 1;
    for (unsigned d = from; d < to; d++) n *= v->dims[d];
    return n;
}

bool fvlm_net_is(const fvlm_net_value *v, const char *op)
{
    return v && v->producer && strcmp(v->producer->op, op) == 0;
}

bool fvlm_net_split_const(const fvlm_net_node *n, fvlm_net_value **constant, fvlm_net_value **other)
{
    if (!n || n->n_inputs != 2 || !n->inputs[0] || !n->inputs[1]) return false;
    unsigned k = n->inputs[0]->is_const ? 0 : 1;
    if (!n->inputs[k]->is_const || n->inputs[1 - k]->is_const) return false;
    *constant = n->inputs[k];
    *other = n->inputs[1 - k];
    return true;
}

bool fvlm_net_all(const fvlm_net_value *v, double x)
{
    if (!v || (!v->numbers && !v->uniform)) return false;
    double near = v->type == FVLM_ONNX_F16 || v->type == FVLM_ONNX_BF16 ? 1e-3 : 1e-6;
    for (uint64_t i = 0; i < (v->numbers ? v->n_elems : 1); i++) {
        double y = v->numbers ? v->numbers[i] : *v->uniform;
        if (y == x) continue;
        if (!isfinite(x) || !(fabs(y - x) <= near * fabs(x))) return false;
    }
    return true;
}

fvlm_status fvlm_net_expected(const fvlm_net *net, const fvlm_net_node *n, fvlm_err *err, const char *fmt, ...)
{
    char node[192], what[400];
    va_list args;
    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    return fvlm_fail(err, FVLM_UNSUPPORTED, "%s: expected %s", fvlm_graph_node_text(net->g, n->node, node), what);
}
