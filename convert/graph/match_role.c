/* SPDX-License-Identifier: Apache-2.0 */
/* match_role.c - see match.h: what a graph is, by its inputs and outputs. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "convert/graph/match.h"

#define EMBEDDING_NODES 64 /* an embedding is a Gather and perhaps a few casts and dequantizing nodes */

bool fvlm_match_is_float(int32_t type)
{
    return type == FVLM_ONNX_F32 || type == FVLM_ONNX_F16 || type == FVLM_ONNX_BF16;
}

bool fvlm_match_is_int(int32_t type)
{
    return type == FVLM_ONNX_I64 || type == FVLM_ONNX_I32;
}

static bool is_picture(const fvlm_graph_value *v)
{
    return fvlm_match_is_float(v->type) && v->has_shape && v->rank == 4 && (v->dims[1] == 3 || v->dims[1] < 0);
}

static bool gathers_ids(const fvlm_graph *g, uint32_t ids)
{
    for (size_t i = 0; i < fvlm_graph_n_nodes(g) && i < EMBEDDING_NODES; i++) {
        const fvlm_graph_node *n = fvlm_graph_node_at(g, i);
        if (!strcmp(n->op, "Softmax") || !strcmp(n->op, "Conv")) return false;
        for (size_t k = 0; k < n->n_inputs; k++)
            if (n->inputs[k] == ids && strncmp(n->op, "Gather", 6) != 0 && strcmp(n->op, "Cast") != 0 &&
                strcmp(n->op, "Identity") != 0)
                return false;
    }
    return fvlm_graph_n_nodes(g) > 0 && fvlm_graph_n_nodes(g) <= EMBEDDING_NODES;
}

fvlm_graph_role fvlm_match_role(const fvlm_graph *g)
{
    bool decoder = false;
    const size_t n = fvlm_graph_n_inputs(g);
    for (size_t i = 0; i < n; i++) {
        const uint32_t id = fvlm_graph_input_at(g, i);
        const fvlm_graph_value *v = fvlm_graph_value_at(g, id);
        if (n == 1 && is_picture(v)) return FVLM_GRAPH_VISION;
        if (n == 1 && fvlm_match_is_int(v->type) && fvlm_graph_n_outputs(g) == 1 && gathers_ids(g, id))
            return FVLM_GRAPH_EMBEDDING;
        if (v->has_shape &&
            ((fvlm_match_is_int(v->type) && v->rank == 2) || (fvlm_match_is_float(v->type) && v->rank == 3)))
            decoder = true;
    }
    for (size_t i = 0; decoder && i < fvlm_graph_n_outputs(g); i++) {
        const fvlm_graph_value *v = fvlm_graph_value_at(g, fvlm_graph_output_at(g, i));
        if (fvlm_match_is_float(v->type) && (!v->has_shape || v->rank == 3)) return FVLM_GRAPH_DECODER;
    }
    return FVLM_GRAPH_FOREIGN;
}

/* "pixel_values [1, 3, 1024, 1024] and 2 more" */
static void list_inputs(const fvlm_graph *g, char text[400])
{
    size_t n = 0;
    const size_t n_inputs = fvlm_graph_n_inputs(g), shown = n_inputs < 3 ? n_inputs : 3;
    text[0] = 0;
    for (size_t i = 0; i < shown && n < 300; i++) {
        const fvlm_graph_value *v = fvlm_graph_value_at(g, fvlm_graph_input_at(g, i));
        n += (size_t)snprintf(text + n, 400 - n, "%s\"%.60s\" %s [", i ? ", " : "", v->name,
                              fvlm_onnx_type_name(v->type));
        for (unsigned d = 0; d < v->rank && n < 300; d++)
            n += v->dims[d] < 0 ? (size_t)snprintf(text + n, 400 - n, "%s%.20s", d ? ", " : "",
                                                   v->symbols[d] ? v->symbols[d] : "?")
                                : (size_t)snprintf(text + n, 400 - n, "%s%" PRId64, d ? ", " : "", v->dims[d]);
        if (n < 390) n += (size_t)snprintf(text + n, 400 - n, "]");
    }
    if (n_inputs > shown && n < 380) snprintf(text + n, 400 - n, " and %zu more", n_inputs - shown);
    if (n_inputs == 0) snprintf(text, 400, "nothing");
}

fvlm_status fvlm_match_refuse_foreign(const fvlm_graph *g, fvlm_err *err)
{
    char inputs[400];
    list_inputs(g, inputs);
    return fvlm_fail(
        err, FVLM_UNSUPPORTED,
        "\"%s\" is not a part of a FastVLM: it takes %s; expected a picture [batch, 3, height, width], token "
        "ids [batch, tokens], or their embeddings",
        fvlm_graph_path(g), inputs);
}
