/* SPDX-License-Identifier: Apache-2.0 */
/* net_emit_common.c - nodes that many operators become, in their one form: nothing if they would change nothing. */
#include "convert/graph/net_internal.h"

#include <string.h>

fvlm_status fvlm_net_emit_reshape(fvlm_net_value **out, fvlm_net *net, fvlm_net_value *x, const fvlm_net_shape *shape,
                                  fvlm_err *err)
{
    char from[200], to[200];
    uint64_t n;
    fvlm_status st = fvlm_net_count(&n, shape->rank, shape->dims, err);
    if (st) return st;
    if (n != x->n_elems)
        return fvlm_fail(err, FVLM_BAD_INPUT, "a value of shape %s cannot be reshaped to %s",
                         fvlm_net_shape_text(x->rank, x->dims, from),
                         fvlm_net_shape_text(shape->rank, shape->dims, to));
    if (!fvlm_net_same_shape(x, shape) && fvlm_net_is(x, "Reshape")) x = x->producer->inputs[0];
    *out = x;
    if (fvlm_net_same_shape(x, shape)) return FVLM_OK;
    fvlm_net_node proto = {.op = "Reshape", .n_inputs = 1, .inputs = &x};
    return fvlm_net_emit(out, net, &proto, x->type, shape, err);
}

fvlm_status fvlm_net_emit_transpose(fvlm_net_value **out, fvlm_net *net, fvlm_net_value *x, const unsigned *perm,
                                    fvlm_err *err)
{
    fvlm_net_node proto = {.op = "Transpose", .n_inputs = 1, .inputs = &x};
    memcpy(proto.perm, perm, x->rank * sizeof *perm);
    if (fvlm_net_is(x, "Transpose")) {
        for (unsigned d = 0; d < x->rank; d++) proto.perm[d] = x->producer->perm[perm[d]];
        x = x->producer->inputs[0];
    }
    fvlm_net_shape shape = {.rank = x->rank};
    bool in_order = true;
    unsigned last = 0;
    for (unsigned d = 0; d < x->rank; d++) {
        shape.dims[d] = x->dims[proto.perm[d]];
        if (shape.dims[d] == 1) continue;
        in_order &= proto.perm[d] >= last;
        last = proto.perm[d];
    }
    if (in_order) return fvlm_net_emit_reshape(out, net, x, &shape, err);
    return fvlm_net_emit(out, net, &proto, x->type, &shape, err);
}

fvlm_status fvlm_net_emit_slice(fvlm_net_value **out, fvlm_net *net, fvlm_net_value *x, const int64_t *start,
                                const int64_t *step, const fvlm_net_shape *shape, fvlm_err *err)
{
    fvlm_net_node proto = {.op = "Slice", .n_inputs = 1, .inputs = &x};
    const fvlm_net_node *before = fvlm_net_is(x, "Slice") ? x->producer : NULL;
    bool whole = true;
    for (unsigned d = 0; d < x->rank; d++) {
        whole &= step[d] == 1 && shape->dims[d] == x->dims[d];
        int64_t by = shape->dims[d] > 1 ? step[d] : 1; /* so that steps stay below the dimension */
        proto.start[d] = before ? before->start[d] + before->step[d] * start[d] : start[d];
        proto.step[d] = before ? before->step[d] * by : by;
    }
    *out = x;
    if (whole) return FVLM_OK;
    if (before) x = before->inputs[0];
    return fvlm_net_emit(out, net, &proto, x->type, shape, err);
}

fvlm_status fvlm_net_emit_unary(fvlm_net_value **out, fvlm_net *net, const char *op, fvlm_net_value *x, double alpha,
                                fvlm_err *err)
{
    fvlm_net_shape shape = fvlm_net_shape_of(x);
    fvlm_net_node proto = {.op = op, .n_inputs = 1, .inputs = &x, .alpha = alpha};
    return fvlm_net_emit(out, net, &proto, x->type, &shape, err);
}

fvlm_status fvlm_net_broadcast(fvlm_net_shape *shape, fvlm_net_value *const *in, size_t n, fvlm_err *err)
{
    char a[200], b[200];
    *shape = (fvlm_net_shape){0};
    for (size_t i = 0; i < n; i++) {
        const fvlm_net_value *x = in[i];
        if (!x) continue;
        fvlm_net_shape so_far = *shape;
        shape->rank = x->rank > so_far.rank ? x->rank : so_far.rank;
        for (unsigned k = 1; k <= shape->rank; k++) { /* from the last */
            uint64_t mine = k <= x->rank ? x->dims[x->rank - k] : 1;
            uint64_t theirs = k <= so_far.rank ? so_far.dims[so_far.rank - k] : 1;
            if (mine != theirs && mine != 1 && theirs != 1)
                return fvlm_fail(err, FVLM_BAD_INPUT, "shapes %s and %s do not broadcast",
                                 fvlm_net_shape_text(so_far.rank, so_far.dims, a),
                                 fvlm_net_shape_text(x->rank, x->dims, b));
            shape->dims[shape->rank - k] = theirs == 1 ? mine : theirs;
        }
    }
    return FVLM_OK;
}

/* All elements are exactly x. */
static bool is_all(const fvlm_net_value *v, double x)
{
    if (v->uniform) return *v->uniform == x;
    for (uint64_t i = 0; v->numbers && i < v->n_elems; i++)
        if (v->numbers[i] != x) return false;
    return v->numbers && v->n_elems;
}

/* A vector of zeros or ones behind these may be a bias, a gain or a shift, which matchers expect there. */
static bool has_affine(const fvlm_net_value *v)
{
    static const char *const ops[] = {"Conv", "MatMul", "BatchNormalization", "Mul", "Div"};
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        if (fvlm_net_is(v, ops[i])) return true;
    return false;
}

static bool compares(const char *op)
{
    static const char *const ops[] = {"Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "And", "Or", "Xor"};
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        if (strcmp(op, ops[i]) == 0) return true;
    return false;
}

/* *same: the input that the result equals, or NULL. */
static fvlm_status find_unchanged(fvlm_net_value **same, fvlm_net *net, const char *op, fvlm_net_value *const in[2],
                                  fvlm_err *err)
{
    const bool add = strcmp(op, "Add") == 0, sub = strcmp(op, "Sub") == 0, mul = strcmp(op, "Mul") == 0;
    const bool other = strcmp(op, "Div") == 0 || strcmp(op, "Pow") == 0;
    fvlm_status st = FVLM_OK;
    *same = NULL;
    for (int k = 1; k >= (add || mul ? 0 : 1) && (add || sub || mul || other) && !*same && !st; k--) {
        const fvlm_net_value *constant = in[k];
        fvlm_net_value *x = in[1 - k];
        if (!constant->is_const || (constant->n_elems != 1 && (x->is_const || has_affine(x)))) continue;
        st = fvlm_net_spend(net, constant->n_elems, err);
        if (!st && is_all(constant, add || sub ? 0 : 1)) *same = x;
    }
    return st;
}

fvlm_status fvlm_net_emit_binary(fvlm_net_value **out, fvlm_net *net, const char *op, fvlm_net_value *a,
                                 fvlm_net_value *b, fvlm_err *err)
{
    fvlm_net_shape shape;
    fvlm_net_value *in[] = {a, b}, *same = NULL;
    fvlm_status st = fvlm_net_broadcast(&shape, in, 2, err);
    if (!st) st = find_unchanged(&same, net, op, in, err);
    for (int k = 0; k < 2 && !st && !strcmp(op, "Add"); k++) {
        st = fvlm_net_join_offsets(out, net, in[k], in[1 - k], err);
        if (st || *out) return st;
    }
    if (st) return st;
    *out = same;
    if (same && fvlm_net_same_shape(same, &shape)) return FVLM_OK;
    fvlm_net_node proto = {.op = op, .n_inputs = 2, .inputs = in};
    int32_t type = compares(op) ? FVLM_ONNX_BOOL : a->is_const && strcmp(op, "Pow") != 0 ? b->type : a->type;
    return fvlm_net_emit(out, net, &proto, type, &shape, err);
}

fvlm_status fvlm_net_emit_reduce(fvlm_net_value **out, fvlm_net *net, const char *op, fvlm_net_value *x, uint32_t axes,
                                 bool keep, fvlm_err *err)
{
    fvlm_net_node proto = {.op = op, .n_inputs = 1, .inputs = &x, .axes = axes};
    fvlm_net_shape kept = fvlm_net_shape_of(x), less = {0};
    for (unsigned d = 0; d < x->rank; d++) {
        if (axes >> d & 1)
            kept.dims[d] = 1;
        else
            less.dims[less.rank++] = x->dims[d];
    }
    fvlm_status st = fvlm_net_emit(out, net, &proto, x->type, &kept, err);
    return st || keep ? st : fvlm_net_emit_reshape(out, net, *out, &less, err);
}

fvlm_status fvlm_net_matmul_shape(fvlm_net_shape *shape, const fvlm_net_value *a, const fvlm_net_value *b,
                                  fvlm_err *err)
{
    char x[200], y[200];
    bool ok = a->rank >= 1 && b->rank >= 1;
    unsigned own_a = a->rank == 1 ? 1 : 2, own_b = b->rank == 1 ? 1 : 2;
    ok = ok && a->dims[a->rank - 1] == b->dims[b->rank - own_b];
    if (!ok)
        return fvlm_fail(err, FVLM_BAD_INPUT, "matrices of shapes %s and %s cannot be multiplied",
                         fvlm_net_shape_text(a->rank, a->dims, x), fvlm_net_shape_text(b->rank, b->dims, y));
    fvlm_net_value lead_a = *a, lead_b = *b, *leads[] = {&lead_a, &lead_b};
    lead_a.rank -= own_a;
    lead_b.rank -= own_b;
    fvlm_status st = fvlm_net_broadcast(shape, leads, 2, err);
    if (st) return st;
    if (own_a == 2) shape->dims[shape->rank++] = a->dims[a->rank - 2];
    if (own_b == 2) shape->dims[shape->rank++] = b->dims[b->rank - 1];
    return FVLM_OK;
}

fvlm_status fvlm_net_emit_matmul(fvlm_net_value **out, fvlm_net *net, fvlm_net_value *a, fvlm_net_value *b,
                                 fvlm_err *err)
{
    fvlm_net_shape shape;
    fvlm_net_value *in[] = {a, b};
    fvlm_status st = fvlm_net_matmul_shape(&shape, a, b, err);
    fvlm_net_node proto = {.op = "MatMul", .n_inputs = 2, .inputs = in};
    return st ? st : fvlm_net_emit(out, net, &proto, a->is_const ? b->type : a->type, &shape, err);
}
