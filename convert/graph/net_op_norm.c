/* SPDX-License-Identifier: Apache-2.0 */
/* net_op_norm.c - handlers of normalizations, with the sum that comes before them in fused ones. */
#include "convert/graph/net_operators.h"

#include <inttypes.h>
#include <string.h>

/* x times scale[k] plus shift[k], k over the dimensions from the axis on. */
static fvlm_status emit_norm(fvlm_net_value **out, fvlm_net *net, fvlm_net_node *proto, fvlm_err *err)
{
    const fvlm_net_value *x = proto->inputs[0];
    fvlm_net_shape shape = fvlm_net_shape_of(x);
    uint64_t length = fvlm_net_product(x, proto->axis, x->rank);
    while (proto->n_inputs > 1 && !proto->inputs[proto->n_inputs - 1]) proto->n_inputs--;
    for (size_t i = 1; i < proto->n_inputs; i++) {
        const fvlm_net_value *p = proto->inputs[i];
        if (p && p->n_elems != length && p->n_elems != 1)
            return fvlm_fail(err, FVLM_UNSUPPORTED,
                             "it normalizes %" PRIu64 " elements together, with %" PRIu64
                             " weights; one for each element is supported",
                             length, p->n_elems);
    }
    return fvlm_net_emit(out, net, proto, x->type, &shape, err);
}

fvlm_status fvlm_net_op_layer_norm(fvlm_net *net, const fvlm_graph_node *n, fvlm_net_value **in, fvlm_net_value **out,
                                   fvlm_err *err)
{
    bool centers = strcmp(n->op, "LayerNormalization") == 0;
    fvlm_net_node proto = {.op = centers ? n->op : "RMSNormalization", .n_inputs = centers ? 3 : 2, .inputs = in};
    fvlm_status st = fvlm_net_attr_axis(&proto.axis, n, "axis", -1, in[0]->rank, err);
    if (!st) st = fvlm_net_attr_double(&proto.epsilon, n, "epsilon", 1e-5f, err);
    return st ? st : emit_norm(out, net, &proto, err);
}

/* SkipLayerNormalization(x, skip, scale, shift, bias), SkipSimplifiedLayerNormalization(x, skip, scale, bias): output 3
 * is the sum. */
fvlm_status fvlm_net_op_skip_norm(fvlm_net *net, const fvlm_graph_node *n, fvlm_net_value **in, fvlm_net_value **out,
                                  fvlm_err *err)
{
    bool centers = strcmp(n->op, "SkipLayerNormalization") == 0;
    fvlm_net_value *bias = in[centers ? 4 : 3], *inputs[3] = {NULL, in[2], centers ? in[3] : NULL};
    fvlm_net_node proto = {.op = centers ? "LayerNormalization" : "RMSNormalization", .n_inputs = 3, .inputs = inputs};
    if (in[0]->rank == 0) return fvlm_fail(err, FVLM_BAD_INPUT, "its input has no dimensions");
    proto.axis = in[0]->rank - 1;
    fvlm_status st = fvlm_net_attr_double(&proto.epsilon, n, "epsilon", 1e-12f, err);
    if (!st) st = fvlm_net_emit_binary(&inputs[0], net, "Add", in[0], in[1], err);
    if (!st && bias) st = fvlm_net_emit_binary(&inputs[0], net, "Add", inputs[0], bias, err);
    out[3] = inputs[0];
    return st ? st : emit_norm(out, net, &proto, err);
}

/* BatchNormalization(x, scale, shift, mean, variance) by channel. */
fvlm_status fvlm_net_op_batch_norm(fvlm_net *net, const fvlm_graph_node *n, fvlm_net_value **in, fvlm_net_value **out,
                                   fvlm_err *err)
{
    fvlm_net_node proto = {.op = n->op, .n_inputs = 5, .inputs = in};
    fvlm_net_shape shape = fvlm_net_shape_of(in[0]);
    fvlm_status st = fvlm_net_attr_double(&proto.epsilon, n, "epsilon", 1e-5f, err);
    if (!st) st = fvlm_net_attr_only(n, "training_mode", 0, err);
    if (!st) st = fvlm_net_attr_only(n, "spatial", 1, err);
    uint64_t channels = shape.rank > 1 ? shape.dims[1] : 1;
    for (unsigned i = 1; i < 5 && !st; i++)
        if (in[i]->rank != 1 || in[i]->dims[0] != channels)
            st = fvlm_fail(err, FVLM_BAD_INPUT, "%" PRIu64 " statistics for %" PRIu64 " channels", in[i]->n_elems,
                           channels);
    return st ? st : fvlm_net_emit(out, net, &proto, in[0]->type, &shape, err);
}
