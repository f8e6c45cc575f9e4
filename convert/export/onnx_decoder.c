/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_decoder.c - see onnx_networks.h: embedding and decoder of the language model. One graph serves prompt and
 * continuation: the caches may be empty. Biases are added where the file has them. */
#include <math.h>
#include <stdio.h>

#include "convert/export/onnx_networks.h"

typedef struct {
    const fvlm_onnx_builder *b;
    fvlm_onnx_graph *g;
    const fvlm_config *config;
    const char *cosines, *sines, *last, *total; /* last, total: lengths as GroupQueryAttention wants them */
    char prefix[64];                            /* of the layer: "llm.layer0" */
} decoder;

static const char *path(const decoder *d, const char *node)
{
    return fvlm_onnx_path(d->b, d->prefix, node);
}

static const char *call(const decoder *d, const char *op, const char *node, const char *x, const char *y)
{
    return fvlm_onnx_node(d->g, &(fvlm_onnx_call){.op = op, .name = path(d, node), .in = {x, y}});
}

static const char *module(const decoder *d, const char *layer)
{
    return fvlm_onnx_text(d->g, "%s.%s", d->prefix, layer);
}

static const char *linear(const decoder *d, const char *layer, const char *x)
{
    return fvlm_onnx_add_linear(d->b, module(d, layer), x);
}

/* RMSNorm: x / sqrt(mean(x^2) + eps) * weight. */
static const char *norm(const decoder *d, const char *layer, const char *x)
{
    static const int64_t last[] = {-1};
    fvlm_onnx_graph *g = d->g;
    const char *at = path(d, layer);
    fvlm_onnx_call c = {.op = "Pow", .name = fvlm_onnx_text(g, "%s/Pow", at), .in = {x, fvlm_onnx_scalar(g, "two", 2)}};
    const char *y = fvlm_onnx_node(g, &c);
    c = (fvlm_onnx_call){.op = "ReduceMean",
                         .name = fvlm_onnx_text(g, "%s/ReduceMean", at),
                         .in = {y, fvlm_onnx_ints(g, "axes.last", 1, 1, last)},
                         .attr = {{.name = "keepdims", .i = 1}}};
    y = fvlm_onnx_node(g, &c);
    const char *eps = fvlm_onnx_scalar(g, "epsilon", (float)d->config->llm.norm_eps);
    y = fvlm_onnx_node(g, &(fvlm_onnx_call){.op = "Add", .name = fvlm_onnx_text(g, "%s/Add", at), .in = {y, eps}});
    y = fvlm_onnx_node(g, &(fvlm_onnx_call){.op = "Sqrt", .name = fvlm_onnx_text(g, "%s/Sqrt", at), .in = {y}});
    y = fvlm_onnx_node(g, &(fvlm_onnx_call){.op = "Div", .name = fvlm_onnx_text(g, "%s/Div", at), .in = {x, y}});
    const char *weight = fvlm_onnx_add_vector(d->b, fvlm_onnx_text(g, "%s.weight", module(d, layer)));
    return fvlm_onnx_node(g,
                          &(fvlm_onnx_call){.op = "Mul", .name = fvlm_onnx_text(g, "%s/Mul", at), .in = {y, weight}});
}

typedef struct {
    const fvlm_config *config; /* outlives the graph */
    bool sine;
} angles;

/* As reference/llm.c: the angle in f32, as transformers computes it, its cosine in f64. */
static bool fill_angles(const void *of, uint64_t first, size_t n, uint8_t *out)
{
    const angles *a = of;
    for (size_t j = 0; j < n; j++) {
        const uint64_t half = a->config->llm.head_dim / 2, position = (first + j) / half;
        const float frequency = fvlm_config_rope_frequency(a->config, (size_t)((first + j) % half));
        const double angle = (double)((float)position * frequency);
        fvlm_store_u32(out + 4 * j, fvlm_f32_bits((float)(a->sine ? sin(angle) : cos(angle))));
    }
    return true;
}

/* Cosines or sines of rotary positions, [positions, head_dim / 2]. */
static const char *add_angles(const decoder *d, const char *name, bool sine)
{
    const fvlm_config *c = d->config;
    const angles a = {.config = c, .sine = sine};
    const fvlm_onnx_contents contents = {.type = FVLM_OUT_F32,
                                         .rank = 2,
                                         .dims = {c->llm.context, c->llm.head_dim / 2},
                                         .fill = fill_angles,
                                         .of = &a,
                                         .of_bytes = sizeof a};
    return fvlm_onnx_initialize(d->g, name, &contents);
}

static const char *rotate(const decoder *d, const char *node, const char *x, uint32_t heads)
{
    fvlm_onnx_call c = {.op = "RotaryEmbedding",
                        .domain = FVLM_ONNX_CONTRIB,
                        .name = path(d, node),
                        .in = {x, "position_ids", d->cosines, d->sines},
                        .attr = {{.name = "interleaved", .i = 0},
                                 {.name = "num_heads", .i = heads},
                                 {.name = "rotary_embedding_dim", .i = d->config->llm.head_dim}}};
    return fvlm_onnx_node(d->g, &c);
}

static const char *attention(const decoder *d, unsigned layer, const char *x)
{
    const uint32_t heads = d->config->llm.heads, kv_heads = d->config->llm.kv_heads;
    fvlm_onnx_graph *g = d->g;
    fvlm_onnx_call c = {
        .op = "GroupQueryAttention", .domain = FVLM_ONNX_CONTRIB, .name = path(d, "attn/GroupQueryAttention")};
    c.in[0] = rotate(d, "attn/q/RotaryEmbedding", linear(d, "attn.q", x), heads);
    c.in[1] = rotate(d, "attn/k/RotaryEmbedding", linear(d, "attn.k", x), kv_heads);
    c.in[2] = linear(d, "attn.v", x);
    c.in[3] = fvlm_onnx_text(g, "past_key_values.%u.key", layer);
    c.in[4] = fvlm_onnx_text(g, "past_key_values.%u.value", layer);
    c.in[5] = d->last;
    c.in[6] = d->total;
    c.out[0] = fvlm_onnx_text(g, "%s_output_0", c.name);
    c.out[1] = fvlm_onnx_text(g, "present.%u.key", layer);
    c.out[2] = fvlm_onnx_text(g, "present.%u.value", layer);
    c.attr[0] = (fvlm_onnx_attr){.name = "num_heads", .i = heads};
    c.attr[1] = (fvlm_onnx_attr){.name = "kv_num_heads", .i = kv_heads};
    return linear(d, "attn.o", fvlm_onnx_node(g, &c));
}

static const char *feed_forward(const decoder *d, const char *x)
{
    const char *gate = linear(d, "ffn.gate", x), *up = linear(d, "ffn.up", x);
    gate = call(d, "Mul", "ffn/act/Mul", gate, call(d, "Sigmoid", "ffn/act/Sigmoid", gate, NULL));
    return linear(d, "ffn.down", call(d, "Mul", "ffn/Mul", gate, up));
}

static const char *cast_int32(const decoder *d, const char *node, const char *x)
{
    return fvlm_onnx_node(
        d->g,
        &(fvlm_onnx_call){.op = "Cast", .name = path(d, node), .in = {x}, .attr = {{.name = "to", .i = FVLM_OUT_I32}}});
}

/* The mask's row sums less one, and its width. */
static void add_lengths(decoder *d)
{
    static const int64_t one[] = {1};
    fvlm_onnx_graph *g = d->g;
    snprintf(d->prefix, sizeof d->prefix, "llm.lengths");
    const char *axis = fvlm_onnx_ints(g, "axes.1", 1, 1, one), *second = fvlm_onnx_ints(g, "index.1", 0, 1, one);
    const char *n = fvlm_onnx_node(g, &(fvlm_onnx_call){.op = "ReduceSum",
                                                        .name = path(d, "ReduceSum"),
                                                        .in = {"attention_mask", axis},
                                                        .attr = {{.name = "keepdims", .i = 0}}});
    d->last = cast_int32(d, "last/Cast", call(d, "Sub", "Sub", n, axis));
    n = call(d, "Gather", "Gather", call(d, "Shape", "Shape", "attention_mask", NULL), second);
    d->total = cast_int32(d, "total/Cast", n);
}

static void add_ports(const decoder *d)
{
    const fvlm_config *c = d->config;
    const fvlm_onnx_dim batch = {.symbol = "batch_size"}, rows = {.symbol = "sequence_length"};
    const fvlm_onnx_dim total = {.symbol = "total_sequence_length"}, past = {.symbol = "past_sequence_length"};
    const fvlm_onnx_dim heads = {.n = c->llm.kv_heads}, dim = {.n = c->llm.head_dim};
    fvlm_onnx_graph *g = d->g;
    fvlm_onnx_input(g, "inputs_embeds", FVLM_OUT_F32, 3, (fvlm_onnx_dim[]){batch, rows, {.n = c->llm.hidden}});
    fvlm_onnx_input(g, "attention_mask", FVLM_OUT_I64, 2, (fvlm_onnx_dim[]){batch, total});
    fvlm_onnx_input(g, "position_ids", FVLM_OUT_I64, 2, (fvlm_onnx_dim[]){batch, rows});
    fvlm_onnx_output(g, "logits", FVLM_OUT_F32, 3, (fvlm_onnx_dim[]){batch, rows, {.n = c->llm.vocab}});
    for (unsigned i = 0; i < 2 * c->llm.layers; i++) {
        const char *what = i % 2 ? "value" : "key";
        fvlm_onnx_input(g, fvlm_onnx_text(g, "past_key_values.%u.%s", i / 2, what), FVLM_OUT_F32, 4,
                        (fvlm_onnx_dim[]){batch, heads, past, dim});
        fvlm_onnx_output(g, fvlm_onnx_text(g, "present.%u.%s", i / 2, what), FVLM_OUT_F32, 4,
                         (fvlm_onnx_dim[]){batch, heads, total, dim});
    }
}

void fvlm_onnx_build_decoder(const fvlm_onnx_builder *b)
{
    decoder d = {.b = b, .g = b->g, .config = fvlm_reader_config(b->r)};
    add_ports(&d);
    add_lengths(&d);
    d.cosines = add_angles(&d, "cos_cache", false);
    d.sines = add_angles(&d, "sin_cache", true);
    const char *x = "inputs_embeds";
    for (unsigned i = 0; i < d.config->llm.layers; i++) {
        snprintf(d.prefix, sizeof d.prefix, "llm.layer%u", i);
        x = call(&d, "Add", "attn/Add", x, attention(&d, i, norm(&d, "attn_norm", x)));
        x = call(&d, "Add", "ffn/Add", x, feed_forward(&d, norm(&d, "ffn_norm", x)));
    }
    snprintf(d.prefix, sizeof d.prefix, "llm");
    x = fvlm_onnx_add_linear(b, d.config->llm.tied ? "llm.embed" : "llm.head", norm(&d, "norm", x));
    fvlm_onnx_node(
        b->g, &(fvlm_onnx_call){.op = "Identity", .name = path(&d, "logits/Identity"), .in = {x}, .out = {"logits"}});
}

void fvlm_onnx_build_embedding(const fvlm_onnx_builder *b)
{
    const fvlm_config *c = fvlm_reader_config(b->r);
    const fvlm_onnx_dim ids[] = {{.symbol = "batch_size"}, {.symbol = "sequence_length"}};
    const fvlm_onnx_dim rows[] = {ids[0], ids[1], {.n = c->llm.hidden}};
    fvlm_onnx_input(b->g, "input_ids", FVLM_OUT_I64, 2, ids);
    fvlm_onnx_add_embedding(b, "llm.embed", "input_ids", "inputs_embeds");
    fvlm_onnx_output(b->g, "inputs_embeds", FVLM_OUT_F32, 3, rows);
}
