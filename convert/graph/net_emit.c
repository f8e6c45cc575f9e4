/* SPDX-License-Identifier: Apache-2.0 */
/* net_emit.c - computes a node's result if its inputs are known; else appends the node. */
#include "convert/graph/net_internal.h"

#include <stdlib.h>
#include <string.h>

#include "format/base/grow.h"

static bool is_known(const fvlm_net_node *n, fvlm_kernel_kind kind)
{
    for (size_t i = 0; i < n->n_inputs; i++) {
        const fvlm_net_value *x = n->inputs[i];
        if (!x || x->numbers || x->uniform) continue;
        if (i || kind != FVLM_KERNEL_PICKS || !fvlm_net_is_readable(x)) return false;
    }
    return true;
}

static fvlm_net_operand operand_of(const fvlm_net_value *v)
{
    return v ? (fvlm_net_operand){v, v->numbers, v->uniform} : (fvlm_net_operand){0};
}

/* Beside reading the inputs, which net.c counts. */
static uint64_t work_of(const fvlm_net_node *n)
{
    const fvlm_net_value *y = n->outputs[0];
    uint64_t work = y->n_elems;
    if (strcmp(n->op, "MatMul") == 0) { /* both factors are small */
        const fvlm_net_value *a = n->inputs[0];
        work += y->n_elems * a->dims[a->rank - 1];
    }
    return work;
}

static fvlm_status fold(fvlm_net *net, fvlm_net_node *n, fvlm_err *err)
{
    fvlm_net_value *v = n->outputs[0];
    fvlm_status st = fvlm_net_spend(net, work_of(n), err);
    if (st) return st;
    double *numbers = fvlm_net_take(net, (size_t)v->n_elems + 1, sizeof *numbers, err);
    fvlm_net_operand *in = numbers ? malloc((n->n_inputs + 1) * sizeof *in) : NULL;
    if (numbers && !in) st = fvlm_fail_nomem(err);
    if (!in) return st ? st : err->code;
    for (size_t i = 0; i < n->n_inputs; i++) in[i] = operand_of(n->inputs[i]);
    st = fvlm_net_compute(n, in, numbers, true, err);
    free(in);
    v->is_const = true;
    v->numbers = numbers;
    return st;
}

/* A large result becomes a constant if all its elements are the same. */
static fvlm_status fold_uniform(fvlm_net *net, const fvlm_net_node *n, fvlm_kernel_kind kind, fvlm_err *err)
{
    fvlm_net_value scalar[4] = {{.type = n->outputs[0]->type, .n_elems = 1}}, *in[3] = {0}, *out = scalar;
    fvlm_net_operand operands[3] = {{0}};
    bool moves = kind == FVLM_KERNEL_MOVES || kind == FVLM_KERNEL_PICKS;
    size_t n_in = moves ? 1 : n->n_inputs;
    if ((!moves && kind != FVLM_KERNEL_ELEMENTWISE) || n_in > 3) return FVLM_OK;
    for (size_t i = 0; i < n_in; i++) {
        const fvlm_net_value *x = n->inputs[i];
        if (!x) continue;
        if (!x->uniform && !(x->numbers && x->n_elems == 1)) return FVLM_OK;
        scalar[i + 1] = (fvlm_net_value){.type = x->type, .n_elems = 1};
        in[i] = &scalar[i + 1];
        operands[i] = (fvlm_net_operand){in[i], x->uniform ? x->uniform : x->numbers, NULL};
    }
    double *x = fvlm_net_take(net, 1, sizeof *x, err);
    if (!x) return err->code;
    fvlm_net_node one = *n;
    one.inputs = in;
    one.outputs = &out;
    fvlm_status st = FVLM_OK;
    if (moves)
        *x = operands[0].numbers[0];
    else
        st = fvlm_net_compute(&one, operands, x, true, err);
    n->outputs[0]->is_const = true;
    n->outputs[0]->uniform = x;
    return st;
}

fvlm_status fvlm_net_append(fvlm_net *net, const fvlm_net_node *proto, fvlm_err *err)
{
    if (!fvlm_grow(&net->nodes, &net->nodes_capacity, net->n_nodes + 1, sizeof *net->nodes))
        return fvlm_fail_nomem(err);
    fvlm_net_node *n = fvlm_net_take(net, 1, sizeof *n, err);
    fvlm_net_value **slots = n ? fvlm_net_take(net, proto->n_inputs + proto->n_outputs, sizeof *slots, err) : NULL;
    if (!slots) return err->code;
    *n = *proto;
    n->node = net->at;
    n->inputs = slots;
    n->outputs = slots + proto->n_inputs;
    for (size_t i = 0; i < n->n_inputs; i++) n->inputs[i] = proto->inputs[i];
    for (size_t i = 0; i < n->n_outputs; i++) {
        n->outputs[i] = proto->outputs[i];
        if (n->outputs[i]) n->outputs[i]->producer = n;
    }
    net->nodes[net->n_nodes++] = n;
    return FVLM_OK;
}

fvlm_status fvlm_net_emit(fvlm_net_value **out, fvlm_net *net, const fvlm_net_node *proto, int32_t type,
                          const fvlm_net_shape *shape, fvlm_err *err)
{
    fvlm_net_value *v;
    fvlm_status st = fvlm_net_new_value(&v, net, type, shape, err);
    if (st) return st;
    fvlm_net_node n = *proto;
    n.outputs = &v;
    n.n_outputs = 1;
    fvlm_kernel_kind kind;
    bool computed = fvlm_net_kernel_of(n.op, &kind) && is_known(&n, kind);
    if (computed && v->n_elems <= FVLM_NET_COMPUTED)
        st = fold(net, &n, err);
    else if (computed)
        st = fold_uniform(net, &n, kind, err);
    if (!st && fvlm_net_view_weight(&n, v)) v->is_const = true;
    if (!st && !v->is_const) st = fvlm_net_append(net, &n, err);
    *out = v;
    return st;
}
