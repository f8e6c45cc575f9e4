/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_vision.c - see onnx_networks.h: FastViTHD as format/SPEC.md, section 6, has it, and the projector. Maps are
 * [batch, channels, height, width]; attention and projector work on tokens, [batch, height * width, channels]. */
#include <stdio.h>

#include "convert/export/onnx_networks.h"

/* Layers of one block or stage, whose modules are named PREFIX.LAYER. */
typedef struct {
    const fvlm_onnx_builder *b;
    fvlm_onnx_graph *g;
    uint64_t channels; /* of the last layer's output */
    char prefix[64];
} tower;

static const char *path(const tower *t, const char *layer)
{
    return fvlm_onnx_path(t->b, t->prefix, layer);
}

static const char *call(const tower *t, const char *op, const char *layer, const char *x, const char *y)
{
    return fvlm_onnx_node(t->g, &(fvlm_onnx_call){.op = op, .name = path(t, layer), .in = {x, y}});
}

static const char *transpose(const tower *t, const char *layer, const char *x, size_t n, const int64_t *order)
{
    return fvlm_onnx_node(t->g, &(fvlm_onnx_call){.op = "Transpose",
                                                  .name = path(t, layer),
                                                  .in = {x},
                                                  .attr = {{.name = "perm", .ints = order, .n = n}}});
}

static const char *reshape(const tower *t, const char *layer, const char *x, size_t n, const int64_t *to)
{
    return call(t, "Reshape", layer, x,
                fvlm_onnx_ints(t->g, fvlm_onnx_text(t->g, "%s/shape", path(t, layer)), 1, n, to));
}

static const char *convolve(tower *t, const char *layer, const char *x, uint32_t stride)
{
    const char *module = fvlm_onnx_text(t->g, "%s.%s", t->prefix, layer);
    const fvlm_tensor *w = fvlm_reader_find(t->b->r, fvlm_onnx_text(t->g, "%s.weight", module));
    const fvlm_onnx_conv conv = {.module = module, .stride = stride, .channels = t->channels};
    if (t->g->st) return "";
    t->channels = w->dims[0];
    return fvlm_onnx_add_conv(t->b, &conv, x);
}

static const char *convolve_gelu(tower *t, const char *layer, const char *x, uint32_t stride)
{
    x = convolve(t, layer, x, stride);
    return call(t, "Gelu", fvlm_onnx_text(t->g, "%s/Gelu", layer), x, NULL);
}

static const char *stem(tower *t, const char *x)
{
    snprintf(t->prefix, sizeof t->prefix, "vision.stem");
    t->channels = 3;
    x = convolve_gelu(t, "0", x, 2);
    x = convolve_gelu(t, "1", x, 2);
    return convolve_gelu(t, "2", x, 1);
}

static const char *tokens_of(const tower *t, const char *layer, const char *x)
{
    static const int64_t order[] = {0, 2, 1};
    const int64_t flat[] = {0, (int64_t)t->channels, -1};
    x = reshape(t, fvlm_onnx_text(t->g, "%s/Reshape", layer), x, 3, flat);
    return transpose(t, fvlm_onnx_text(t->g, "%s/Transpose", layer), x, 3, order);
}

/* softmax(q k^T) v of qkv, [batch, tokens, 3 * channels]; the scale is in the weights of q. */
static const char *attend(const tower *t, const char *qkv, int64_t heads, int64_t dim)
{
    static const int64_t apart[] = {2, 0, 3, 1, 4}, turned[] = {0, 1, 3, 2}, together[] = {0, 2, 1, 3}, first[] = {0};
    const int64_t split[] = {0, 0, 3, heads, dim}, joined[] = {0, 0, heads * dim};
    const char *x = reshape(t, "attn/heads/Reshape", qkv, 5, split), *part[3];
    x = transpose(t, "attn/heads/Transpose", x, 5, apart);
    fvlm_onnx_call c = {.op = "Split", .name = path(t, "attn/Split"), .in = {x}};
    for (int i = 0; i < 3; i++) c.out[i] = fvlm_onnx_text(t->g, "%s_output_%d", c.name, i);
    c.attr[0] = (fvlm_onnx_attr){.name = "axis", .i = 0};
    c.attr[1] = (fvlm_onnx_attr){.name = "num_outputs", .i = 3};
    fvlm_onnx_node(t->g, &c);
    const char *axis = fvlm_onnx_ints(t->g, "axes.0", 1, 1, first);
    for (int i = 0; i < 3; i++)
        part[i] = call(t, "Squeeze", fvlm_onnx_text(t->g, "attn/Squeeze_%d", i), c.out[i], axis);
    x = call(t, "MatMul", "attn/scores/MatMul", part[0], transpose(t, "attn/k/Transpose", part[1], 4, turned));
    x = fvlm_onnx_node(
        t->g, &(fvlm_onnx_call){
                  .op = "Softmax", .name = path(t, "attn/Softmax"), .in = {x}, .attr = {{.name = "axis", .i = -1}}});
    x = call(t, "MatMul", "attn/MatMul", x, part[2]);
    x = transpose(t, "attn/Transpose", x, 4, together);
    return reshape(t, "attn/Reshape", x, 3, joined);
}

/* x + proj(attention(qkv(norm(x)))). The norm's own scale and shift are in the weights. */
static const char *attention(const tower *t, const fvlm_config *config, const fvlm_stage *s, const char *map)
{
    static const int64_t order[] = {0, 2, 1};
    const char *x = tokens_of(t, "norm", map);
    fvlm_onnx_call norm = {.op = "LayerNormalization", .name = path(t, "norm/LayerNormalization"), .in = {x}};
    norm.in[1] = fvlm_onnx_ones(t->g, fvlm_onnx_text(t->g, "ones.%u", s->dim), s->dim);
    norm.attr[0] = (fvlm_onnx_attr){.name = "axis", .i = -1};
    norm.attr[1] = (fvlm_onnx_attr){.name = "epsilon", .is_float = true, .f = (float)config->vision.norm_eps};
    x = fvlm_onnx_add_linear(t->b, fvlm_onnx_text(t->g, "%s.attn.qkv", t->prefix), fvlm_onnx_node(t->g, &norm));
    x = attend(t, x, s->heads, config->vision.head_dim);
    x = fvlm_onnx_add_linear(t->b, fvlm_onnx_text(t->g, "%s.attn.proj", t->prefix), x);
    x = transpose(t, "attn/map/Transpose", x, 3, order);
    x = call(t, "Reshape", "attn/map/Reshape", x, call(t, "Shape", "attn/Shape", map, NULL));
    return call(t, "Add", "attn/Add", map, x);
}

static const char *block(tower *t, const fvlm_config *config, const fvlm_stage *s, const char *x)
{
    x = s->mixer == FVLM_ATTENTION ? attention(t, config, s, x) : convolve(t, "mixer", x, 1);
    const char *y = convolve(t, "ffn.dw", x, 1);
    y = convolve_gelu(t, "ffn.fc1", y, 1);
    y = convolve(t, "ffn.fc2", y, 1);
    return call(t, "Add", "ffn/Add", x, y);
}

static const char *stage(tower *t, const fvlm_config *config, unsigned i, const char *x)
{
    const fvlm_stage *s = &config->vision.stage[i];
    snprintf(t->prefix, sizeof t->prefix, "vision.stage%u", i);
    if (i > 0) x = convolve_gelu(t, "downsample.dw", x, 2);
    if (i > 0) x = convolve_gelu(t, "downsample.pw", x, 1);
    if (s->pos) x = convolve(t, "pos", x, 1);
    for (unsigned k = 0; k < s->depth; k++) {
        snprintf(t->prefix, sizeof t->prefix, "vision.stage%u.block%u", i, k);
        x = block(t, config, s, x);
    }
    return x;
}

/* gelu(se(dw(x))) */
static const char * final(tower *t, const char *x)
{
    snprintf(t->prefix, sizeof t->prefix, "vision.final");
    x = convolve(t, "dw", x, 1);
    const char *gate = call(t, "GlobalAveragePool", "se/GlobalAveragePool", x, NULL);
    gate = call(t, "Relu", "se/Relu", convolve(t, "se.reduce", gate, 1), NULL);
    gate = call(t, "Sigmoid", "se/Sigmoid", convolve(t, "se.expand", gate, 1), NULL);
    return call(t, "Gelu", "Gelu", call(t, "Mul", "se/Mul", x, gate), NULL);
}

static const char *project(tower *t, const char *x)
{
    snprintf(t->prefix, sizeof t->prefix, "projector");
    x = fvlm_onnx_add_linear(t->b, "projector.0", x);
    return fvlm_onnx_add_linear(t->b, "projector.2", call(t, "Gelu", "Gelu", x, NULL));
}

void fvlm_onnx_build_vision(const fvlm_onnx_builder *b)
{
    const fvlm_config *c = fvlm_reader_config(b->r);
    const fvlm_onnx_dim pixels[] = {{.symbol = "batch_size"}, {.n = 3}, {.symbol = "height"}, {.symbol = "width"}};
    const fvlm_onnx_dim tokens[] = {
        {.symbol = "batch_size"}, {.symbol = "num_image_tokens"}, {.n = fvlm_config_image_width(c)}};
    tower t = {.b = b, .g = b->g};
    const char *x = stem(&t, fvlm_onnx_input(b->g, "pixel_values", FVLM_OUT_F32, 4, pixels));
    for (unsigned i = 0; i < c->vision.n_stages; i++) x = stage(&t, c, i, x);
    x = tokens_of(&t, "tokens", final(&t, x));
    if (fvlm_config_has_projector(c)) x = project(&t, x);
    snprintf(t.prefix, sizeof t.prefix, "image_features");
    fvlm_onnx_node(
        b->g, &(fvlm_onnx_call){.op = "Identity", .name = path(&t, "Identity"), .in = {x}, .out = {"image_features"}});
    fvlm_onnx_output(b->g, "image_features", FVLM_OUT_F32, 3, tokens);
}
