/* SPDX-License-Identifier: Apache-2.0 */
/* graph_names.c - a hash table of the names of values, with capacity for every name that can occur. */
#include <xxhash.h>

#include "convert/graph/graph_internal.h"

static size_t slot_of(const fvlm_graph *g, const char *name)
{
    size_t i = (size_t)XXH3_64bits_withSeed(name, strlen(name), g->seed) & g->slot_mask;
    while (g->slots[i] && strcmp(g->values[g->slots[i] - 1].name, name) != 0) i = (i + 1) & g->slot_mask;
    return i;
}

uint32_t fvlm_graph_find_name(const fvlm_graph *g, const char *name)
{
    return g->slots[slot_of(g, name)] - 1;
}

uint32_t fvlm_graph_intern_name(fvlm_graph *g, const char *name)
{
    const size_t slot = slot_of(g, name);
    if (g->slots[slot]) return g->slots[slot] - 1;
    g->values[g->n_values] = (fvlm_graph_value){.name = name, .node = FVLM_GRAPH_NONE};
    g->slots[slot] = (uint32_t)++g->n_values;
    return g->slots[slot] - 1;
}

fvlm_status fvlm_graph_make_names(fvlm_graph *g, const FvlmOnnx__GraphProto *p, fvlm_err *err)
{
    size_t n = p->n_initializer + p->n_input + p->n_output, slots = 16;
    for (size_t i = 0; i < p->n_node; i++) n += p->node[i]->n_input + p->node[i]->n_output;
    while (slots < 2 * n) slots *= 2;
    g->slots = fvlm_graph_take(g, slots, sizeof *g->slots, err);
    if (!g->slots) return FVLM_NOMEM;
    g->slot_mask = slots - 1;
    g->seed = fvlm_hash_seed();
    g->values = fvlm_graph_take(g, n, sizeof *g->values, err);
    return g->values ? FVLM_OK : FVLM_NOMEM;
}
