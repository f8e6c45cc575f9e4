/* SPDX-License-Identifier: Apache-2.0 */
/* net_op_integer.c - handlers of products of integers: MatMulInteger, ConvInteger, the scaling that follows them, and
 * the QLinear operators, which hold everything. They become products of floats with packed weights. */
#include "convert/graph/net_operators.h"

#include <string.h>

/* A vector from what may be a scalar, or have dimensions of 1. */
static fvlm_status as_vector(fvlm_net_value **v, fvlm_net *net, uint64_t n, fvlm_err *err)
{
    fvlm_net_shape shape = {.rank = 1, .dims = {(*v)->n_elems}}, wide = {.rank = 1, .dims = {n}};
    fvlm_status st = fvlm_net_emit_reshape(v, net, *v, &shape, err);
    if (st || n == (*v)->n_elems || (*v)->n_elems != 1) return st;
    fvlm_net_node proto = {.op = "Expand", .n_inputs = 1, .inputs = v};
    return fvlm_net_emit(v, net, &proto, (*v)->type, &wide, err);
}

/* Integer weights with one scale, or one for each index of the axis. */
static fvlm_status dequantize_weight(fvlm_net_value **out, fvlm_net *net, const fvlm_net_value *w,
                                     fvlm_net_value *scale, fvlm_net_value *zero, unsigned axis, fvlm_err *err)
{
    if (!w->is_const || w->quantized || !scale->is_const || (zero && !zero->is_const))
        return fvlm_fail(err, FVLM_UNSUPPORTED, "its integer weights, their scale and zero point must be constants");
    uint64_t n = scale->n_elems;
    if (zero && zero->n_elems > n) n = zero->n_elems;
    fvlm_status st = as_vector(&scale, net, n, err);
    if (!st && zero) st = as_vector(&zero, net, n, err);
    return st ? st : fvlm_net_new_linear(out, net, w, scale, zero, axis, 0, err);
}

/* What an input of a QLinear operator stands for. */
static fvlm_status dequantize(fvlm_net_value **out, fvlm_net *net, fvlm_net_value **x, unsigned axis, fvlm_err *err)
{
    if (!x[0] || !x[1]) return fvlm_fail(err, FVLM_BAD_INPUT, "an input or its scale is left out");
    if (!x[0]->is_const) return fvlm_net_dequantize(out, x[0], x[1], x[2], err);
    return dequantize_weight(out, net, x[0], x[1], x[2], axis, err);
}

static fvlm_status emit_product(fvlm_net_value **out, fvlm_net *net, const fvlm_net_quantized *q, fvlm_net_value *w,
                                fvlm_net_value *bias, const fvlm_net_shape *shape, fvlm_err *err)
{
    fvlm_net_value *in[] = {q->of, w, bias};
    if (strcmp(q->op, "MatMul") == 0) return fvlm_net_emit_matmul(out, net, q->of, w, err);
    fvlm_net_node proto = {.op = q->op, .n_inputs = bias ? 3 : 2, .inputs = in, .window = q->window};
    return fvlm_net_emit(out, net, &proto, q->of->type, shape, err);
}

/* Sums whose scales are all known are the product of what the integers stand for. */
static fvlm_status finish_sums(fvlm_net_value **out, fvlm_net *net, const fvlm_net_value *v,
                               const fvlm_net_quantized *q, fvlm_err *err)
{
    fvlm_net_value *w = q->weight;
    fvlm_net_shape shape = fvlm_net_shape_of(v);
    unsigned axis = strcmp(q->op, "Conv") == 0 || w->rank == 0 ? 0 : w->rank - 1;
    if (w->quantized) return emit_product(out, net, q, w->quantized->of, NULL, &shape, err);
    fvlm_status st = dequantize_weight(&w, net, w, q->scale, q->weight_zero, axis, err);
    return st ? st : emit_product(out, net, q, w, NULL, &shape, err);
}

static bool is_zero_of(const fvlm_net_value *zero, const fvlm_net_value *x)
{
    const fvlm_net_quantized *q = x->quantized, *z = zero ? zero->quantized : NULL;
    if (z) return z->kind == FVLM_QUANTIZED_ZERO && z->of == q->of;
    return q->zero && zero && q->zero == zero;
}

/* MatMulInteger(a, b, zero of a, zero of b), ConvInteger(x, w, zero of x, zero of w). */
fvlm_status fvlm_net_op_integer(fvlm_net *net, const fvlm_graph_node *n, fvlm_net_value **in, fvlm_net_value **out,
                                fvlm_err *err)
{
    bool conv = strcmp(n->op, "ConvInteger") == 0;
    const fvlm_net_quantized *x = in[0]->quantized, *w = in[1]->quantized;
    if (!x || x->kind != FVLM_QUANTIZED_VALUES || x->scale || !is_zero_of(in[2], in[0]))
        return fvlm_fail(err, FVLM_UNSUPPORTED, "its first input must come from DynamicQuantizeLinear");
    if (w && (w->kind != FVLM_QUANTIZED_VALUES || w->scale || conv || !is_zero_of(in[3], in[1])))
        return fvlm_fail(err, FVLM_UNSUPPORTED, "its second input is neither constant nor from DynamicQuantizeLinear");
    fvlm_net_quantized q = {.kind = FVLM_QUANTIZED_SUMS, .of = x->of, .weight = in[1], .op = conv ? "Conv" : "MatMul"};
    if (!w) q.weight_zero = in[3];
    fvlm_net_shape shape;
    fvlm_status st = conv ? fvlm_net_conv_window(&q.window, &shape, net, n, in[0], in[1], err)
                          : fvlm_net_matmul_shape(&shape, in[0], in[1], err);
    return st ? st : fvlm_net_new_quantized(out, net, FVLM_ONNX_I32, &shape, &q, err);
}

/* A scale, or sums, times a constant or a scale. */
fvlm_status fvlm_net_op_mul(fvlm_net *net, const fvlm_graph_node *n, fvlm_net_value **in, fvlm_net_value **out,
                            fvlm_err *err)
{
    fvlm_net_value *a = in[0], *b = in[1];
    if (!a->quantized && !b->quantized) return fvlm_net_op_binary(net, n, in, out, err);
    if (!a->quantized || (b->quantized && b->quantized->kind == FVLM_QUANTIZED_SUMS)) a = in[1], b = in[0];
    fvlm_net_quantized q = *a->quantized;
    const fvlm_net_quantized *by = b->quantized;
    fvlm_net_value *factor = by ? by->scale : b;
    bool sums = q.kind == FVLM_QUANTIZED_SUMS, scales = q.kind == FVLM_QUANTIZED_SCALE;
    bool fits = (sums || scales) && (by ? by->kind == FVLM_QUANTIZED_SCALE : b->is_const);
    if (by && scales) { /* of two activations */
        fits = fits && !q.weight && !by->weight;
        q.weight = by->of;
    } else if (by) {
        const fvlm_net_value *second = q.weight && q.weight->quantized ? q.weight->quantized->of : NULL;
        fits = fits && !q.has_scale &&
               (second == by->weight ? by->of == q.of : second && by->of == second && by->weight == q.of);
        q.has_scale = true;
    }
    if (!fits)
        return fvlm_fail(err, FVLM_UNSUPPORTED,
                         "integers of an activation are multiplied by something else than their scales");
    fvlm_status st = FVLM_OK;
    if (factor && q.scale) st = fvlm_net_emit_binary(&q.scale, net, "Mul", q.scale, factor, err);
    if (factor && !q.scale) q.scale = factor;
    if (st) return st;
    bool both = sums && q.weight->quantized;
    if (sums && q.has_scale && (q.scale || both)) {
        if (both && q.scale) return fvlm_fail(err, FVLM_UNSUPPORTED, "a product of activations has a constant scale");
        return finish_sums(out, net, a, &q, err);
    }
    fvlm_net_shape shape = fvlm_net_shape_of(a);
    return fvlm_net_new_quantized(out, net, FVLM_ONNX_I32, &shape, &q, err);
}

static fvlm_status add_bias(fvlm_net_value **out, fvlm_net *net, fvlm_net_value *bias, fvlm_err *err)
{
    return bias ? fvlm_net_emit_binary(out, net, "Add", *out, bias, err) : FVLM_OK;
}

/* MatMulIntegerToFloat(a, b, scale of a, scale of b, zero of a, zero of b, bias). */
fvlm_status fvlm_net_op_integer_to_float(fvlm_net *net, const fvlm_graph_node *n, fvlm_net_value **in,
                                         fvlm_net_value **out, fvlm_err *err)
{
    (void)n;
    fvlm_net_value *a, *w;
    fvlm_status st = fvlm_net_dequantize(&a, in[0], in[2], in[4], err);
    if (!st) st = dequantize_weight(&w, net, in[1], in[3], in[5], in[1]->rank ? in[1]->rank - 1 : 0, err);
    if (!st) st = fvlm_net_emit_matmul(out, net, a, w, err);
    return st ? st : add_bias(out, net, in[6], err);
}

/* DynamicQuantizeMatMul(a, b, scale of b, zero of b, bias). */
fvlm_status fvlm_net_op_dynamic_matmul(fvlm_net *net, const fvlm_graph_node *n, fvlm_net_value **in,
                                       fvlm_net_value **out, fvlm_err *err)
{
    (void)n;
    fvlm_net_value *w;
    fvlm_status st = dequantize_weight(&w, net, in[1], in[2], in[3], in[1]->rank ? in[1]->rank - 1 : 0, err);
    if (!st) st = fvlm_net_emit_matmul(out, net, in[0], w, err);
    net->n_fake_quantized++;
    return st ? st : add_bias(out, net, in[4], err);
}

/* QLinearMatMul(a, scale, zero, b, scale, zero, scale and zero of the result). */
fvlm_status fvlm_net_op_qlinear_matmul(fvlm_net *net, const fvlm_graph_node *n, fvlm_net_value **in,
                                       fvlm_net_value **out, fvlm_err *err)
{
    (void)n;
    fvlm_net_value *a = NULL, *b = NULL, *y = NULL;
    fvlm_status st = dequantize(&a, net, in, 0, err);
    if (!st) st = dequantize(&b, net, in + 3, in[3]->rank ? in[3]->rank - 1 : 0, err);
    if (!st) st = fvlm_net_emit_matmul(&y, net, a, b, err);
    return st ? st : fvlm_net_quantize(out, net, y, in[6], in[7], in[0]->type, err);
}

/* QLinearConv(x, scale, zero, w, scale, zero, scale and zero of the result, bias): the bias has the scale of x times
 * that of w. */
fvlm_status fvlm_net_op_qlinear_conv(fvlm_net *net, const fvlm_graph_node *n, fvlm_net_value **in, fvlm_net_value **out,
                                     fvlm_err *err)
{
    fvlm_net_value *w = NULL, *bias = NULL, *scale = NULL, *y = NULL;
    fvlm_net_quantized q = {.op = "Conv"};
    fvlm_net_shape shape;
    fvlm_status st = dequantize(&q.of, net, in, 0, err);
    if (!st) st = dequantize(&w, net, in + 3, 0, err);
    if (!st) st = fvlm_net_conv_window(&q.window, &shape, net, n, q.of, w, err);
    if (!st && in[8]) st = fvlm_net_emit_binary(&scale, net, "Mul", in[1], in[4], err);
    if (!st && in[8]) st = dequantize_weight(&bias, net, in[8], scale, NULL, 0, err);
    if (!st) st = emit_product(&y, net, &q, w, bias, &shape, err);
    return st ? st : fvlm_net_quantize(out, net, y, in[6], in[7], in[0]->type, err);
}

/* QLinearAdd, QLinearMul(a, scale, zero, b, scale, zero, scale and zero of the result). */
fvlm_status fvlm_net_op_qlinear_binary(fvlm_net *net, const fvlm_graph_node *n, fvlm_net_value **in,
                                       fvlm_net_value **out, fvlm_err *err)
{
    fvlm_net_value *a = NULL, *b = NULL, *y = NULL;
    fvlm_status st = dequantize(&a, net, in, 0, err);
    if (!st) st = dequantize(&b, net, in + 3, 0, err);
    if (!st) st = fvlm_net_emit_binary(&y, net, n->op + strlen("QLinear"), a, b, err);
    return st ? st : fvlm_net_quantize(out, net, y, in[6], in[7], in[0]->type, err);
}

/* QLinearSigmoid, QLinearGlobalAveragePool(x, scale, zero, scale and zero of the result). */
fvlm_status fvlm_net_op_qlinear_unary(fvlm_net *net, const fvlm_graph_node *n, fvlm_net_value **in,
                                      fvlm_net_value **out, fvlm_err *err)
{
    fvlm_net_value *x = NULL, *y = NULL;
    fvlm_status st = dequantize(&x, net, in, 0, err);
    if (!st) st = fvlm_net_attr_only(n, "channels_last", 0, err);
    if (st) return st;
    if (strcmp(n->op, "QLinearSigmoid") == 0)
        st = fvlm_net_emit_unary(&y, net, "Sigmoid", x, 0, err);
    else
        st = fvlm_net_op_global_pool(net, n, &x, &y, err);
    return st ? st : fvlm_net_quantize(out, net, y, in[3], in[4], in[0]->type, err);
}
