/* SPDX-License-Identifier: Apache-2.0 */
/* chain.c - see chain.h.
 *
 * Nodes are taken in running order, as far as the output needs them. Whenever only one value is still to be used,
 * everything later depends on that value alone: it is a link. */
#include "convert/graph/chain.h"

#include <stdlib.h>

/* A value that is computed on the way. */
typedef struct {
    const fvlm_net_value *v;
    size_t uses; /* by needed nodes, not yet seen */
    bool needed;
} entry;

typedef struct {
    entry *items; /* sorted by address */
    size_t n;
} table;

static int compare(const void *a, const void *b)
{
    const uintptr_t x = (uintptr_t)((const entry *)a)->v, y = (uintptr_t)((const entry *)b)->v;
    return x < y ? -1 : x > y;
}

static entry *find(const table *t, const fvlm_net_value *v)
{
    const entry key = {.v = v};
    return v ? bsearch(&key, t->items, t->n, sizeof key, compare) : NULL;
}

static bool fill(table *t, const fvlm_net *net, const fvlm_net_value *input)
{
    size_t n = 1;
    for (size_t i = 0; i < fvlm_net_n_nodes(net); i++) n += fvlm_net_node_at(net, i)->n_outputs;
    t->items = fvlm_alloc(n, sizeof *t->items);
    if (!t->items) return false;
    t->items[t->n++].v = input;
    for (size_t i = 0; i < fvlm_net_n_nodes(net); i++) {
        const fvlm_net_node *node = fvlm_net_node_at(net, i);
        for (size_t k = 0; k < node->n_outputs; k++)
            if (node->outputs[k] && node->outputs[k] != input) t->items[t->n++].v = node->outputs[k];
    }
    qsort(t->items, t->n, sizeof *t->items, compare);
    return true;
}

/* Marks what the output needs, and counts uses; an input that a node has twice counts twice. */
static void mark(const table *t, const fvlm_net *net, const fvlm_net_value *output)
{
    entry *e = find(t, output);
    if (e) e->needed = true, e->uses = 1; /* put out */
    for (size_t i = fvlm_net_n_nodes(net); i-- > 0;) {
        const fvlm_net_node *node = fvlm_net_node_at(net, i);
        bool needed = false;
        for (size_t k = 0; k < node->n_outputs; k++) needed |= (e = find(t, node->outputs[k])) && e->needed;
        for (size_t k = 0; needed && k < node->n_inputs; k++)
            if ((e = find(t, node->inputs[k]))) e->needed = true, e->uses++;
    }
}

static void collect(fvlm_chain *out, const table *t, const fvlm_net *net, fvlm_net_value *input)
{
    size_t live = 1; /* values that are computed and still to be used */
    out->link[out->n++] = input;
    for (size_t i = 0; i < fvlm_net_n_nodes(net); i++) {
        const fvlm_net_node *node = fvlm_net_node_at(net, i);
        entry *e;
        bool needed = false;
        for (size_t k = 0; k < node->n_outputs; k++) needed |= (e = find(t, node->outputs[k])) && e->needed;
        for (size_t k = 0; needed && k < node->n_inputs; k++)
            if ((e = find(t, node->inputs[k])) && --e->uses == 0) live--;
        fvlm_net_value *last = NULL;
        for (size_t k = 0; needed && k < node->n_outputs; k++)
            if ((e = find(t, node->outputs[k])) && e->needed) live++, last = node->outputs[k];
        if (live == 1 && last) out->link[out->n++] = last;
    }
}

fvlm_status fvlm_chain_find(fvlm_chain *out, const fvlm_net *net, fvlm_net_value *input, fvlm_net_value *output,
                            fvlm_err *err)
{
    table t = {0};
    *out = (fvlm_chain){.link = fvlm_alloc(fvlm_net_n_nodes(net) + 1, sizeof(fvlm_net_value *))};
    bool ok = out->link && fill(&t, net, input);
    if (ok) {
        mark(&t, net, output);
        if (find(&t, input)->needed && input != output) collect(out, &t, net, input);
    }
    free(t.items);
    if (ok && out->n && out->link[out->n - 1] == output) return FVLM_OK;
    fvlm_chain_free(out);
    if (!ok) return fvlm_fail_nomem(err);
    return fvlm_fail(err, FVLM_UNSUPPORTED, "output \"%s\" does not depend on input \"%s\" alone", output->name,
                     input->name);
}

void fvlm_chain_free(fvlm_chain *c)
{
    free(c->link);
    *c = (fvlm_chain){0};
}
