/* SPDX-License-Identifier: Apache-2.0 */
/* match_embedding.c - see match_embedding.h; and the graph that holds nothing else. */
#include "convert/graph/match_embedding.h"

#include <inttypes.h>

#include "convert/graph/projection.h"

#define N_IDS 5

bool fvlm_embedding_find(fvlm_embedding *out, fvlm_net_value *v, const fvlm_net_value *ids)
{
    v = fvlm_net_skip_reshapes(v);
    if (!fvlm_net_is(v, "Gather") || v->producer->n_inputs < 2 || v->producer->axis) return false;
    const fvlm_net_value *table = v->producer->inputs[0];
    if (!table->is_const || table->rank != 2 || fvlm_net_skip_reshapes(v->producer->inputs[1]) != ids) return false;
    *out = (fvlm_embedding){table, v->producer};
    return true;
}

fvlm_status fvlm_embedding_add(fvlm_match *m, const fvlm_net *net, const fvlm_embedding *e, fvlm_err *err)
{
    fvlm_match_tensor *t = fvlm_match_add(m, err, "model.embed_tokens.weight");
    if (!t) return FVLM_NOMEM;
    t->rank = 2;
    t->dims[0] = e->weight->dims[0];
    t->dims[1] = e->weight->dims[1];
    const fvlm_match_rows all = {.v = e->weight, .n_rows = t->dims[0]};
    return fvlm_match_set_rows(t, net, &all, 1, e->node, err);
}

fvlm_status fvlm_match_embedding(fvlm_match *m, const fvlm_graph *g, fvlm_err *err)
{
    fvlm_net *net = NULL;
    if (fvlm_graph_n_inputs(g) != 1 || fvlm_graph_n_outputs(g) != 1)
        return fvlm_fail(err, FVLM_UNSUPPORTED, "embedding: expected one input, token ids, and one output");
    const fvlm_graph_value *in = fvlm_graph_value_at(g, fvlm_graph_input_at(g, 0));
    fvlm_net_input ids = {.name = in->name, .rank = in->rank};
    for (unsigned i = 0; i < in->rank; i++) ids.dims[i] = in->dims[i] >= 0 ? (uint64_t)in->dims[i] : i ? N_IDS : 1;
    fvlm_status st = fvlm_net_create(&net, g, &ids, 1, err);
    if (st) return st;
    fvlm_net_value *out = fvlm_net_output_value(net, fvlm_graph_value_at(g, fvlm_graph_output_at(g, 0))->name);
    fvlm_embedding e = {0};
    if (!fvlm_embedding_find(&e, out, fvlm_net_input_value(net, in->name)))
        st = fvlm_match_expected(net, fvlm_net_skip_reshapes(out), NULL, err,
                                 "the embedding, a Gather of rows of a constant by the "
                                 "token ids, unscaled");
    else
        st = fvlm_embedding_add(m, net, &e, err);
    if (!st) {
        m->n_narrowed = fvlm_net_n_narrowed(net, &m->narrowed);
        m->has_embedding = true;
        m->config.llm.hidden = (uint32_t)e.weight->dims[1];
    }
    fvlm_net_destroy(&net);
    return st;
}
