/* SPDX-License-Identifier: Apache-2.0 */
/* net_op_conv.c - handlers of convolutions and pools. Shapes: [batch, channels, one to three spatial dimensions]. */
#include "convert/graph/net_operators.h"

#include <inttypes.h>
#include <string.h>

/* A list of n_spatial positive numbers, or all 'absent'. */
static fvlm_status read_list(uint64_t *out, const fvlm_graph_node *n, const char *name, unsigned n_spatial,
                             uint64_t absent, fvlm_err *err)
{
    const int64_t *list = NULL;
    size_t count = 0;
    fvlm_status st = fvlm_graph_attr_ints(&list, &count, n, name, err);
    if (st) return st;
    if (count && count != n_spatial)
        return fvlm_fail(err, FVLM_BAD_INPUT, "attribute \"%s\" has %zu elements for %u spatial dimensions", name,
                         count, n_spatial);
    for (unsigned d = 0; d < n_spatial; d++) {
        if (count && (list[d] < 1 || list[d] > 1 << 20))
            return fvlm_fail(err, FVLM_BAD_INPUT, "attribute \"%s\" holds %" PRId64, name, list[d]);
        out[d] = count ? (uint64_t)list[d] : absent;
    }
    return FVLM_OK;
}

static fvlm_status read_pads(fvlm_net_window *w, const fvlm_graph_node *n, fvlm_err *err)
{
    const int64_t *list = NULL;
    size_t count = 0;
    fvlm_status st = fvlm_graph_attr_ints(&list, &count, n, "pads", err);
    if (!st && count && count != 2 * (size_t)w->n_spatial)
        st = fvlm_fail(err, FVLM_BAD_INPUT, "attribute \"pads\" has %zu elements for %u spatial dimensions", count,
                       w->n_spatial);
    for (unsigned i = 0; i < count && !st; i++) {
        if (list[i] < 0 || list[i] > 1 << 20)
            return fvlm_fail(err, FVLM_BAD_INPUT, "attribute \"pads\" holds %" PRId64, list[i]);
        (i < w->n_spatial ? w->pad_before : w->pad_after)[i % w->n_spatial] = (uint64_t)list[i];
    }
    return st;
}

/* How many positions the window has along one dimension; resolves auto_pad = SAME_*. */
static fvlm_status count_positions(uint64_t *out, fvlm_net_window *w, unsigned d, uint64_t length, const char *auto_pad,
                                   bool ceil_mode, fvlm_err *err)
{
    uint64_t span = (w->kernel[d] - 1) * w->dilation[d] + 1, stride = w->stride[d];
    if (strncmp(auto_pad, "SAME", 4) == 0) {
        uint64_t n = (length + stride - 1) / stride, need = n ? (n - 1) * stride + span : 0;
        uint64_t pad = need > length ? need - length : 0;
        w->pad_before[d] = strcmp(auto_pad, "SAME_LOWER") == 0 ? pad - pad / 2 : pad / 2;
        w->pad_after[d] = pad - w->pad_before[d];
    }
    uint64_t padded = length + w->pad_before[d] + w->pad_after[d];
    if (padded < span)
        return fvlm_fail(err, FVLM_BAD_INPUT, "a window of %" PRIu64 " over %" PRIu64 " elements", span, padded);
    uint64_t n = (padded - span) / stride + 1;
    /* One more that hangs over the end, if it does not begin there. */
    if (ceil_mode && (padded - span) % stride != 0 && n * stride < length + w->pad_before[d]) n++;
    *out = n;
    return FVLM_OK;
}

/* kernel is known for Conv; pools have it as an attribute. */
static fvlm_status read_window(fvlm_net_window *w, fvlm_net_shape *shape, const fvlm_graph_node *n,
                               const fvlm_net_value *x, fvlm_err *err)
{
    const char *auto_pad = "NOTSET";
    bool ceil_mode = false;
    fvlm_status st = read_list(w->stride, n, "strides", w->n_spatial, 1, err);
    if (!st) st = read_list(w->dilation, n, "dilations", w->n_spatial, 1, err);
    if (!st) st = read_pads(w, n, err);
    if (!st) st = fvlm_net_attr_text(&auto_pad, n, "auto_pad", "NOTSET", err);
    if (!st) st = fvlm_net_attr_bool(&ceil_mode, n, "ceil_mode", false, err);
    if (st) return st;
    static const char *const known[] = {"NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"};
    unsigned k = 0;
    while (k < 4 && strcmp(auto_pad, known[k]) != 0) k++;
    if (k == 4) return fvlm_fail(err, FVLM_BAD_INPUT, "auto_pad = \"%.40s\" is not known", auto_pad);
    if (k == 1) memset(w->pad_before, 0, sizeof w->pad_before), memset(w->pad_after, 0, sizeof w->pad_after);
    for (unsigned d = 0; d < w->n_spatial && !st; d++)
        st = count_positions(&shape->dims[2 + d], w, d, x->dims[2 + d], auto_pad, ceil_mode, err);
    return st;
}

static fvlm_status spatial(unsigned *out, const fvlm_net_value *x, fvlm_err *err)
{
    char text[200];
    if (x->rank < 3 || x->rank > 5)
        return fvlm_fail(err, FVLM_BAD_INPUT,
                         "an input of shape %s; expected batch, channels and one to three spatial dimensions",
                         fvlm_net_shape_text(x->rank, x->dims, text));
    *out = x->rank - 2;
    return FVLM_OK;
}

fvlm_status fvlm_net_conv_window(const fvlm_net_window **out, fvlm_net_shape *shape, fvlm_net *net,
                                 const fvlm_graph_node *n, const fvlm_net_value *x, const fvlm_net_value *weight,
                                 fvlm_err *err)
{
    char a[200], b[200];
    fvlm_net_window *w = fvlm_net_take(net, 1, sizeof *w, err);
    if (!w) return err->code;
    int64_t group = 1;
    uint64_t given[3];
    *shape = fvlm_net_shape_of(x);
    fvlm_status st = spatial(&w->n_spatial, x, err);
    if (!st) st = fvlm_graph_attr_int(&group, n, "group", 1, err);
    if (st) return st;
    bool fits = group >= 1 && weight->rank == x->rank && weight->dims[0] % (uint64_t)group == 0 &&
                x->dims[1] % (uint64_t)group == 0 && weight->dims[1] == x->dims[1] / (uint64_t)group;
    for (unsigned d = 0; d < w->n_spatial && fits; d++) {
        w->kernel[d] = weight->dims[2 + d];
        fits = w->kernel[d] >= 1 && w->kernel[d] <= 1 << 20;
    }
    if (!fits)
        return fvlm_fail(
            err, FVLM_BAD_INPUT, "weights of shape %s with %" PRId64 " groups do not fit an input of shape %s",
            fvlm_net_shape_text(weight->rank, weight->dims, b), group, fvlm_net_shape_text(x->rank, x->dims, a));
    st = read_list(given, n, "kernel_shape", w->n_spatial, 0, err);
    for (unsigned d = 0; d < w->n_spatial && !st; d++)
        if (given[d] && given[d] != w->kernel[d])
            return fvlm_fail(err, FVLM_BAD_INPUT, "kernel_shape does not fit weights of shape %s",
                             fvlm_net_shape_text(weight->rank, weight->dims, b));
    w->group = (uint64_t)group;
    shape->dims[1] = weight->dims[0];
    *out = w;
    return st ? st : read_window(w, shape, n, x, err);
}

/* A Pad of zeros before a convolution is its padding. */
static fvlm_status absorb_pad(fvlm_net_node *conv, fvlm_net *net, fvlm_err *err)
{
    fvlm_net_value *x = conv->inputs[0];
    if (!fvlm_net_is(x, "Pad") || x->producer->alpha != 0) return FVLM_OK;
    const fvlm_net_node *pad = x->producer;
    fvlm_net_value *from = pad->inputs[0];
    bool fits = x->dims[0] == from->dims[0] && x->dims[1] == from->dims[1] && !pad->start[0] && !pad->start[1];
    for (unsigned d = 2; d < x->rank && fits; d++)
        fits = pad->start[d] >= 0 && x->dims[d] >= from->dims[d] + (uint64_t)pad->start[d];
    if (!fits) return FVLM_OK;
    fvlm_net_window *w = fvlm_net_take(net, 1, sizeof *w, err);
    if (!w) return err->code;
    *w = *conv->window;
    for (unsigned d = 0; d < w->n_spatial; d++) {
        const uint64_t before = (uint64_t)pad->start[2 + d];
        w->pad_before[d] += before;
        w->pad_after[d] += x->dims[2 + d] - from->dims[2 + d] - before;
    }
    conv->window = w;
    conv->inputs[0] = from;
    return FVLM_OK;
}

fvlm_status fvlm_net_op_conv(fvlm_net *net, const fvlm_graph_node *n, fvlm_net_value **in, fvlm_net_value **out,
                             fvlm_err *err)
{
    fvlm_net_node proto = {.op = "Conv", .n_inputs = in[2] ? 3 : 2, .inputs = in};
    fvlm_net_shape shape;
    fvlm_status st = fvlm_net_conv_window(&proto.window, &shape, net, n, in[0], in[1], err);
    if (!st && in[2] && (in[2]->rank != 1 || in[2]->dims[0] != shape.dims[1]))
        st = fvlm_fail(err, FVLM_BAD_INPUT, "a bias of %" PRIu64 " elements for %" PRIu64 " channels", in[2]->n_elems,
                       shape.dims[1]);
    if (!st) st = absorb_pad(&proto, net, err);
    return st ? st : fvlm_net_emit(out, net, &proto, in[0]->type, &shape, err);
}

/* Conv, then the sum with input 3, then the activation. */
fvlm_status fvlm_net_op_fused_conv(fvlm_net *net, const fvlm_graph_node *n, fvlm_net_value **in, fvlm_net_value **out,
                                   fvlm_err *err)
{
    const char *activation = "";
    fvlm_status st = fvlm_net_attr_text(&activation, n, "activation", "", err);
    if (!st) st = fvlm_net_op_conv(net, n, in, out, err);
    if (!st && in[3]) st = fvlm_net_emit_binary(out, net, "Add", *out, in[3], err);
    return st ? st : fvlm_net_emit_activation(out, net, n, activation, err);
}

fvlm_status fvlm_net_emit_activation(fvlm_net_value **x, fvlm_net *net, const fvlm_graph_node *n,
                                     const char *activation, fvlm_err *err)
{
    static const char *const plain[] = {"Relu", "Sigmoid", "Tanh"};
    const fvlm_graph_attr *params = fvlm_graph_attr_find(n, "activation_params");
    size_t n_params = params && params->kind == FVLM_ATTR_FLOATS ? params->n : 0;
    if (!*activation) return FVLM_OK;
    for (unsigned i = 0; i < 3; i++)
        if (strcmp(activation, plain[i]) == 0) return fvlm_net_emit_unary(x, net, plain[i], *x, 0, err);
    if (strcmp(activation, "LeakyRelu") == 0 && n_params == 1)
        return fvlm_net_emit_unary(x, net, "LeakyRelu", *x, (double)params->floats[0], err);
    if (strcmp(activation, "Clip") == 0 && n_params == 2) {
        fvlm_net_value *in[3] = {*x};
        fvlm_net_node proto = {.op = "Clip", .n_inputs = 3, .inputs = in};
        fvlm_net_shape shape = fvlm_net_shape_of(*x);
        fvlm_status st = FVLM_OK;
        for (unsigned i = 0; i < 2 && !st; i++)
            st = fvlm_net_new_scalar(&in[i + 1], net, in[0]->type, (double)params->floats[i], err);
        return st ? st : fvlm_net_emit(x, net, &proto, in[0]->type, &shape, err);
    }
    return fvlm_fail(err, FVLM_UNSUPPORTED, "the fused activation \"%.40s\" is not supported", activation);
}

/* AveragePool, MaxPool. A mean of the whole plane is ReduceMean. */
fvlm_status fvlm_net_op_pool(fvlm_net *net, const fvlm_graph_node *n, fvlm_net_value **in, fvlm_net_value **out,
                             fvlm_err *err)
{
    fvlm_net_window *w = fvlm_net_take(net, 1, sizeof *w, err);
    if (!w) return err->code;
    fvlm_net_node proto = {.op = n->op, .n_inputs = 1, .inputs = in, .window = w};
    fvlm_net_shape shape = fvlm_net_shape_of(in[0]);
    fvlm_status st = spatial(&w->n_spatial, in[0], err);
    if (!st) st = read_list(w->kernel, n, "kernel_shape", w->n_spatial, 0, err);
    if (!st && w->kernel[0] == 0) st = fvlm_fail(err, FVLM_BAD_INPUT, "attribute \"kernel_shape\" is missing");
    if (!st) st = read_window(w, &shape, n, in[0], err);
    if (!st) st = fvlm_net_attr_bool(&w->count_pad, n, "count_include_pad", false, err);
    if (st) return st;
    w->group = in[0]->dims[1];
    bool whole = strcmp(n->op, "AveragePool") == 0;
    uint32_t axes = 0;
    for (unsigned d = 0; d < w->n_spatial; d++) {
        whole &= w->kernel[d] == in[0]->dims[2 + d] && w->dilation[d] == 1 && !w->pad_before[d] && !w->pad_after[d];
        axes |= 4u << d;
    }
    if (whole) return fvlm_net_emit_reduce(out, net, "ReduceMean", in[0], axes, true, err);
    return fvlm_net_emit(out, net, &proto, in[0]->type, &shape, err);
}

fvlm_status fvlm_net_op_global_pool(fvlm_net *net, const fvlm_graph_node *n, fvlm_net_value **in, fvlm_net_value **out,
                                    fvlm_err *err)
{
    unsigned n_spatial = 0;
    fvlm_status st = spatial(&n_spatial, in[0], err);
    const char *op = strcmp(n->op, "GlobalMaxPool") == 0 ? "ReduceMax" : "ReduceMean";
    return st ? st : fvlm_net_emit_reduce(out, net, op, in[0], ((1u << n_spatial) - 1) << 2, true, err);
}
