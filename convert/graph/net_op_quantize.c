/* SPDX-License-Identifier: Apache-2.0 */
/* net_op_quantize.c - handlers of QuantizeLinear, DequantizeLinear and DynamicQuantizeLinear. Integers of an activation
 * stand for the activation itself: what rounding changes is noise. But where the zero point is the smallest integer,
 * they cannot be negative, and onnxruntime's quantizer drops a Relu before them for that reason. FastVLM's only Relu
 * follows a convolution; what else is never negative was so in calibration. */
#include "convert/graph/net_operators.h"

#include <math.h>
#include <string.h>

fvlm_status fvlm_net_quantize(fvlm_net_value **out, fvlm_net *net, fvlm_net_value *x, fvlm_net_value *scale,
                              fvlm_net_value *zero, int32_t type, fvlm_err *err)
{
    fvlm_status st = FVLM_OK;
    if (zero) type = zero->type;
    double least = 0, most;
    fvlm_onnx_type_limits(type, &least, &most);
    bool cuts = !zero || (zero->numbers && zero->n_elems == 1);
    cuts = cuts && (zero ? zero->numbers[0] : 0) == least;
    if (cuts && fvlm_net_is(x, "Conv")) st = fvlm_net_emit_unary(&x, net, "Relu", x, 0, err);
    fvlm_net_shape shape = fvlm_net_shape_of(x);
    const fvlm_net_quantized q = {.kind = FVLM_QUANTIZED_VALUES, .of = x, .scale = scale, .zero = zero};
    if (!st) st = fvlm_net_new_quantized(out, net, type, &shape, &q, err);
    if (!st && !x->is_const) net->n_fake_quantized++;
    return st;
}

fvlm_status fvlm_net_op_quantize_linear(fvlm_net *net, const fvlm_graph_node *n, fvlm_net_value **in,
                                        fvlm_net_value **out, fvlm_err *err)
{
    int64_t type = 0;
    fvlm_status st = fvlm_graph_attr_int(&type, n, "output_dtype", 0, err);
    if (st) return st;
    if (in[0]->quantized || !in[1]->numbers || (in[2] && !in[2]->numbers))
        return fvlm_fail(err, FVLM_UNSUPPORTED, "scale and zero point must be constants");
    for (uint64_t i = 0; i < in[1]->n_elems; i++)
        if (!(in[1]->numbers[i] > 0) || isinf(in[1]->numbers[i]))
            return fvlm_fail(err, FVLM_BAD_INPUT, "the scale of an activation is %g", in[1]->numbers[i]);
    return fvlm_net_quantize(out, net, in[0], in[1], in[2], type > 0 && type < 99 ? (int32_t)type : FVLM_ONNX_U8, err);
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
    static const fvlm_quantized_kind kinds[] = {FVLM_QUANTIZED_VALUES, FVLM_QUANTIZED_SCALE, FVLM_QUANTIZED_ZERO};
    fvlm_net_shape shape = fvlm_net_shape_of(in[0]), scalar = {0};
    fvlm_status st = FVLM_OK;
    for (unsigned i = 0; i < 3 && !st; i++) {
        const fvlm_net_quantized q = {.kind = kinds[i], .of = in[0]};
        st = fvlm_net_new_quantized(&out[i], net, i == 1 ? FVLM_ONNX_F32 : FVLM_ONNX_U8, i ? &scalar : &shape, &q, err);
    }
    if (!st && !in[0]->is_const) net->n_fake_quantized++;
    return st;
}
