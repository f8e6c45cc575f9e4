/* SPDX-License-Identifier: Apache-2.0 */
/* harness.c - any bytes as an ONNX file that opens: evaluated for concrete inputs, and matched against FastVLM's parts;
 * refused with a message, or every value has a shape and every weight that was found lies in its tensor. */
#include "convert/graph/match.h"
#include "tests/fuzz/onnx_file.h"

/* Every input as declared; symbols become 2, and small integers have contents. */
static void evaluate(const fvlm_graph *g)
{
    static const double numbers[64] = {1, 0, 2, 1, 3};
    fvlm_net_input inputs[8];
    const size_t n = fvlm_graph_n_inputs(g);
    if (n > 8) return;
    for (size_t i = 0; i < n; i++) {
        const fvlm_graph_value *v = fvlm_graph_value_at(g, fvlm_graph_input_at(g, i));
        uint64_t n_elems = 1;
        inputs[i] = (fvlm_net_input){.name = v->name, .rank = v->rank};
        for (unsigned d = 0; d < v->rank; d++) {
            inputs[i].dims[d] = v->dims[d] < 0 ? 2 : (uint64_t)v->dims[d];
            if (!fvlm_checked_mul(n_elems, inputs[i].dims[d], &n_elems)) n_elems = UINT64_MAX;
        }
        if (n_elems <= 64 && (v->type == FVLM_ONNX_I64 || v->type == FVLM_ONNX_I32)) inputs[i].numbers = numbers;
    }
    fvlm_err err = {0};
    fvlm_net *net;
    const fvlm_status st = fvlm_net_create(&net, g, inputs, n, &err);
    must_explain(st, &err);
    if (st) return;
    for (size_t i = 0; i < fvlm_net_n_nodes(net); i++) {
        const fvlm_net_node *node = fvlm_net_node_at(net, i);
        MUST(node->index == i);
        for (size_t j = 0; j < node->n_inputs; j++) {
            const fvlm_net_value *v = node->inputs[j];
            MUST(!v || !v->producer || v->producer->index < i);
        }
    }
    fvlm_net_destroy(&net);
}

static void match(const fvlm_graph *g, fvlm_status (*matcher)(fvlm_match *, const fvlm_graph *, fvlm_err *))
{
    fvlm_err err = {0};
    fvlm_match m = {0};
    must_explain(matcher(&m, g, &err), &err);
    fvlm_match_free(&m);
}

static fvlm_status match_vision(fvlm_match *m, const fvlm_graph *g, fvlm_err *err)
{
    return fvlm_match_vision(m, g, 64, err);
}

static void use_graph(const fvlm_graph *g)
{
    evaluate(g);
    const fvlm_graph_role role = fvlm_match_role(g);
    if (role == FVLM_GRAPH_VISION) match(g, match_vision);
    if (role == FVLM_GRAPH_EMBEDDING) match(g, fvlm_match_embedding);
    if (role == FVLM_GRAPH_DECODER) match(g, fvlm_match_decoder);
}
