/* SPDX-License-Identifier: Apache-2.0 */
/* net_op_elementwise.c - handlers of functions of single elements, and of nodes that change nothing. */
#include "convert/graph/net_operators.h"

#include <string.h>

fvlm_status fvlm_net_op_identity(fvlm_net *net, const fvlm_graph_node *n, fvlm_net_value **in, fvlm_net_value **out,
                                 fvlm_err *err)
{
    (void)net;
    out[0] = in[0];
    return fvlm_net_attr_only(n, "training_mode", 0, err);
}

/* In inference only; newer versions take training_mode as an input. */
fvlm_status fvlm_net_op_dropout(fvlm_net *net, const fvlm_graph_node *n, fvlm_net_value **in, fvlm_net_value **out,
                                fvlm_err *err)
{
    (void)net, (void)n;
    if (in[2] && !(in[2]->numbers && in[2]->n_elems == 1 && in[2]->numbers[0] == 0))
        return fvlm_fail(err, FVLM_UNSUPPORTED, "training mode is not supported; export for inference");
    out[0] = in[0];
    return FVLM_OK;
}

fvlm_status fvlm_net_op_unary(fvlm_net *net, const fvlm_graph_node *n, fvlm_net_value **in, fvlm_net_value **out,
                              fvlm_err *err)
{
    static const struct {
        const char *op;
        float alpha, beta;
    } defaults[] = {{"Elu", 1, 0}, {"LeakyRelu", 0.01f, 0}, {"HardSigmoid", 0.2f, 0.5f}};
    fvlm_net_node proto = {.op = n->op, .n_inputs = 1, .inputs = in};
    fvlm_net_shape shape = fvlm_net_shape_of(in[0]);
    fvlm_status st = FVLM_OK;
    for (size_t i = 0; i < sizeof defaults / sizeof *defaults && !st; i++) {
        if (strcmp(n->op, defaults[i].op) != 0) continue;
        st = fvlm_net_attr_double(&proto.alpha, n, "alpha", defaults[i].alpha, err);
        if (!st) st = fvlm_net_attr_double(&proto.beta, n, "beta", defaults[i].beta, err);
    }
    return st ? st : fvlm_net_emit(out, net, &proto, in[0]->type, &shape, err);
}

fvlm_status fvlm_net_op_is_inf(fvlm_net *net, const fvlm_graph_node *n, fvlm_net_value **in, fvlm_net_value **out,
                               fvlm_err *err)
{
    fvlm_net_node proto = {.op = n->op, .n_inputs = 1, .inputs = in};
    fvlm_net_shape shape = fvlm_net_shape_of(in[0]);
    fvlm_status st = fvlm_net_attr_only(n, "detect_negative", 1, err);
    if (!st) st = fvlm_net_attr_only(n, "detect_positive", 1, err);
    return st ? st : fvlm_net_emit(out, net, &proto, FVLM_ONNX_BOOL, &shape, err);
}

/* An activation is a number, so the answer is no. Exporters ask about softmax, for rows that are masked as a whole. */
fvlm_status fvlm_net_op_is_nan(fvlm_net *net, const fvlm_graph_node *n, fvlm_net_value **in, fvlm_net_value **out,
                               fvlm_err *err)
{
    fvlm_net_node proto = {.op = n->op, .n_inputs = 1, .inputs = in};
    fvlm_net_shape shape = fvlm_net_shape_of(in[0]);
    if (in[0]->numbers || in[0]->uniform) return fvlm_net_emit(out, net, &proto, FVLM_ONNX_BOOL, &shape, err);
    return fvlm_net_new_uniform(out, net, FVLM_ONNX_BOOL, &shape, 0, err);
}

fvlm_status fvlm_net_op_binary(fvlm_net *net, const fvlm_graph_node *n, fvlm_net_value **in, fvlm_net_value **out,
                               fvlm_err *err)
{
    if (fvlm_graph_attr_find(n, "broadcast"))
        return fvlm_fail(err, FVLM_UNSUPPORTED, "broadcasting as before opset 7 is not supported");
    return fvlm_net_emit_binary(out, net, n->op, in[0], in[1], err);
}

fvlm_status fvlm_net_op_mod(fvlm_net *net, const fvlm_graph_node *n, fvlm_net_value **in, fvlm_net_value **out,
                            fvlm_err *err)
{
    fvlm_net_node proto = {.op = n->op, .n_inputs = 2, .inputs = in};
    fvlm_net_shape shape;
    bool flag = false;
    const char *direction = "LEFT";
    fvlm_status st = fvlm_net_broadcast(&shape, in, 2, err);
    if (!st && strcmp(n->op, "Mod") == 0) st = fvlm_net_attr_bool(&flag, n, "fmod", false, err);
    if (!st && strcmp(n->op, "BitShift") == 0) {
        st = fvlm_net_attr_text(&direction, n, "direction", "", err);
        flag = strcmp(direction, "LEFT") == 0;
        if (!st && !flag && strcmp(direction, "RIGHT") != 0)
            st = fvlm_fail(err, FVLM_BAD_INPUT, "direction \"%.40s\" is neither LEFT nor RIGHT", direction);
    }
    proto.alpha = flag;
    return st ? st : fvlm_net_emit(out, net, &proto, in[0]->type, &shape, err);
}

/* Min, Max, Sum and Mean of any number of inputs. */
fvlm_status fvlm_net_op_variadic(fvlm_net *net, const fvlm_graph_node *n, fvlm_net_value **in, fvlm_net_value **out,
                                 fvlm_err *err)
{
    bool mean = strcmp(n->op, "Mean") == 0;
    const char *op = mean || strcmp(n->op, "Sum") == 0 ? "Add" : n->op;
    fvlm_net_value *count;
    fvlm_status st = FVLM_OK;
    out[0] = in[0];
    for (size_t i = 0; i < n->n_inputs && !st; i++) {
        if (!in[i]) return fvlm_fail(err, FVLM_BAD_INPUT, "input %zu is left out", i);
        if (i) st = fvlm_net_emit_binary(out, net, op, out[0], in[i], err);
    }
    if (!st && mean) st = fvlm_net_new_scalar(&count, net, in[0]->type, (double)n->n_inputs, err);
    if (!st && mean) st = fvlm_net_emit_binary(out, net, "Div", out[0], count, err);
    return st;
}

fvlm_status fvlm_net_op_where(fvlm_net *net, const fvlm_graph_node *n, fvlm_net_value **in, fvlm_net_value **out,
                              fvlm_err *err)
{
    fvlm_net_node proto = {.op = n->op, .n_inputs = 3, .inputs = in};
    fvlm_net_shape shape;
    fvlm_status st = fvlm_net_broadcast(&shape, in, 3, err);
    if (st) return st;
    fvlm_net_value *chosen = fvlm_net_all(in[0], 1) ? in[1] : fvlm_net_all(in[0], 0) ? in[2] : NULL;
    if (chosen && fvlm_net_same_shape(chosen, &shape)) return *out = chosen, FVLM_OK;
    return fvlm_net_emit(out, net, &proto, in[1]->is_const ? in[2]->type : in[1]->type, &shape, err);
}

fvlm_status fvlm_net_op_clip(fvlm_net *net, const fvlm_graph_node *n, fvlm_net_value **in, fvlm_net_value **out,
                             fvlm_err *err)
{
    static const char *const bounds[] = {"min", "max"};
    fvlm_net_value *inputs[3] = {in[0], in[1], in[2]};
    fvlm_net_node proto = {.op = n->op, .n_inputs = 3, .inputs = inputs};
    fvlm_net_shape shape = fvlm_net_shape_of(in[0]);
    for (unsigned i = 0; i < 2; i++) { /* attributes before opset 11 */
        double x = 0;
        if (!fvlm_graph_attr_find(n, bounds[i])) continue;
        fvlm_status st = fvlm_net_attr_double(&x, n, bounds[i], 0, err);
        if (!st) st = fvlm_net_new_scalar(&inputs[i + 1], net, in[0]->type, x, err);
        if (st) return st;
    }
    for (unsigned i = 1; i < 3; i++)
        if (inputs[i] && inputs[i]->n_elems != 1) return fvlm_fail(err, FVLM_BAD_INPUT, "a bound must be a scalar");
    out[0] = in[0];
    return inputs[1] || inputs[2] ? fvlm_net_emit(out, net, &proto, in[0]->type, &shape, err) : FVLM_OK;
}

/* Any token id or position is the same number in this type. */
static bool holds_ids(int32_t type)
{
    return type == FVLM_ONNX_I32 || type == FVLM_ONNX_I64 || type == FVLM_ONNX_U32 || type == FVLM_ONNX_U64;
}

static fvlm_status cast(fvlm_net *net, fvlm_net_value *x, int32_t to, fvlm_net_value **out, fvlm_err *err)
{
    fvlm_net_node proto = {.op = "Cast", .n_inputs = 1, .inputs = &x};
    fvlm_net_shape shape = fvlm_net_shape_of(x);
    if (!fvlm_net_is_float(to) && !fvlm_net_is_integer(to) && to != FVLM_ONNX_BOOL)
        return fvlm_fail(err, FVLM_UNSUPPORTED, "a cast to %s is not supported", fvlm_onnx_type_name(to));
    bool alike = (fvlm_net_is_float(x->type) && fvlm_net_is_float(to)) ||
                 (fvlm_net_is_integer(x->type) && holds_ids(to)) || x->type == to;
    *out = x;
    if (x->type == FVLM_ONNX_F32 && !x->is_const && (to == FVLM_ONNX_F16 || to == FVLM_ONNX_BF16) && !net->n_narrowed++)
        net->narrowed = net->at;
    if (x->type == to || (alike && !x->is_const)) return FVLM_OK;
    return fvlm_net_emit(out, net, &proto, to, &shape, err);
}

fvlm_status fvlm_net_op_cast(fvlm_net *net, const fvlm_graph_node *n, fvlm_net_value **in, fvlm_net_value **out,
                             fvlm_err *err)
{
    int64_t to = 0;
    fvlm_status st = fvlm_graph_attr_int(&to, n, "to", 0, err);
    if (st) return st;
    const fvlm_net_quantized *q = in[0]->quantized;
    if (q && q->kind != FVLM_QUANTIZED_VALUES) { /* sums and scales stay what they are */
        out[0] = in[0];
        return fvlm_net_is_float((int32_t)to)
                   ? FVLM_OK
                   : fvlm_fail(err, FVLM_UNSUPPORTED, "integers of an activation are cast to another type than floats");
    }
    if (q) return fvlm_fail(err, FVLM_UNSUPPORTED, "integers of an activation are cast before their scale is applied");
    return cast(net, in[0], to > INT32_MAX || to < 0 ? 0 : (int32_t)to, out, err);
}

fvlm_status fvlm_net_op_cast_like(fvlm_net *net, const fvlm_graph_node *n, fvlm_net_value **in, fvlm_net_value **out,
                                  fvlm_err *err)
{
    (void)n;
    return cast(net, in[0], in[1]->type, out, err);
}

fvlm_status fvlm_net_op_gelu(fvlm_net *net, const fvlm_graph_node *n, fvlm_net_value **in, fvlm_net_value **out,
                             fvlm_err *err)
{
    const char *how;
    fvlm_status st = fvlm_net_attr_text(&how, n, "approximate", "none", err);
    if (st) return st;
    bool tanh = strcmp(how, "tanh") == 0;
    if (!tanh && strcmp(how, "none") != 0)
        return fvlm_fail(err, FVLM_BAD_INPUT, "approximate = \"%.40s\" is neither \"none\" nor \"tanh\"", how);
    return fvlm_net_emit_unary(out, net, tanh ? "FastGelu" : "Gelu", in[0], 0, err);
}

/* BiasGelu and FastGelu: the bias first. */
fvlm_status fvlm_net_op_bias_gelu(fvlm_net *net, const fvlm_graph_node *n, fvlm_net_value **in, fvlm_net_value **out,
                                  fvlm_err *err)
{
    fvlm_net_value *x = in[0];
    fvlm_status st = in[1] ? fvlm_net_emit_binary(&x, net, "Add", x, in[1], err) : FVLM_OK;
    if (st) return st;
    return fvlm_net_emit_unary(out, net, strcmp(n->op, "FastGelu") == 0 ? n->op : "Gelu", x, 0, err);
}

/* QuickGelu: alpha 1.702; Swish: 1. */
fvlm_status fvlm_net_op_quick_gelu(fvlm_net *net, const fvlm_graph_node *n, fvlm_net_value **in, fvlm_net_value **out,
                                   fvlm_err *err)
{
    double alpha;
    fvlm_status st = fvlm_net_attr_double(&alpha, n, "alpha", strcmp(n->op, "Swish") == 0 ? 1 : 1.702f, err);
    return st ? st : fvlm_net_emit_unary(out, net, "QuickGelu", in[0], alpha, err);
}
