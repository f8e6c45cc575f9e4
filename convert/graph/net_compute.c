/* SPDX-License-Identifier: Apache-2.0 */
/* net_compute.c - which operators are computed, and rounding what they give. */
#include "convert/graph/net_internal.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    const char *op;
    fvlm_net_kernel *compute;
    fvlm_kernel_kind kind;
} kernels[] = {
    {"Reshape", fvlm_net_compute_move, FVLM_KERNEL_MOVES},
    {"Transpose", fvlm_net_compute_move, FVLM_KERNEL_MOVES},
    {"Expand", fvlm_net_compute_move, FVLM_KERNEL_MOVES},
    {"Slice", fvlm_net_compute_move, FVLM_KERNEL_PICKS},
    {"Tile", fvlm_net_compute_pad, FVLM_KERNEL_MOVES},
    {"Gather", fvlm_net_compute_gather, FVLM_KERNEL_PICKS},
    {"Concat", fvlm_net_compute_concat, FVLM_KERNEL_PLAIN},
    {"Pad", fvlm_net_compute_pad, FVLM_KERNEL_PLAIN},
    {"GatherElements", fvlm_net_compute_gather_elements, FVLM_KERNEL_PLAIN},
    {"GatherND", fvlm_net_compute_gather_nd, FVLM_KERNEL_PLAIN},
    {"ScatterElements", fvlm_net_compute_scatter_elements, FVLM_KERNEL_PLAIN},
    {"ScatterND", fvlm_net_compute_scatter_nd, FVLM_KERNEL_PLAIN},
    {"Trilu", fvlm_net_compute_trilu, FVLM_KERNEL_PLAIN},
    {"CumSum", fvlm_net_compute_cumsum, FVLM_KERNEL_PLAIN},
    {"ReduceSum", fvlm_net_compute_reduce, FVLM_KERNEL_PLAIN},
    {"ReduceMean", fvlm_net_compute_reduce, FVLM_KERNEL_PLAIN},
    {"ReduceProd", fvlm_net_compute_reduce, FVLM_KERNEL_PLAIN},
    {"ReduceMax", fvlm_net_compute_reduce, FVLM_KERNEL_PLAIN},
    {"ReduceMin", fvlm_net_compute_reduce, FVLM_KERNEL_PLAIN},
    {"ReduceL1", fvlm_net_compute_reduce, FVLM_KERNEL_PLAIN},
    {"ReduceL2", fvlm_net_compute_reduce, FVLM_KERNEL_PLAIN},
    {"ReduceSumSquare", fvlm_net_compute_reduce, FVLM_KERNEL_PLAIN},
    {"ArgMax", fvlm_net_compute_arg, FVLM_KERNEL_PLAIN},
    {"ArgMin", fvlm_net_compute_arg, FVLM_KERNEL_PLAIN},
    {"Softmax", fvlm_net_compute_softmax, FVLM_KERNEL_PLAIN},
    {"LayerNormalization", fvlm_net_compute_norm, FVLM_KERNEL_PLAIN},
    {"RMSNormalization", fvlm_net_compute_norm, FVLM_KERNEL_PLAIN},
    {"MatMul", fvlm_net_compute_matmul, FVLM_KERNEL_PLAIN},
};

fvlm_net_kernel *fvlm_net_kernel_of(const char *op, fvlm_kernel_kind *kind)
{
    for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++)
        if (strcmp(kernels[i].op, op) == 0) {
            *kind = kernels[i].kind;
            return kernels[i].compute;
        }
    size_t n;
    *kind = FVLM_KERNEL_ELEMENTWISE;
    return fvlm_net_is_elementwise(op, &n) ? fvlm_net_compute_elementwise : NULL;
}

fvlm_status fvlm_net_compute(const fvlm_net_node *n, const fvlm_net_operand *in, double *out, bool round, fvlm_err *err)
{
    fvlm_kernel_kind kind;
    fvlm_net_kernel *compute = fvlm_net_kernel_of(n->op, &kind);
    const fvlm_net_value *v = n->outputs[0];
    fvlm_status st = compute(n, in, out, err);
    if (st || kind == FVLM_KERNEL_MOVES || kind == FVLM_KERNEL_PICKS) return st;
    if (!round && fvlm_net_is_float(v->type)) return FVLM_OK;
    for (uint64_t i = 0; i < v->n_elems; i++)
        if (!fvlm_net_round(&out[i], v->type))
            return fvlm_fail(err, FVLM_UNSUPPORTED, "its result %g is out of the range of %s", out[i],
                             fvlm_onnx_type_name(v->type));
    return FVLM_OK;
}

/* Moves the input's indices instead of its elements. */
fvlm_status fvlm_net_moved_from(double *from, const fvlm_net_node *n, fvlm_err *err)
{
    fvlm_kernel_kind kind;
    fvlm_net_kernel *move = fvlm_net_kernel_of(n->op, &kind);
    const fvlm_net_value *x = n->inputs[0], *indices = n->n_inputs > 1 ? n->inputs[1] : NULL;
    double *own = fvlm_alloc(x->n_elems ? x->n_elems : 1, sizeof *own);
    if (!own) return fvlm_fail_nomem(err);
    for (uint64_t i = 0; i < x->n_elems; i++) own[i] = (double)i;
    const fvlm_net_operand in[2] = {{.value = x, .numbers = own},
                                    {.value = indices, .numbers = indices ? indices->numbers : NULL}};
    fvlm_status st = move(n, in, from, err);
    free(own);
    return st;
}
