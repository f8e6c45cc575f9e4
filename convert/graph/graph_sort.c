/* SPDX-License-Identifier: Apache-2.0 */
/* graph_sort.c - an order in which the nodes can run. ONNX requires the file to be in one; some tools ignore that.
 *
 * Depth first: a node follows those that compute its inputs. A file that is in order stays as it is. */
#include <stdlib.h>

#include "convert/graph/graph_internal.h"

enum { NEW = 0, ENTERED = 1, DONE = 2 };

typedef struct {
    uint32_t node;
    size_t next; /* input to visit */
} visit;

typedef struct {
    visit *stack;
    uint8_t *state;  /* of each node */
    uint32_t *order; /* nodes as they were, in their new order */
    size_t n_order, depth;
} sorting;

static void enter(sorting *s, uint32_t node)
{
    s->state[node] = ENTERED;
    s->stack[s->depth++] = (visit){node, 0};
}

/* The node and all that it needs. */
static fvlm_status visit_from(sorting *s, const fvlm_graph *g, uint32_t first, fvlm_err *err)
{
    char text[192];
    if (s->state[first] == NEW) enter(s, first);
    while (s->depth) {
        visit *v = &s->stack[s->depth - 1];
        const fvlm_graph_node *n = &g->nodes[v->node];
        if (v->next == n->n_inputs) {
            s->state[v->node] = DONE;
            s->order[s->n_order++] = v->node;
            s->depth--;
            continue;
        }
        const uint32_t id = n->inputs[v->next++];
        const uint32_t needed = id == FVLM_GRAPH_NONE ? FVLM_GRAPH_NONE : g->values[id].node;
        if (needed == FVLM_GRAPH_NONE || s->state[needed] == DONE) continue;
        if (s->state[needed] == ENTERED)
            return fvlm_fail(err, FVLM_BAD_INPUT,
                             "%s: its input \"%s\" depends on its own output; the graph has a cycle",
                             fvlm_graph_node_text(g, n, text), g->values[id].name);
        enter(s, needed);
    }
    return FVLM_OK;
}

static void reorder(fvlm_graph *g, const sorting *s, fvlm_graph_node *nodes)
{
    for (size_t i = 0; i < g->n_nodes; i++) {
        nodes[i] = g->nodes[s->order[i]];
        for (size_t j = 0; j < nodes[i].n_outputs; j++)
            if (nodes[i].outputs[j] != FVLM_GRAPH_NONE) g->values[nodes[i].outputs[j]].node = (uint32_t)i;
    }
    g->nodes = nodes;
}

fvlm_status fvlm_graph_sort(fvlm_graph *g, fvlm_err *err)
{
    const size_t n = g->n_nodes;
    sorting s = {fvlm_alloc(n, sizeof *s.stack), fvlm_alloc(n, 1), fvlm_alloc(n, sizeof *s.order), 0, 0};
    fvlm_status st = s.stack && s.state && s.order ? FVLM_OK : fvlm_fail_nomem(err);
    for (size_t i = 0; !st && i < n; i++) st = visit_from(&s, g, (uint32_t)i, err);
    fvlm_graph_node *nodes = st ? NULL : fvlm_graph_take(g, n, sizeof *nodes, err);
    if (nodes) reorder(g, &s, nodes);
    free(s.stack);
    free(s.state);
    free(s.order);
    return st || nodes ? st : FVLM_NOMEM;
}
