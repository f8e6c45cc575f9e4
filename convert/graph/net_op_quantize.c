/* SPDX-License-Identifier: Apache-2.0 */
/* net_op_quantize.c - handlers of QuantizeLinear, DequantizeLinear and DynamicQuantizeLinear. Integers of an activation
 * stand for the activation itself: what rounding changes is noise. But where the zero point is the smallest integer,
 * they cannot be negative, and a quantizer may have dropped a Relu for that reason. */
#include "convert/graph/net_operators.h"

#include <string.h>

static bool never_negative(const fvlm_net_value *v, unsigned depth)
{
    static const char *const always[] = {"Relu", "Sigmoid", "Softmax", "Exp", "Sqrt", "Abs", "HardSigmoid", "Softplus"};
    static const char *const as_input[] = {
        "Reshape",   "Transpose",  "Slice", "Gather", "Expand",      "Concat",  "ReduceSum",  "ReduceMean", "ReduceMax",
        "ReduceMin", "ReduceProd", "Add",   "Mul",    "AveragePool", "MaxPool", "Reciprocal", "Div",        "Tile"};
    if (v->numbers || v->uniform) {
        for (uint64_t i = 0; i < (v->numbers ? v->n_elems : 1); i++)
            if (!((v->numbers ? v->numbers[i] : *v->uniform) >= 0)) return false;
        return true;
    }
    const fvlm_net_node *n = v->producer;
    if (!n || depth == 0) return false;
    for (size_t i = 0; i < sizeof always / sizeof *always; i++)
        if (strcmp(n->op, always[i]) == 0) return true;
    const fvlm_net_value *a = n->inputs[0], *b = n->n_inputs > 1 ? n->inputs[1] : NULL;
    if (strcmp(n->op, "Mul") == 0 && a == b) return true;
    if (strcmp(n->op, "Pow") == 0) return fvlm_net_all(b, 2);
    if (strcmp(n->op, "Add") == 0) { /* 1 + erf(x) */
        const fvlm_net_value *c = a->numbers ? a : b, *x = a->numbers ? b : a;
        if ((fvlm_net_is(x, "Erf") || fvlm_net_is(x, "Tanh")) && fvlm_net_all(c, 1)) return true;
    }
    bool moves = false;
    for (size_t i = 0; i < sizeof as_input / sizeof *as_input; i++) moves |= strcmp(n->op, as_input[i]) == 0;
    size_t n_in = strcmp(n->op, "Gather") == 0 ? 1 : n->n_inputs;
    if (n_in > 4) return false; /* bounds the work */
    for (size_t i = 0; i < n_in && moves; i++) moves = n->inputs[i] && never_negative(n->inputs[i], depth - 1);
    return moves;
}

static double smallest(int32_t type)
{
    double x = type == FVLM_ONNX_I8 ? -128 : type == FVLM_ONNX_I16 ? -32768 : type == FVLM_ONNX_I4 ? -8 : 0;
    return x;
}

fvlm_status fvlm_net_quantize(fvlm_net_value **out, fvlm_net *net, fvlm_net_value *x, fvlm_net_value *scale,
                              fvlm_net_value *zero, fvlm_err *err)
{
    fvlm_status st = FVLM_OK;
    bool graph_input = x->is_input; /* pixels */
    bool cuts = zero && zero->numbers && zero->n_elems == 1 && zero->numbers[0] == smallest(zero->type);
    if (!zero) cuts = true; /* UINT8, zero point 0 */
    if (cuts && !graph_input && !x->is_const && !never_negative(x, 8))
        st = fvlm_net_emit_unary(&x, net, "Relu", x, 0, err);
    fvlm_net_shape shape = fvlm_net_shape_of(x);
    if (!st) st = fvlm_net_new_value(out, net, zero ? zero->type : FVLM_ONNX_U8, &shape, err);
    if (st) return st;
    fvlm_net_quantized *q = fvlm_net_take(net, 1, sizeof *q, err);
    if (!q) return err->code;
    *q = (fvlm_net_quantized){.kind = FVLM_QUANTIZED_VALUES, .of = x, .scale = scale, .zero = zero};
    (*out)->quantized = q;
    if (!x->is_const) net->n_fake_quantized++;
    return FVLM_OK;
}

fvlm_status fvlm_net_op_quantize_linear(fvlm_net *net, const fvlm_graph_node *n, fvlm_net_value **in,
                                        fvlm_net_value **out, fvlm_err *err)
{
    (void)n;
    if (in[0]->quantized || !in[1]->numbers || (in[2] && !in[2]->numbers))
        return fvlm_fail(err, FVLM_UNSUPPORTED, "scale and zero point must be constants");
    return fvlm_net_quantize(out, net, in[0], in[1], in[2], err);
}

static bool same_numbers(const fvlm_net_value *a, const fvlm_net_value *b)
{
    if (a == b) return true;
    if (!a || !b) { /* a zero point that is left out is 0 */
        const fvlm_net_value *c = a ? a : b;
        return fvlm_net_all(c, 0);
    }
    return a->numbers && b->numbers && a->n_elems == b->n_elems &&
           memcmp(a->numbers, b->numbers, (size_t)a->n_elems * sizeof *a->numbers) == 0;
}

fvlm_status fvlm_net_dequantize(fvlm_net_value **out, const fvlm_net_value *x, const fvlm_net_value *scale,
                                const fvlm_net_value *zero, fvlm_err *err)
{
    const fvlm_net_quantized *q = x->quantized;
    if (!q || q->kind != FVLM_QUANTIZED_VALUES)
        return fvlm_fail(err, FVLM_UNSUPPORTED, "\"%.200s\" is not a quantized activation", x->name);
    const fvlm_net_quantized *dynamic = scale->quantized;
    if (dynamic && dynamic->kind == FVLM_QUANTIZED_SCALE && !dynamic->scale && !q->scale && dynamic->of == q->of)
        return *out = q->of, FVLM_OK;
    if (!same_numbers(q->scale, scale) || !same_numbers(q->zero, zero))
        return fvlm_fail(err, FVLM_UNSUPPORTED, "\"%.200s\" was quantized with another scale or zero point", x->name);
    *out = q->of;
    return FVLM_OK;
}

fvlm_status fvlm_net_op_dequantize_linear(fvlm_net *net, const fvlm_graph_node *n, fvlm_net_value **in,
                                          fvlm_net_value **out, fvlm_err *err)
{
    fvlm_net_value *x = in[0], *gathered = NULL;
    int64_t block = 0;
    unsigned axis = 0;
    if (x->quantized) return fvlm_net_dequantize(out, x, in[1], in[2], err);
    if (!x->is_const && fvlm_net_is(x, "Gather") && x->producer->inputs[0]->is_const) { /* rows of quantized weights */
        gathered = x;
        x = x->producer->inputs[0];
        if (in[1]->n_elems != 1) return fvlm_fail(err, FVLM_UNSUPPORTED, "gathered integers have more than one scale");
    }
    if (!x->is_const || !in[1]->is_const || (in[2] && !in[2]->is_const))
        return fvlm_fail(err, FVLM_UNSUPPORTED, "its inputs are neither constants nor a quantized activation");
    fvlm_status st = fvlm_graph_attr_int(&block, n, "block_size", 0, err);
    if (!st && (block < 0 || block > INT32_MAX))
        st = fvlm_fail(err, FVLM_BAD_INPUT, "block_size = %lld", (long long)block);
    if (!st && (in[1]->n_elems != 1 || block)) st = fvlm_net_attr_axis(&axis, n, "axis", 1, x->rank, err);
    if (!st) st = fvlm_net_new_linear(out, net, x, in[1], in[2], axis, (uint64_t)block, err);
    if (st || !gathered) return st;
    fvlm_net_value *inputs[] = {*out, gathered->producer->inputs[1]};
    fvlm_net_node proto = {.op = "Gather", .n_inputs = 2, .inputs = inputs, .axis = gathered->producer->axis};
    fvlm_net_shape shape = fvlm_net_shape_of(gathered);
    return fvlm_net_emit(out, net, &proto, in[1]->type, &shape, err);
}

/* Integers, scale and zero point that only the activation's contents decide. */
fvlm_status fvlm_net_op_dynamic_quantize(fvlm_net *net, const fvlm_graph_node *n, fvlm_net_value **in,
                                         fvlm_net_value **out, fvlm_err *err)
{
    (void)n;
    fvlm_net_shape shape = fvlm_net_shape_of(in[0]), scalar = {0};
    for (unsigned i = 0; i < 3; i++) {
        fvlm_status st =
            fvlm_net_new_value(&out[i], net, i == 1 ? FVLM_ONNX_F32 : FVLM_ONNX_U8, i ? &scalar : &shape, err);
        fvlm_net_quantized *q = st ? NULL : fvlm_net_take(net, 1, sizeof *q, err);
        if (!q) return err->code;
        q->kind = i == 0 ? FVLM_QUANTIZED_VALUES : i == 1 ? FVLM_QUANTIZED_SCALE : FVLM_QUANTIZED_ZERO;
        q->of = in[0];
        out[i]->quantized = q;
    }
    if (!in[0]->is_const) net->n_fake_quantized++;
    return FVLM_OK;
}
