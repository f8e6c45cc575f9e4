/* SPDX-License-Identifier: Apache-2.0 */
/* net_op_matmul.c - handlers of matrix products of floats: MatMul, Gemm, FusedMatMul. */
#include "convert/graph/net_operators.h"

#include <string.h>

fvlm_status fvlm_net_op_matmul(fvlm_net *net, const fvlm_graph_node *n, fvlm_net_value **in, fvlm_net_value **out,
                               fvlm_err *err)
{
    (void)n;
    return fvlm_net_emit_matmul(out, net, in[0], in[1], err);
}

static fvlm_status transpose_last_two(fvlm_net_value **x, fvlm_net *net, fvlm_err *err)
{
    unsigned rank = (*x)->rank, perm[FVLM_GRAPH_MAX_RANK];
    if (rank < 2) return FVLM_OK;
    for (unsigned d = 0; d < rank; d++) perm[d] = d < rank - 2 ? d : 2 * rank - 3 - d;
    return fvlm_net_emit_transpose(x, net, *x, perm, err);
}

static fvlm_status scale(fvlm_net_value **x, fvlm_net *net, double by, fvlm_err *err)
{
    fvlm_net_value *factor;
    if (by == 1) return FVLM_OK;
    fvlm_status st = fvlm_net_new_scalar(&factor, net, (*x)->type, by, err);
    return st ? st : fvlm_net_emit_binary(x, net, "Mul", *x, factor, err);
}

/* Gemm, and FusedGemm with an activation. */
fvlm_status fvlm_net_op_gemm(fvlm_net *net, const fvlm_graph_node *n, fvlm_net_value **in, fvlm_net_value **out,
                             fvlm_err *err)
{
    double alpha = 1, beta = 1;
    bool trans_a = false, trans_b = false;
    const char *activation = "";
    fvlm_net_value *a = in[0], *b = in[1], *c = in[2];
    if (a->rank != 2 || b->rank != 2) return fvlm_fail(err, FVLM_BAD_INPUT, "its factors must be matrices");
    fvlm_status st = fvlm_net_attr_double(&alpha, n, "alpha", 1, err);
    if (!st) st = fvlm_net_attr_double(&beta, n, "beta", 1, err);
    if (!st) st = fvlm_net_attr_bool(&trans_a, n, "transA", false, err);
    if (!st) st = fvlm_net_attr_bool(&trans_b, n, "transB", false, err);
    if (!st) st = fvlm_net_attr_text(&activation, n, "activation", "", err);
    if (!st && trans_a) st = transpose_last_two(&a, net, err);
    if (!st && trans_b) st = transpose_last_two(&b, net, err);
    if (!st) st = fvlm_net_emit_matmul(out, net, a, b, err);
    if (!st) st = scale(out, net, alpha, err);
    if (!st && c) st = scale(&c, net, beta, err);
    fvlm_net_shape shape = {0};
    if (!st && c) shape = fvlm_net_shape_of(*out);
    if (!st && c) st = fvlm_net_emit_binary(out, net, "Add", *out, c, err);
    if (!st && c && !fvlm_net_same_shape(*out, &shape)) st = fvlm_fail(err, FVLM_BAD_INPUT, "its bias does not fit");
    return st ? st : fvlm_net_emit_activation(out, net, n, activation, err);
}

/* FusedMatMul, TransposeMatMul. */
fvlm_status fvlm_net_op_fused_matmul(fvlm_net *net, const fvlm_graph_node *n, fvlm_net_value **in, fvlm_net_value **out,
                                     fvlm_err *err)
{
    double alpha = 1;
    bool trans_a = false, trans_b = false;
    fvlm_net_value *a = in[0], *b = in[1];
    fvlm_status st = fvlm_net_attr_double(&alpha, n, "alpha", 1, err);
    if (!st) st = fvlm_net_attr_bool(&trans_a, n, "transA", false, err);
    if (!st) st = fvlm_net_attr_bool(&trans_b, n, "transB", false, err);
    if (!st) st = fvlm_net_attr_only(n, "transBatchA", 0, err);
    if (!st) st = fvlm_net_attr_only(n, "transBatchB", 0, err);
    if (!st && trans_a) st = transpose_last_two(&a, net, err);
    if (!st && trans_b) st = transpose_last_two(&b, net, err);
    if (!st) st = fvlm_net_emit_matmul(out, net, a, b, err);
    return st ? st : scale(out, net, alpha, err);
}
