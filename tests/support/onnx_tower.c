/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_tower.c - see onnx_tower.h. One file, however long: every layer in each of its spellings, over one small set of
 * helpers that nothing else uses. */
#include "tests/support/onnx_tower.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/check.h"

#define T TEST_TOWER
#define NAME 1024 /* of every text */

typedef struct {
    onnx_model m;
    const test_checkpoint *c;
    const tower_style *style;
    const char *halved; /* the tensor whose elements are stored halved; NULL */
} builder;

static void text(char out[NAME], const char *fmt, ...) FVLM_PRINTF(2, 3);
static void text(char out[NAME], const char *fmt, ...)
{
    char all[NAME]; /* out may be among the arguments */
    va_list args;
    va_start(args, fmt);
    vsnprintf(all, sizeof all, fmt, args);
    va_end(args);
    memcpy(out, all, sizeof all);
}

/* ---- nodes ---- */

static void put(builder *b, const char *op, const char *inputs, const char *output, const char *attrs)
{
    char swapped[NAME], raw[NAME];
    const char *comma = strchr(inputs, ',');
    if (b->style->swap && comma && (!strcmp(op, "Add") || !strcmp(op, "Mul"))) {
        text(swapped, "%s,%.*s", comma + 1, (int)(comma - inputs), inputs);
        inputs = swapped;
    }
    for (size_t i = 0; i < sizeof b->style->edit / sizeof *b->style->edit; i++) {
        const tower_edit *e = &b->style->edit[i];
        if (!e->output || strcmp(e->output, output) != 0) continue;
        if (e->op && e->op[0] == '-') {
            op = "Identity";
            text(swapped, "%.*s", (int)strcspn(inputs, ","), inputs);
            inputs = swapped;
            attrs = "";
        } else if (e->op && e->op[0] == '+') {
            text(raw, "%s.raw", output);
            onnx_node(&b->m, op, inputs, raw, attrs);
            text(swapped, "%s%s%s", raw, e->inputs ? "," : "", e->inputs ? e->inputs : "");
            op = e->op + 1;
            inputs = swapped;
            attrs = e->attrs ? e->attrs : "";
        } else {
            if (e->op) op = e->op;
            if (e->inputs) inputs = e->inputs;
            if (e->attrs) attrs = e->attrs;
        }
    }
    onnx_node(&b->m, op, inputs, output, attrs);
}

/* op(a, b) -> "NAME.suffix", which is written to out. */
static const char *node(builder *b, char out[NAME], const char *op, const char *x, const char *y, const char *name,
                        const char *suffix, const char *attrs)
{
    char inputs[NAME], output[NAME]; /* out may be x */
    text(inputs, "%s%s%s", x, y ? "," : "", y ? y : "");
    text(output, "%s%s%s", name, suffix[0] ? "." : "", suffix);
    put(b, op, inputs, output, attrs);
    return strcpy(out, output);
}

/* ---- tensors ---- */

static bool has(const builder *b, const char *name)
{
    for (size_t i = 0; i < b->c->n; i++)
        if (!strcmp(b->c->items[i].name, name)) return true;
    return false;
}

static const test_tensor *tensor(const builder *b, const char *at, const char *end)
{
    char name[NAME];
    text(name, "%s%s", at, end);
    return test_tensor_find(b->c, name);
}

static void shape_text(char out[NAME], unsigned rank, const uint64_t *dims)
{
    out[0] = 0;
    for (unsigned i = 0; i < rank; i++) text(out, i ? "%s,%u" : "%s%u", out, (unsigned)dims[i]);
}

/* Rows first ... of the tensor under a name, transposed if asked for, in this shape. */
static void store(builder *b, const test_tensor *t, const char *name, const char *shape, bool transpose, size_t first,
                  size_t rows)
{
    if (b->style->hollow) {
        char dims[NAME], n[NAME];
        int64_t v[8];
        size_t rank = 0;
        for (const char *at = shape; *at; at += *at == ',') v[rank++] = strtoll(at, (char **)&at, 10);
        text(dims, "%s.dims", name);
        text(n, "%zu", rank);
        onnx_int64s(&b->m, dims, n, v);
        onnx_node(&b->m, "ConstantOfShape", dims, name, "");
        return;
    }
    float *v = calloc(t->n, sizeof *v);
    assert_non_null(v);
    const size_t columns = t->n / (size_t)t->dims[0];
    const double factor = b->halved && !strcmp(b->halved, t->name) ? 0.5 : 1;
    for (size_t r = 0; r < rows; r++)
        for (size_t k = 0; k < columns; k++)
            v[transpose ? k * rows + r : r * columns + k] = (float)(factor * t->values[(first + r) * columns + k]);
    onnx_floats(&b->m, name, shape, v);
    free(v);
}

/* The tensor AT.end as it is; returns its name in out. */
static const char *keep(builder *b, char out[NAME], const char *at, const char *end)
{
    const test_tensor *t = tensor(b, at, end);
    char shape[NAME];
    shape_text(shape, t->rank, t->dims);
    store(b, t, t->name, shape, false, 0, (size_t)t->dims[0]);
    text(out, "%s", t->name);
    return out;
}

static void scalars(builder *b)
{
    static const struct {
        const char *name;
        float v;
    } all[] = {{"half", 0.5f},
               {"one", 1},
               {"two", 2},
               {"minus_half", -0.5f},
               {"root2", 1.41421354f},
               {"inverse_root2", 0.707106769f},
               {"eps", 1e-5f},
               {"eps3", 1e-3f},
               {"eps6", 1e-6f},
               {"scale", 0.176776692f},
               {"root_scale", 0.420448214f},
               {"root32", 5.65685415f},
               {"root16", 4},
               {"other", 1.01f}};
    static const struct {
        const char *name, *shape;
        int64_t v[5];
    } integers[] = {{"i0", "", {0}},
                    {"i1", "", {1}},
                    {"i2", "", {2}},
                    {"s64", "1", {64}},
                    {"s0", "1", {0}},
                    {"s128", "1", {128}},
                    {"s192", "1", {192}},
                    {"axis1", "1", {1}},
                    {"axis2", "1", {2}},
                    {"rows", "2", {16, -1}},
                    {"hw", "2", {2, 3}},
                    {"heads_outside", "5", {1, 16, 2, 3, 32}},
                    {"heads_inside", "5", {1, 16, 3, 32, 2}}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) onnx_floats(&b->m, all[i].name, "", &all[i].v);
    for (size_t i = 0; i < sizeof integers / sizeof *integers; i++)
        onnx_int64s(&b->m, integers[i].name, integers[i].shape, integers[i].v);
}

/* A shape as an initializer named after it: "0,-1,64". */
static const char *shape(builder *b, const char *name, const char *dims)
{
    int64_t v[8];
    char n[NAME];
    size_t count = 0;
    for (const char *at = dims; *at; at += *at == ',') v[count++] = strtoll(at, (char **)&at, 10);
    text(n, "%zu", count);
    onnx_int64s(&b->m, name, n, v);
    return name;
}

static void reshape(builder *b, char x[NAME], const char *name, const char *suffix, const char *dims)
{
    char target[NAME];
    text(target, "%s.%s.shape", name, suffix);
    shape(b, target, dims);
    node(b, x, "Reshape", x, target, name, suffix, "");
}

static int64_t opset(const tower_style *s)
{
    return s->qkv == QKV_ATTENTION ? 23 : s->gelu == GELU_OPERATOR ? 20 : 17;
}

/* The mean over the channels, or over the picture; axes became an input with version 18. */
static void reduce_mean(builder *b, char out[NAME], const char *x, bool channels, const char *name, const char *suffix)
{
    const bool attribute = opset(b->style) < 18;
    node(b, out, "ReduceMean", x,
         attribute  ? NULL
         : channels ? "axis1"
                    : "hw",
         name, suffix,
         !attribute ? "keepdims=1"
         : channels ? "axes=[1] keepdims=1"
                    : "axes=[2,3] keepdims=1");
}

/* ---- layers: x becomes the output's name ---- */

/* AT.end is the weight that is multiplied with the result, if it is a tensor of the checkpoint. */
static void gelu(builder *b, char x[NAME], const char *name, const char *at, const char *end)
{
    char in[NAME], e[NAME], h[NAME], reader[NAME];
    strcpy(in, x);
    text(reader, "%s%s", at, end);
    const bool first = b->style->gelu == GELU_HALF_FIRST;
    if (b->style->gelu == GELU_OPERATOR) {
        node(b, x, "Gelu", in, NULL, name, "gelu", "");
        return;
    }
    node(b, e, first ? "Mul" : "Div", in, first ? "inverse_root2" : "root2", name, "gelu.div", "");
    node(b, e, "Erf", e, NULL, name, "gelu.erf", "");
    node(b, e, "Add", e, "one", name, "gelu.add", "");
    if (b->style->gelu == GELU_HALF_AWAY && has(b, reader)) {
        node(b, x, "Mul", in, e, name, "gelu", "");
        b->halved = test_tensor_find(b->c, reader)->name;
    } else if (b->style->gelu == GELU_MUL_HALF || b->style->gelu == GELU_HALF_AWAY) {
        node(b, h, "Mul", in, e, name, "gelu.mul", "");
        node(b, x, "Mul", h, "half", name, "gelu", "");
    } else {
        node(b, h, "Mul", first ? in : e, "half", name, "gelu.mul", "");
        node(b, x, "Mul", h, first ? e : in, name, "gelu", "");
    }
}

static void conv(builder *b, char x[NAME], const char *at, uint64_t groups, unsigned stride, const char *name)
{
    const test_tensor *t = tensor(b, at, ".weight");
    char inputs[NAME], attrs[NAME], w[NAME], bias[NAME], full[NAME];
    const unsigned k = (unsigned)t->dims[2];
    keep(b, w, at, ".weight");
    text(full, "%s.bias", at);
    const bool has_bias = has(b, full);
    if (has_bias) keep(b, bias, at, ".bias");
    text(inputs, "%s,%s%s%s", x, w, has_bias ? "," : "", has_bias ? bias : "");
    text(attrs, "group=%u strides=[%u,%u] pads=[%u,%u,%u,%u] kernel_shape=[%u,%u] dilations=[1,1]", (unsigned)groups,
         stride, stride, k / 2, k / 2, k / 2, k / 2, k, k);
    put(b, "Conv", inputs, name, attrs);
    strcpy(x, name);
}

static void batch_norm(builder *b, char x[NAME], const char *at, const char *name)
{
    char inputs[NAME], p[4][NAME], output[NAME];
    text(inputs, "%s,%s,%s,%s,%s", x, keep(b, p[0], at, ".weight"), keep(b, p[1], at, ".bias"),
         keep(b, p[2], at, ".running_mean"), keep(b, p[3], at, ".running_var"));
    text(output, "%s.bn", name);
    put(b, "BatchNormalization", inputs, output, "epsilon=1e-5");
    strcpy(x, output);
}

static void conv_bn(builder *b, char x[NAME], const char *at, uint64_t groups, unsigned stride, const char *name)
{
    char path[NAME];
    text(path, "%s.conv", at);
    conv(b, x, path, groups, stride, name);
    text(path, "%s.bn", at);
    batch_norm(b, x, path, name);
}

/* sum is empty at first. */
static void add_up(builder *b, char sum[NAME], const char *x, const char *name)
{
    if (sum[0]) /* in this order always: convolutions are numbered in it */
        node(b, sum, "Add", b->style->swap ? x : sum, b->style->swap ? sum : x, name, "", "");
    else
        strcpy(sum, x);
}

/* MobileOne: scale, skip, convolutions, in upstream's order; or fused. */
static void mobile_one(builder *b, char x[NAME], const char *at, uint64_t groups, unsigned stride, const char *name)
{
    char path[NAME], full[NAME], y[NAME], sum[NAME] = "", out[NAME];
    text(full, "%s.reparam_conv", at);
    text(path, "%s.reparam_conv.weight", at);
    if (has(b, path)) {
        conv(b, x, full, groups, stride, name);
        return;
    }
    text(path, "%s.rbr_scale", at);
    text(full, "%s.conv.weight", path);
    if (has(b, full)) {
        text(out, "%s.scale", name);
        conv_bn(b, strcpy(y, x), path, groups, stride, out);
        strcpy(sum, y);
    }
    text(path, "%s.rbr_skip", at);
    text(full, "%s.weight", path);
    if (has(b, full)) {
        text(out, "%s.skip", name);
        batch_norm(b, strcpy(y, x), path, out);
        text(out, "%s.with_skip", name);
        add_up(b, sum, y, out);
    }
    for (unsigned k = 0; k < 4; k++) {
        text(path, "%s.rbr_conv.%u", at, k);
        text(full, "%s.conv.weight", path);
        if (!has(b, full)) continue;
        text(out, "%s.conv%u", name, k);
        conv_bn(b, strcpy(y, x), path, groups, stride, out);
        text(out, "%s.with_conv%u", name, k);
        add_up(b, sum, y, out);
    }
    strcpy(x, sum);
}

/* The layer's weight [out, in] under the name of its tensor, and the product with x. Maps are [1, C, H, W] between
 * layers; side is that of the map. tokens: x is [1, N, C] and stays so. */
static void linear(builder *b, char x[NAME], const char *at, unsigned side, bool tokens, const char *name)
{
    const test_tensor *t = tensor(b, at, ".weight");
    const uint64_t out = t->dims[0], in = t->dims[1];
    char full[NAME], bias[NAME] = "", inputs[NAME], dims[NAME];
    const tower_linear kind = b->style->linear;
    text(full, "%s.bias", at);
    if (has(b, full)) keep(b, bias, at, ".bias");
    if (kind == LINEAR_CONV && !tokens) {
        char attrs[] = "group=1 strides=[1,1] pads=[0,0,0,0] kernel_shape=[1,1]";
        text(dims, "%u,%u,1,1", (unsigned)out, (unsigned)in);
        store(b, t, t->name, dims, false, 0, (size_t)out);
        text(inputs, "%s,%s%s%s", x, t->name, bias[0] ? "," : "", bias);
        put(b, "Conv", inputs, name, attrs);
        strcpy(x, name);
        return;
    }
    if (!tokens) node(b, x, "Transpose", x, NULL, name, "to_last", "perm=[0,2,3,1]");
    if (kind == LINEAR_GEMM) {
        text(dims, "-1,%u", (unsigned)in);
        reshape(b, x, name, "flat", dims);
        text(dims, "%u,%u", (unsigned)out, (unsigned)in);
        store(b, t, t->name, dims, false, 0, (size_t)out);
        text(inputs, "%s,%s%s%s", x, t->name, bias[0] ? "," : "", bias);
        text(full, "%s.gemm", name);
        put(b, "Gemm", inputs, full, "transB=1");
        strcpy(x, full);
        if (tokens)
            text(dims, "1,%u,%u", side * side, (unsigned)out);
        else
            text(dims, "1,%u,%u,%u", side, side, (unsigned)out);
        reshape(b, x, name, "unflat", dims);
    } else {
        text(dims, "%u,%u", (unsigned)in, (unsigned)out);
        store(b, t, t->name, dims, true, 0, (size_t)out);
        node(b, x, "MatMul", x, t->name, name, "product", "");
        if (bias[0]) node(b, x, "Add", x, bias, name, "biased", "");
    }
    if (!tokens) node(b, x, "Transpose", x, NULL, name, "", "perm=[0,3,1,2]");
}

/* x + scale * y. */
static void add_scaled(builder *b, char x[NAME], char y[NAME], const char *block, const char *scale, const char *name)
{
    char s[NAME];
    if (!b->style->without_scale) node(b, y, "Mul", y, keep(b, s, block, scale), name, "scaled", "");
    node(b, x, "Add", x, y, name, "", "");
}

static void ffn(builder *b, char x[NAME], const char *block, uint64_t c, unsigned side, const char *scale,
                const char *name)
{
    char y[NAME], at[NAME], out[NAME];
    text(at, "%s.convffn.conv", block);
    text(out, "%s.ffn.conv", name);
    conv_bn(b, strcpy(y, x), at, c, 1, out);
    text(at, "%s.convffn.fc1", block);
    text(out, "%s.fc1", name);
    linear(b, y, at, side, false, out);
    text(at, "%s.convffn.fc2", block);
    gelu(b, y, out, at, ".weight");
    text(out, "%s.fc2", name);
    linear(b, y, at, side, false, out);
    text(out, "%s.ffn", name);
    add_scaled(b, x, y, block, scale, out);
}

static void repmixer(builder *b, char x[NAME], unsigned index, unsigned n, uint64_t c, unsigned side)
{
    char block[NAME], at[NAME], name[NAME], y[NAME], z[NAME], out[NAME], s[NAME];
    text(block, T "network.%u.%u", index, n);
    text(name, "b%u.%u", index, n);
    text(at, "%s.token_mixer.norm.rbr_skip.weight", block);
    if (has(b, at)) {
        text(at, "%s.token_mixer.mixer", block);
        text(out, "%s.mixer", name);
        mobile_one(b, strcpy(y, x), at, c, 1, out);
        text(at, "%s.token_mixer.norm", block);
        text(out, "%s.norm", name);
        mobile_one(b, strcpy(z, x), at, c, 1, out);
        node(b, y, "Sub", y, z, name, "difference", "");
        text(at, "%s.token_mixer", block);
        node(b, y, "Mul", y, keep(b, s, at, ".layer_scale"), name, "mixed_scaled", "");
        node(b, x, "Add", x, y, name, "mixed", "");
    } else {
        text(at, "%s.token_mixer", block);
        text(out, "%s.mixed", name);
        mobile_one(b, x, at, c, 1, out);
    }
    ffn(b, x, block, c, side, ".layer_scale", name);
}

static void downsample(builder *b, char x[NAME], unsigned index, uint64_t groups)
{
    char at[NAME], name[NAME], out[NAME], y[NAME], z[NAME];
    text(at, T "network.%u.proj.0.lkb_reparam", index);
    text(name, "d%u", index);
    text(out, "%s.weight", at);
    if (has(b, out)) {
        text(out, "%s.dw", name);
        conv(b, x, at, groups, 2, out);
    } else {
        text(at, T "network.%u.proj.0.lkb_origin", index);
        text(out, "%s.large", name);
        conv_bn(b, strcpy(y, x), at, groups, 2, out);
        text(at, T "network.%u.proj.0.small_conv", index);
        text(out, "%s.small", name);
        conv_bn(b, strcpy(z, x), at, groups, 2, out);
        node(b, x, "Add", y, z, name, "dw", "");
    }
    text(out, "%s.dw", name);
    text(at, T "network.%u.proj.1", index);
    gelu(b, x, out, at, ".reparam_conv.weight");
    text(out, "%s.pw", name);
    mobile_one(b, x, at, 1, 1, out);
    text(at, T "network.%u", index + 1);
    gelu(b, x, out, at, ".reparam_conv.weight");
}

static void layer_norm(builder *b, char x[NAME], const char *block, const char *name)
{
    const test_tensor *w = tensor(b, block, ".norm.weight"), *s = tensor(b, block, ".norm.bias");
    const bool operator= b->style->norm == NORM_OPERATOR;
    char dims[NAME], d[NAME], v[NAME], inputs[NAME];
    text(dims, operator? "%u" : "%u,1,1", (unsigned)w->dims[0]);
    store(b, w, w->name, dims, false, 0, (size_t)w->dims[0]);
    store(b, s, s->name, dims, false, 0, (size_t)w->dims[0]);
    if (operator) {
        node(b, x, "Transpose", x, NULL, name, "to_last", "perm=[0,2,3,1]");
        text(inputs, "%s,%s,%s", x, w->name, s->name);
        text(d, "%s.norm", name);
        put(b, "LayerNormalization", inputs, d, "axis=-1 epsilon=1e-5");
        node(b, x, "Transpose", d, NULL, name, "normed", "perm=[0,3,1,2]");
        return;
    }
    reduce_mean(b, v, x, true, name, "mean");
    node(b, d, "Sub", x, v, name, "centred", "");
    if (b->style->norm == NORM_POW)
        node(b, v, "Pow", d, "two", name, "squares", "");
    else
        node(b, v, "Mul", d, d, name, "squares", "");
    reduce_mean(b, v, v, true, name, "variance");
    node(b, v, "Add", v, "eps", name, "with_eps", "");
    if (b->style->norm == NORM_POWER_HALF)
        node(b, v, "Pow", v, "minus_half", name, "root", "");
    else
        node(b, v, "Sqrt", v, NULL, name, "root", "");
    if (b->style->norm == NORM_MUL) node(b, v, "Reciprocal", v, NULL, name, "inverse", "");
    node(b, x, b->style->norm == NORM_POW ? "Div" : "Mul", d, v, name, "normalized", "");
    node(b, x, "Mul", x, w->name, name, "gain", "");
    node(b, x, "Add", x, s->name, name, "normed", "");
}

/* ---- attention: x is [1, N, C], 64 channels, 2 heads ---- */

static void split_heads(builder *b, char x[NAME], const char *name, const char *which, bool keys)
{
    char suffix[NAME];
    text(suffix, "%s.heads", which);
    reshape(b, x, name, suffix, "1,16,2,32");
    node(b, x, "Transpose", x, NULL, name, which, keys ? "perm=[0,2,3,1]" : "perm=[0,2,1,3]");
}

/* q, k and v, [1, 2, 16, 32] each, k transposed; or for the operator [1, 16, 64]. */
static void packed_qkv(builder *b, const char *x, const char *block, char q[3][NAME], const char *name)
{
    static const char *const which[] = {"q", "k", "v"}, *const from[] = {"s0", "s64", "s128"},
                             *const to[] = {"s64", "s128", "s192"}, *const index[] = {"i0", "i1", "i2"};
    char at[NAME], y[NAME], out[NAME], inputs[NAME];
    text(at, "%s.token_mixer.qkv", block);
    text(out, "%s.qkv", name);
    linear(b, strcpy(y, x), at, 4, true, out);
    const bool heads = b->style->qkv != QKV_SLICE && b->style->qkv != QKV_MULTI_HEAD;
    if (heads) {
        reshape(b, y, name, "qkv.heads", "1,16,3,2,32");
        node(b, y, "Transpose", y, NULL, name, "qkv.turned", "perm=[2,0,3,1,4]");
    }
    if (b->style->qkv == QKV_SPLIT)
        onnx_node(&b->m, "Split", y, "b5.0.q3,b5.0.k3,b5.0.v3",
                  opset(b->style) < 18 ? "axis=0" : "axis=0 num_outputs=3");
    for (unsigned i = 0; i < 3; i++) {
        if (b->style->qkv == QKV_SPLIT) {
            text(out, "%s.%s3", name, which[i]);
            text(q[i], "%s", out);
            reshape(b, q[i], name, which[i], "1,2,16,32");
        } else if (heads) {
            node(b, q[i], "Gather", y, index[i], name, which[i], "axis=0");
        } else {
            text(inputs, "%s,%s,%s,axis2", y, from[i], to[i]);
            text(q[i], "%s.%s.rows", name, which[i]);
            put(b, "Slice", inputs, q[i], "");
            if (b->style->qkv == QKV_SLICE) split_heads(b, q[i], name, which[i], i == 1);
        }
        if (heads && i == 1 && b->style->qkv != QKV_ATTENTION)
            node(b, q[i], "Transpose", q[i], NULL, name, "k.turned", "perm=[0,1,3,2]");
    }
}

static void qkv_apart(builder *b, const char *x, const char *block, char q[3][NAME], const char *name)
{
    static const char *const which[] = {"q", "k", "v"};
    const test_tensor *t = tensor(b, block, ".token_mixer.qkv.weight");
    for (unsigned i = 0; i < 3; i++) {
        char w[NAME], suffix[NAME];
        text(w, "%s.%s", t->name, which[i]);
        store(b, t, w, "64,64", true, 64 * i, 64);
        text(suffix, "%s.rows", which[i]);
        node(b, q[i], "MatMul", x, w, name, suffix, "");
        split_heads(b, q[i], name, which[i], i == 1);
    }
}

/* x is [1, 64, 4, 4]. */
static void qkv_conv(builder *b, const char *x, const char *block, char q[3][NAME], const char *name)
{
    static const char *const which[] = {"q", "k", "v"}, *const index[] = {"i0", "i1", "i2"};
    const test_tensor *t = tensor(b, block, ".token_mixer.qkv.weight");
    char y[NAME];
    store(b, t, t->name, "192,64,1,1", false, 0, 192);
    node(b, y, "Conv", x, t->name, name, "qkv", "kernel_shape=[1,1]");
    reshape(b, y, name, "qkv.heads", "1,3,2,32,16");
    for (unsigned i = 0; i < 3; i++) {
        node(b, q[i], "Gather", y, index[i], name, which[i], "axis=1");
        if (i != 1) node(b, q[i], "Transpose", q[i], NULL, name, i ? "v.turned" : "q.turned", "perm=[0,1,3,2]");
    }
}

static void spelled_attention(builder *b, char x[NAME], char q[3][NAME], const char *name)
{
    char s[NAME];
    const tower_scale scale = b->style->scale;
    if (scale == SCALE_Q) node(b, q[0], "Mul", q[0], "scale", name, "q.scaled", "");
    for (unsigned i = 0; scale == SCALE_BOTH && i < 2; i++)
        node(b, q[i], "Mul", q[i], "root_scale", name, i ? "k.scaled" : "q.scaled", "");
    node(b, s, "MatMul", q[0], q[1], name, "scores", "");
    if (scale == SCALE_SCORES) node(b, s, "Div", s, "root32", name, "scores.scaled", "");
    node(b, s, "Softmax", s, NULL, name, "weights", "axis=-1");
    node(b, x, "MatMul", s, q[2], name, "attended", "");
    node(b, x, "Transpose", x, NULL, name, "attended.turned", "perm=[0,2,1,3]");
    reshape(b, x, name, "attended.flat", "1,16,64");
}

static void attention(builder *b, char x[NAME], unsigned index)
{
    char block[NAME], name[NAME], y[NAME], q[3][NAME], at[NAME], out[NAME], inputs[NAME];
    const tower_qkv kind = b->style->qkv;
    text(block, T "network.%u.0", index);
    text(name, "b%u.0", index);
    layer_norm(b, strcpy(y, x), block, name);
    if (kind == QKV_CONV) {
        qkv_conv(b, y, block, q, name);
    } else {
        reshape(b, y, name, "tokens.flat", "1,64,16");
        node(b, y, "Transpose", y, NULL, name, "tokens", "perm=[0,2,1]");
    }
    if (kind == QKV_OWN_LAYER) {
        const test_tensor *t = tensor(b, block, ".token_mixer.qkv.weight");
        store(b, t, t->name, "64,192", true, 0, 192);
        node(b, y, "com.microsoft:Attention", y, t->name, name, "attended", "num_heads=2");
    } else if (kind == QKV_MULTI_HEAD) {
        packed_qkv(b, y, block, q, name);
        text(inputs, "%s,%s,%s", q[0], q[1], q[2]);
        text(out, "%s.attended", name);
        put(b, "com.microsoft:MultiHeadAttention", inputs, out, "num_heads=2");
        strcpy(y, out);
    } else if (kind == QKV_ATTENTION) {
        packed_qkv(b, y, block, q, name);
        text(inputs, "%s,%s,%s", q[0], q[1], q[2]);
        text(out, "%s.attended", name);
        put(b, "Attention", inputs, out, "");
        node(b, y, "Transpose", out, NULL, name, "attended.turned", "perm=[0,2,1,3]");
        reshape(b, y, name, "attended.flat", "1,16,64");
    } else {
        if (kind == QKV_APART)
            qkv_apart(b, y, block, q, name);
        else if (kind != QKV_CONV)
            packed_qkv(b, y, block, q, name);
        spelled_attention(b, y, q, name);
    }
    text(at, "%s.token_mixer.proj", block);
    text(out, "%s.proj", name);
    linear(b, y, at, 4, true, out);
    node(b, y, "Transpose", y, NULL, name, "proj.turned", "perm=[0,2,1]");
    reshape(b, y, name, "proj.map", "1,64,4,4");
    text(out, "%s.attention", name);
    add_scaled(b, x, y, block, ".layer_scale_1", out);
    ffn(b, x, block, 64, 4, ".layer_scale_2", name);
}

static void final(builder *b, char x[NAME])
{
    char g[NAME];
    mobile_one(b, x, T "conv_exp", 64, 1, "exp");
    if (b->style->pool == POOL_AVERAGE)
        node(b, g, "AveragePool", x, NULL, "exp", "pool", "kernel_shape=[4,4] strides=[4,4]");
    else if (b->style->pool == POOL_GLOBAL)
        node(b, g, "GlobalAveragePool", x, NULL, "exp", "pool", "");
    else
        reduce_mean(b, g, x, false, "exp", "pool");
    const tower_style conv_style = {.linear = LINEAR_CONV}, *style = b->style;
    tower_style se = *style;
    se.linear = conv_style.linear;
    b->style = &se;
    linear(b, g, T "conv_exp.se.reduce", 1, false, "exp.reduce");
    node(b, g, "Relu", g, NULL, "exp", "relu", "");
    linear(b, g, T "conv_exp.se.expand", 1, false, "exp.expand");
    b->style = style;
    node(b, g, "Sigmoid", g, NULL, "exp", "gate", "");
    node(b, x, "Mul", x, g, "exp", "gated", "");
    const bool projector = !style->map_output && !style->without_projector;
    gelu(b, x, "exp.gated", projector ? "model.mm_projector.0" : "", ".weight");
}

onnx_model onnx_tower(const test_checkpoint *c, const tower_style *style)
{
    builder b = {.m = onnx_model_of(10, opset(style)), .c = c, .style = style};
    char x[NAME] = "pixel_values";
    const char *picture = style->input ? style->input : style->dynamic ? "batch,3,height,width" : "1,3,64,64";
    onnx_input(&b.m, x, FVLM_ONNX_F32, picture);
    scalars(&b);
    mobile_one(&b, x, T "patch_embed.0", 1, 2, "stem.0");
    gelu(&b, x, "stem.0", T "patch_embed.1", ".reparam_conv.weight");
    mobile_one(&b, x, T "patch_embed.1", 16, 2, "stem.1");
    gelu(&b, x, "stem.1", T "patch_embed.2", ".reparam_conv.weight");
    mobile_one(&b, x, T "patch_embed.2", 1, 1, "stem.2");
    gelu(&b, x, "stem.2", T "network.0.0.token_mixer", ".reparam_conv.weight");
    repmixer(&b, x, 0, 0, 16, 16);
    repmixer(&b, x, 0, 1, 16, 16);
    downsample(&b, x, 1, 16);
    if (has(&b, T "network.2.pe.weight")) {
        char y[NAME];
        conv(&b, strcpy(y, x), T "network.2.pe", 32, 1, "pos.conv");
        node(&b, x, "Add", y, x, "pos", "", "");
    } else {
        conv(&b, x, T "network.2.reparam_conv", 32, 1, "pos");
    }
    repmixer(&b, x, 3, 0, 32, 8);
    downsample(&b, x, 4, 32);
    attention(&b, x, 5);
    final(&b, x);
    if (style->pooled) {
        onnx_node(&b.m, "GlobalAveragePool", x, "pooled", "");
        onnx_output(&b.m, "pooled", FVLM_ONNX_F32, NULL);
    }
    if (!style->map_output) {
        reshape(&b, x, "tokens", "flat", "1,128,16");
        node(&b, x, "Transpose", x, NULL, "tokens", "", "perm=[0,2,1]");
        if (!style->without_projector) {
            linear(&b, x, "model.mm_projector.0", 4, true, "projector.0");
            gelu(&b, x, "projector.0", "model.mm_projector.2", ".weight");
            linear(&b, x, "model.mm_projector.2", 4, true, "projector.2");
        }
    }
    put(&b, "Identity", x, "image_features", "");
    onnx_output(&b.m, "image_features", FVLM_ONNX_F32, NULL);
    return b.m;
}
