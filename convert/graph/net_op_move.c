/* SPDX-License-Identifier: Apache-2.0 */
/* net_op_move.c - handlers of operators that give elements another shape or order. */
#include "convert/graph/net_operators.h"

#include <inttypes.h>
#include <string.h>

/* 0 copies a dimension of x (unless allowzero), -1 is what is left. */
fvlm_status fvlm_net_op_reshape(fvlm_net *net, const fvlm_graph_node *n, fvlm_net_value **in, fvlm_net_value **out,
                                fvlm_err *err)
{
    const int64_t *target = NULL;
    size_t rank = 0;
    bool allow_zero = false;
    fvlm_status st = fvlm_net_input_or_attr(&target, &rank, net, n, in[1], "shape", err);
    if (!st) st = fvlm_net_attr_bool(&allow_zero, n, "allowzero", false, err);
    if (st) return st;
    if (rank > FVLM_GRAPH_MAX_RANK) return fvlm_fail(err, FVLM_LIMIT, "a shape of rank %zu", rank);
    fvlm_net_shape shape = {.rank = (unsigned)rank};
    int open = -1;
    for (unsigned d = 0; d < rank; d++) {
        if (target[d] < -1 || (target[d] == -1 && open >= 0))
            return fvlm_fail(err, FVLM_BAD_INPUT, "a target shape with dimension %" PRId64 "%s", target[d],
                             target[d] == -1 ? " twice" : "");
        if (target[d] == 0 && !allow_zero && d >= in[0]->rank)
            return fvlm_fail(err, FVLM_BAD_INPUT, "dimension %u of the target shape copies one that is not there", d);
        shape.dims[d] = target[d] == 0 && !allow_zero ? in[0]->dims[d] : (uint64_t)target[d];
        if (target[d] == -1) open = (int)d, shape.dims[d] = 1;
    }
    uint64_t rest;
    st = fvlm_net_count(&rest, shape.rank, shape.dims, err);
    if (st) return st;
    if (open >= 0 && rest) shape.dims[open] = in[0]->n_elems / rest;
    if (open >= 0 && !rest) return fvlm_fail(err, FVLM_BAD_INPUT, "dimension -1 of an empty target shape");
    return fvlm_net_emit_reshape(out, net, in[0], &shape, err);
}

fvlm_status fvlm_net_op_flatten(fvlm_net *net, const fvlm_graph_node *n, fvlm_net_value **in, fvlm_net_value **out,
                                fvlm_err *err)
{
    int64_t axis = 1, rank = in[0]->rank;
    fvlm_status st = fvlm_graph_attr_int(&axis, n, "axis", 1, err);
    if (!st && (axis < -rank || axis > rank))
        st = fvlm_fail(err, FVLM_BAD_INPUT, "axis %" PRId64 " of a value of rank %u", axis, in[0]->rank);
    if (st) return st;
    if (axis < 0) axis += rank;
    fvlm_net_shape shape = {.rank = 2, .dims = {1, 1}};
    for (unsigned d = 0; d < in[0]->rank; d++) shape.dims[d >= axis] *= in[0]->dims[d];
    return fvlm_net_emit_reshape(out, net, in[0], &shape, err);
}

fvlm_status fvlm_net_op_squeeze(fvlm_net *net, const fvlm_graph_node *n, fvlm_net_value **in, fvlm_net_value **out,
                                fvlm_err *err)
{
    const int64_t *list = NULL;
    size_t n_axes = 0;
    uint32_t axes = 0;
    const fvlm_net_value *x = in[0];
    fvlm_status st = fvlm_net_input_or_attr(&list, &n_axes, net, n, in[1], "axes", err);
    if (!st) st = fvlm_net_axes(&axes, list, n_axes, x->rank, err);
    if (st) return st;
    fvlm_net_shape shape = {0};
    for (unsigned d = 0; d < x->rank; d++) {
        bool goes = n_axes ? axes >> d & 1 : x->dims[d] == 1;
        if (goes && x->dims[d] != 1)
            return fvlm_fail(err, FVLM_BAD_INPUT, "dimension %u is %" PRIu64 ", not 1", d, x->dims[d]);
        if (!goes) shape.dims[shape.rank++] = x->dims[d];
    }
    return fvlm_net_emit_reshape(out, net, in[0], &shape, err);
}

fvlm_status fvlm_net_op_unsqueeze(fvlm_net *net, const fvlm_graph_node *n, fvlm_net_value **in, fvlm_net_value **out,
                                  fvlm_err *err)
{
    const int64_t *list = NULL;
    size_t n_axes = 0;
    uint32_t axes = 0;
    fvlm_status st = fvlm_net_input_or_attr(&list, &n_axes, net, n, in[1], "axes", err);
    if (!st && n_axes + in[0]->rank > FVLM_GRAPH_MAX_RANK)
        st = fvlm_fail(err, FVLM_LIMIT, "a shape of rank %zu", n_axes + in[0]->rank);
    fvlm_net_shape shape = {.rank = in[0]->rank + (unsigned)n_axes};
    if (!st) st = fvlm_net_axes(&axes, list, n_axes, shape.rank, err);
    if (st) return st;
    for (unsigned d = 0, from = 0; d < shape.rank; d++) shape.dims[d] = axes >> d & 1 ? 1 : in[0]->dims[from++];
    return fvlm_net_emit_reshape(out, net, in[0], &shape, err);
}

fvlm_status fvlm_net_op_transpose(fvlm_net *net, const fvlm_graph_node *n, fvlm_net_value **in, fvlm_net_value **out,
                                  fvlm_err *err)
{
    const int64_t *list = NULL;
    size_t n_perm = 0;
    uint32_t seen = 0;
    unsigned rank = in[0]->rank, perm[FVLM_GRAPH_MAX_RANK];
    fvlm_status st = fvlm_graph_attr_ints(&list, &n_perm, n, "perm", err);
    if (!st && n_perm && n_perm != rank)
        st = fvlm_fail(err, FVLM_BAD_INPUT, "perm has %zu axes, the value has rank %u", n_perm, rank);
    if (!st && n_perm) st = fvlm_net_axes(&seen, list, n_perm, rank, err);
    for (unsigned d = 0; d < rank && !st; d++) {
        perm[d] = rank - 1 - d;
        if (n_perm) st = fvlm_net_axis(&perm[d], list[d], rank, err);
    }
    return st ? st : fvlm_net_emit_transpose(out, net, in[0], perm, err);
}

static fvlm_status read_dims(fvlm_net_shape *shape, fvlm_net *net, const fvlm_net_value *v, const char *what,
                             fvlm_err *err)
{
    const int64_t *list;
    size_t n;
    *shape = (fvlm_net_shape){0};
    fvlm_status st = fvlm_net_ints(&list, &n, net, v, what, err);
    if (st) return st;
    if (n > FVLM_GRAPH_MAX_RANK) return fvlm_fail(err, FVLM_LIMIT, "a shape of rank %zu", n);
    shape->rank = (unsigned)n;
    for (size_t d = 0; d < n; d++) {
        if (list[d] < 0) return fvlm_fail(err, FVLM_BAD_INPUT, "its %s holds %" PRId64, what, list[d]);
        shape->dims[d] = (uint64_t)list[d];
    }
    return FVLM_OK;
}

fvlm_status fvlm_net_op_expand(fvlm_net *net, const fvlm_graph_node *n, fvlm_net_value **in, fvlm_net_value **out,
                               fvlm_err *err)
{
    (void)n;
    fvlm_net_node proto = {.op = "Expand", .n_inputs = 1, .inputs = in};
    fvlm_net_shape asked, shape;
    fvlm_status st = read_dims(&asked, net, in[1], "target shape", err);
    if (st) return st;
    fvlm_net_value like = {.rank = asked.rank}, *both[] = {in[0], &like};
    memcpy(like.dims, asked.dims, sizeof like.dims);
    st = fvlm_net_broadcast(&shape, both, 2, err);
    if (st) return st;
    uint64_t count;
    st = fvlm_net_count(&count, shape.rank, shape.dims, err);
    if (!st && count == in[0]->n_elems) return fvlm_net_emit_reshape(out, net, in[0], &shape, err);
    return st ? st : fvlm_net_emit(out, net, &proto, in[0]->type, &shape, err);
}

fvlm_status fvlm_net_op_tile(fvlm_net *net, const fvlm_graph_node *n, fvlm_net_value **in, fvlm_net_value **out,
                             fvlm_err *err)
{
    (void)n;
    fvlm_net_node proto = {.op = "Tile", .n_inputs = 1, .inputs = in};
    fvlm_net_shape repeats, shape = fvlm_net_shape_of(in[0]);
    fvlm_status st = read_dims(&repeats, net, in[1], "number of repeats", err);
    if (!st && repeats.rank != shape.rank)
        st = fvlm_fail(err, FVLM_BAD_INPUT, "%u repeats of a value of rank %u", repeats.rank, shape.rank);
    for (unsigned d = 0; d < shape.rank && !st; d++)
        if (!fvlm_checked_mul(shape.dims[d], repeats.dims[d], &shape.dims[d]))
            st = fvlm_fail(err, FVLM_LIMIT, "%" PRIu64 " repeats of %" PRIu64, repeats.dims[d], shape.dims[d]);
    out[0] = in[0];
    if (st || fvlm_net_same_shape(in[0], &shape)) return st;
    return fvlm_net_emit(out, net, &proto, in[0]->type, &shape, err);
}

/* Empty inputs, such as a cache without a past, are left out. */
fvlm_status fvlm_net_op_concat(fvlm_net *net, const fvlm_graph_node *n, fvlm_net_value **in, fvlm_net_value **out,
                               fvlm_err *err)
{
    char a[200], b[200];
    unsigned axis = 0;
    fvlm_net_value **kept = fvlm_net_take(net, n->n_inputs, sizeof(fvlm_net_value *), err);
    if (!kept) return err->code;
    fvlm_net_node proto = {.op = "Concat", .inputs = kept};
    for (size_t i = 0; i < n->n_inputs; i++)
        if (!in[i]) return fvlm_fail(err, FVLM_BAD_INPUT, "input %zu is left out", i);
    fvlm_status st = fvlm_net_attr_axis(&axis, n, "axis", 1, in[0]->rank, err);
    fvlm_net_shape shape = fvlm_net_shape_of(in[0]);
    for (size_t i = 0; i < n->n_inputs && !st; i++) {
        bool fits = in[i]->rank == shape.rank;
        for (unsigned d = 0; d < shape.rank && fits; d++) fits = d == axis || in[i]->dims[d] == shape.dims[d];
        if (!fits)
            return fvlm_fail(err, FVLM_BAD_INPUT, "shapes %s and %s cannot be joined along axis %u",
                             fvlm_net_shape_text(in[0]->rank, in[0]->dims, a),
                             fvlm_net_shape_text(in[i]->rank, in[i]->dims, b), axis);
        if (i && !fvlm_checked_add(shape.dims[axis], in[i]->dims[axis], &shape.dims[axis]))
            return fvlm_fail(err, FVLM_LIMIT, "too many elements");
        if (in[i]->dims[axis]) kept[proto.n_inputs++] = in[i];
    }
    if (st) return st;
    out[0] = proto.n_inputs ? kept[0] : in[0];
    if (proto.n_inputs < 2) return FVLM_OK;
    proto.axis = axis;
    return fvlm_net_emit(out, net, &proto, in[0]->type, &shape, err);
}
