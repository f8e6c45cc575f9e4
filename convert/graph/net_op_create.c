/* SPDX-License-Identifier: Apache-2.0 */
/* net_op_create.c - handlers of operators that make constants from shapes and numbers. */
#include "convert/graph/net_operators.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

fvlm_status fvlm_net_op_shape(fvlm_net *net, const fvlm_graph_node *n, fvlm_net_value **in, fvlm_net_value **out,
                              fvlm_err *err)
{
    int64_t start = 0, end = 0, rank = in[0]->rank;
    fvlm_status st = fvlm_graph_attr_int(&start, n, "start", 0, err);
    if (!st) st = fvlm_graph_attr_int(&end, n, "end", rank, err);
    if (st) return st;
    start = start < -rank ? 0 : start < 0 ? start + rank : start > rank ? rank : start;
    end = end < -rank ? 0 : end < 0 ? end + rank : end > rank ? rank : end;
    double *numbers;
    fvlm_net_shape shape = {.rank = 1, .dims = {end > start ? (uint64_t)(end - start) : 0}};
    st = fvlm_net_new_const(out, &numbers, net, FVLM_ONNX_I64, &shape, err);
    for (uint64_t i = 0; i < shape.dims[0] && !st; i++) numbers[i] = (double)in[0]->dims[(uint64_t)start + i];
    return st;
}

fvlm_status fvlm_net_op_size(fvlm_net *net, const fvlm_graph_node *n, fvlm_net_value **in, fvlm_net_value **out,
                             fvlm_err *err)
{
    (void)n;
    return fvlm_net_new_scalar(out, net, FVLM_ONNX_I64, (double)in[0]->n_elems, err);
}

fvlm_status fvlm_net_op_constant_of_shape(fvlm_net *net, const fvlm_graph_node *n, fvlm_net_value **in,
                                          fvlm_net_value **out, fvlm_err *err)
{
    const int64_t *dims;
    size_t rank;
    const fvlm_graph_attr *value = fvlm_graph_attr_find(n, "value");
    fvlm_status st = fvlm_net_ints(&dims, &rank, net, in[0], "shape", err);
    if (!st && value && (value->kind != FVLM_ATTR_TENSOR || value->tensor->n_elems != 1))
        st = fvlm_fail(err, FVLM_BAD_INPUT, "attribute \"value\" must be a tensor of one element");
    if (!st && rank > FVLM_GRAPH_MAX_RANK) st = fvlm_fail(err, FVLM_LIMIT, "a shape of rank %zu", rank);
    fvlm_net_shape shape = {.rank = (unsigned)rank};
    for (size_t d = 0; d < rank && !st; d++) {
        if (dims[d] < 0) return fvlm_fail(err, FVLM_BAD_INPUT, "its shape holds %" PRId64, dims[d]);
        shape.dims[d] = (uint64_t)dims[d];
    }
    if (st) return st;
    double x = value ? fvlm_net_stored_number(value->tensor, 0) : 0;
    return fvlm_net_new_uniform(out, net, value ? value->tensor->type : FVLM_ONNX_F32, &shape, x, err);
}

fvlm_status fvlm_net_op_range(fvlm_net *net, const fvlm_graph_node *n, fvlm_net_value **in, fvlm_net_value **out,
                              fvlm_err *err)
{
    (void)n;
    double x[3];
    for (unsigned i = 0; i < 3; i++) {
        if (!in[i]->numbers || in[i]->n_elems != 1)
            return fvlm_fail(err, FVLM_UNSUPPORTED, "its limits depend on values that are not known (\"%.200s\")",
                             in[i]->name);
        x[i] = in[i]->numbers[0];
    }
    double count = ceil((x[1] - x[0]) / x[2]);
    if (x[2] == 0 || !isfinite(count))
        return fvlm_fail(err, FVLM_BAD_INPUT, "a range from %g to %g by %g", x[0], x[1], x[2]);
    if (count > FVLM_NET_COMPUTED)
        return fvlm_fail(err, FVLM_LIMIT, "a range of %.0f elements, at most %d are supported", count,
                         FVLM_NET_COMPUTED);
    fvlm_net_shape shape = {.rank = 1, .dims = {count > 0 ? (uint64_t)count : 0}};
    double *numbers;
    fvlm_status st = fvlm_net_new_const(out, &numbers, net, in[0]->type, &shape, err);
    if (!st) st = fvlm_net_spend(net, shape.dims[0], err);
    for (uint64_t i = 0; i < shape.dims[0] && !st; i++) {
        numbers[i] = x[0] + (double)i * x[2];
        fvlm_net_round(&numbers[i], in[0]->type);
    }
    return st;
}

/* Indices by dimension: [rank, n]. */
fvlm_status fvlm_net_op_nonzero(fvlm_net *net, const fvlm_graph_node *n, fvlm_net_value **in, fvlm_net_value **out,
                                fvlm_err *err)
{
    (void)n;
    const fvlm_net_value *x = in[0];
    if (!x->numbers)
        return fvlm_fail(err, FVLM_UNSUPPORTED, "its shape depends on values that are not known (\"%.200s\")", x->name);
    fvlm_net_shape shape = {.rank = 2, .dims = {x->rank ? x->rank : 1, 0}};
    for (uint64_t i = 0; i < x->n_elems; i++) shape.dims[1] += x->numbers[i] != 0;
    double *numbers;
    fvlm_status st = fvlm_net_new_const(out, &numbers, net, FVLM_ONNX_I64, &shape, err);
    if (!st) st = fvlm_net_spend(net, x->n_elems, err);
    uint64_t column = 0;
    for (uint64_t i = 0; i < x->n_elems && !st; i++) {
        if (x->numbers[i] == 0) continue;
        uint64_t rest = i;
        for (unsigned d = x->rank; d-- > 0;) {
            numbers[d * shape.dims[1] + column] = (double)(rest % x->dims[d]);
            rest /= x->dims[d];
        }
        column++;
    }
    return st;
}
