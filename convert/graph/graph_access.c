/* SPDX-License-Identifier: Apache-2.0 */
/* graph_access.c - what is in a graph. */
#include <stdio.h>

#include "convert/graph/graph_internal.h"

fvlm_status fvlm_graph_fail_memory(const fvlm_graph *g, fvlm_err *err)
{
    if (!g->arena.full) return fvlm_fail_nomem(err);
    return fvlm_fail(err, FVLM_LIMIT,
                     "the graph without its tensors takes over %zu MB of memory; that is no FastVLM network",
                     g->arena.limit >> 20);
}

void *fvlm_graph_take(fvlm_graph *g, size_t n, size_t size, fvlm_err *err)
{
    void *p = fvlm_graph_arena_take(&g->arena, n, size);
    if (!p) fvlm_graph_fail_memory(g, err);
    return p;
}

const char *fvlm_graph_path(const fvlm_graph *g)
{
    return g->files[0].path;
}

const char *fvlm_graph_producer(const fvlm_graph *g)
{
    return g->producer;
}

int64_t fvlm_graph_opset(const fvlm_graph *g, const char *domain)
{
    for (size_t i = 0; i < g->n_opsets; i++)
        if (!strcmp(g->opsets[i].domain, domain)) return g->opsets[i].version;
    return 0;
}

size_t fvlm_graph_n_nodes(const fvlm_graph *g)
{
    return g->n_nodes;
}

const fvlm_graph_node *fvlm_graph_node_at(const fvlm_graph *g, size_t i)
{
    return &g->nodes[i];
}

size_t fvlm_graph_n_values(const fvlm_graph *g)
{
    return g->n_values;
}

const fvlm_graph_value *fvlm_graph_value_at(const fvlm_graph *g, uint32_t id)
{
    return &g->values[id];
}

size_t fvlm_graph_n_inputs(const fvlm_graph *g)
{
    return g->n_inputs;
}

uint32_t fvlm_graph_input_at(const fvlm_graph *g, size_t i)
{
    return g->inputs[i];
}

size_t fvlm_graph_n_outputs(const fvlm_graph *g)
{
    return g->n_outputs;
}

uint32_t fvlm_graph_output_at(const fvlm_graph *g, size_t i)
{
    return g->outputs[i];
}

const char *fvlm_graph_node_text(const fvlm_graph *g, const fvlm_graph_node *n, char out[192])
{
    const bool unnamed = n->n_outputs == 0 || n->outputs[0] == FVLM_GRAPH_NONE;
    if (n->name[0])
        snprintf(out, 192, "node \"%.120s\" (%.40s)", n->name, n->op);
    else if (unnamed)
        snprintf(out, 192, "a node (%.40s) without a name", n->op);
    else
        snprintf(out, 192, "the node (%.40s) that computes \"%.110s\"", n->op, g->values[n->outputs[0]].name);
    return out;
}

size_t fvlm_graph_n_files(const fvlm_graph *g)
{
    return g->n_files;
}

fvlm_graph_file fvlm_graph_file_at(const fvlm_graph *g, size_t i)
{
    return (fvlm_graph_file){g->files[i].path, g->files[i].stamp.n_bytes};
}
