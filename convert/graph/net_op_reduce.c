/* SPDX-License-Identifier: Apache-2.0 */
/* net_op_reduce.c - handlers of operators along axes: Reduce*, ArgMax, CumSum, Softmax. */
#include "convert/graph/net_operators.h"

#include <inttypes.h>
#include <string.h>

fvlm_status fvlm_net_op_reduce(fvlm_net *net, const fvlm_graph_node *n, fvlm_net_value **in, fvlm_net_value **out,
                               fvlm_err *err)
{
    const int64_t *list = NULL;
    size_t n_axes = 0;
    uint32_t axes = 0;
    bool keep = true, no_axes_no_change = false;
    unsigned rank = in[0]->rank;
    fvlm_status st = fvlm_net_input_or_attr(&list, &n_axes, net, n, in[1], "axes", err);
    if (!st) st = fvlm_net_axes(&axes, list, n_axes, rank, err);
    if (!st) st = fvlm_net_attr_bool(&keep, n, "keepdims", true, err);
    if (!st) st = fvlm_net_attr_bool(&no_axes_no_change, n, "noop_with_empty_axes", false, err);
    if (st) return st;
    out[0] = in[0];
    if (!n_axes && no_axes_no_change) return FVLM_OK;
    if (!n_axes) axes = rank ? UINT32_MAX >> (32 - rank) : 0;
    return fvlm_net_emit_reduce(out, net, n->op, in[0], axes, keep, err);
}

fvlm_status fvlm_net_op_arg(fvlm_net *net, const fvlm_graph_node *n, fvlm_net_value **in, fvlm_net_value **out,
                            fvlm_err *err)
{
    fvlm_net_node proto = {.op = n->op, .n_inputs = 1, .inputs = in};
    bool keep = true, last = false;
    fvlm_net_shape kept = fvlm_net_shape_of(in[0]), less = {0};
    fvlm_status st = fvlm_net_attr_axis(&proto.axis, n, "axis", 0, kept.rank, err);
    if (!st) st = fvlm_net_attr_bool(&keep, n, "keepdims", true, err);
    if (!st) st = fvlm_net_attr_bool(&last, n, "select_last_index", false, err);
    if (st) return st;
    proto.alpha = last;
    for (unsigned d = 0; d < kept.rank; d++)
        if (d != proto.axis) less.dims[less.rank++] = kept.dims[d];
    if (kept.dims[proto.axis] == 0) return fvlm_fail(err, FVLM_BAD_INPUT, "axis %u has no elements", proto.axis);
    kept.dims[proto.axis] = 1;
    st = fvlm_net_emit(out, net, &proto, FVLM_ONNX_I64, &kept, err);
    return st || keep ? st : fvlm_net_emit_reshape(out, net, *out, &less, err);
}

fvlm_status fvlm_net_op_cumsum(fvlm_net *net, const fvlm_graph_node *n, fvlm_net_value **in, fvlm_net_value **out,
                               fvlm_err *err)
{
    fvlm_net_node proto = {.op = n->op, .n_inputs = 1, .inputs = in};
    fvlm_net_shape shape = fvlm_net_shape_of(in[0]);
    const int64_t *axis;
    size_t count;
    bool exclusive = false, reverse = false;
    fvlm_status st = fvlm_net_ints(&axis, &count, net, in[1], "axis", err);
    if (!st && count != 1) st = fvlm_fail(err, FVLM_BAD_INPUT, "%zu axes instead of one", count);
    if (!st) st = fvlm_net_axis(&proto.axis, axis[0], shape.rank, err);
    if (!st) st = fvlm_net_attr_bool(&exclusive, n, "exclusive", false, err);
    if (!st) st = fvlm_net_attr_bool(&reverse, n, "reverse", false, err);
    if (st) return st;
    proto.alpha = exclusive;
    proto.beta = reverse;
    return fvlm_net_emit(out, net, &proto, in[0]->type, &shape, err);
}

/* Before opset 13 all dimensions from the axis on were one. */
fvlm_status fvlm_net_op_softmax(fvlm_net *net, const fvlm_graph_node *n, fvlm_net_value **in, fvlm_net_value **out,
                                fvlm_err *err)
{
    fvlm_net_node proto = {.op = n->op, .n_inputs = 1, .inputs = in};
    fvlm_net_shape shape = fvlm_net_shape_of(in[0]);
    fvlm_status st = fvlm_net_attr_axis(&proto.axis, n, "axis", net->opset < 13 ? 1 : -1, shape.rank, err);
    if (st) return st;
    for (unsigned d = proto.axis + 1; d < shape.rank && net->opset < 13; d++)
        if (shape.dims[d] != 1)
            return fvlm_fail(err, FVLM_UNSUPPORTED,
                             "axis %u of a value of rank %u; before opset 13 only the last one is supported",
                             proto.axis, shape.rank);
    return fvlm_net_emit(out, net, &proto, in[0]->type, &shape, err);
}
