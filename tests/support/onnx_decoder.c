/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_decoder.c - see onnx_decoder.h. Templates: '#' is the layer's number, '@' the name that is
 * built around, '!' the number of heads, '?' that of keys. */
#include "tests/support/onnx_decoder.h"

#include <math.h>

#include "format/base/grow.h"
#include "tests/support/check.h"
#include "tests/support/onnx_build.h"

/* Of the decoder that is being made. */
static struct {
    unsigned layers, hidden, heads, kv, dim, ffn, vocab, table;
} size;

static char *copied(const char *s)
{
    char *c = fvlm_strdup(s);
    assert_non_null(c);
    return c;
}

/* A template with the layer and a name, which may have a '#', too. */
static char *filled(const char *s, int layer, const char *name)
{
    char text[1024];
    size_t n = 0;
    for (; *s && n + 128 < sizeof text; s++) {
        if (*s == '#') {
            n += (size_t)snprintf(text + n, sizeof text - n, "%d", layer);
        } else if (*s == '!' || *s == '?') {
            n += (size_t)snprintf(text + n, sizeof text - n, "%u", *s == '!' ? size.heads : size.kv);
        } else if (*s == '@') {
            char *inner = filled(name, layer, "");
            n += (size_t)snprintf(text + n, sizeof text - n, "%s", inner);
            free(inner);
        } else {
            text[n++] = *s;
        }
    }
    text[n] = 0;
    return copied(text);
}

/* y: what '@' stands for. */
static void add_at(decoder_graph *g, int layer, const char *y, const decoder_node *n)
{
    assert_true(fvlm_grow(&g->nodes, &g->node_capacity, g->n_nodes + 1, sizeof *g->nodes));
    g->nodes[g->n_nodes++] = (decoder_node){filled(n->op, layer, y), filled(n->inputs, layer, y),
                                            filled(n->outputs, layer, y), filled(n->attrs, layer, y)};
}

static void add(decoder_graph *g, int layer, const char *op, const char *inputs, const char *outputs, const char *attrs)
{
    const decoder_node n = {(char *)op, (char *)inputs, (char *)outputs, (char *)attrs};
    add_at(g, layer, "", &n);
}

static decoder_constant *constant(decoder_graph *g, const char *name, const char *shape)
{
    size_t i = 0;
    while (i < g->n_constants && strcmp(g->constants[i].name, name) != 0) i++;
    assert_true(fvlm_grow(&g->constants, &g->constant_capacity, i + 1, sizeof *g->constants));
    decoder_constant *c = &g->constants[i];
    if (i < g->n_constants) {
        free(c->name);
        free(c->shape);
        free(c->floats);
        free(c->ints);
    } else {
        g->n_constants++;
    }
    *c = (decoder_constant){copied(name), copied(shape), NULL, NULL};
    return c;
}

void decoder_graph_floats(decoder_graph *g, const char *name, const char *shape, const float *v)
{
    const size_t n = onnx_count(shape);
    decoder_constant *c = constant(g, name, shape);
    c->floats = fvlm_alloc(n, sizeof *v);
    assert_non_null(c->floats);
    memcpy(c->floats, v, n * sizeof *v);
}

void decoder_graph_ints(decoder_graph *g, const char *name, const char *shape, const int64_t *v)
{
    const size_t n = onnx_count(shape);
    decoder_constant *c = constant(g, name, shape);
    c->ints = fvlm_alloc(n ? n : 1, sizeof *v);
    assert_non_null(c->ints);
    memcpy(c->ints, v, n * sizeof *v);
}

float *decoder_graph_weight(decoder_graph *g, const char *name)
{
    for (size_t i = 0; i < g->n_constants; i++)
        if (!strcmp(g->constants[i].name, name) && g->constants[i].floats) return g->constants[i].floats;
    fail_msg("no weight %s", name);
    return NULL;
}

static void scalar(decoder_graph *g, const char *name, float x)
{
    decoder_graph_floats(g, name, "", &x);
}

static void ints(decoder_graph *g, const char *name, const char *shape, int64_t a, int64_t b, int64_t c, int64_t d)
{
    const int64_t v[] = {a, b, c, d, size.dim};
    decoder_graph_ints(g, name, shape, v);
}

static void weight(decoder_graph *g, int layer, const char *name, unsigned rows, unsigned columns)
{
    char shape[32];
    char *full = filled(name, layer, "");
    float *v = fvlm_alloc((size_t)rows * (columns ? columns : 1), sizeof *v);
    assert_non_null(v);
    uint32_t seed = (uint32_t)strlen(full) * 977 + (uint32_t)layer;
    for (const char *s = full; *s; s++) seed = seed * 31 + (uint8_t)*s;
    for (size_t i = 0; i < (size_t)rows * (columns ? columns : 1); i++) {
        seed = seed * 1664525 + 1013904223;
        v[i] = (float)(seed >> 8) / (1 << 24) - 0.5F;
    }
    snprintf(shape, sizeof shape, columns ? "%u,%u" : "%u", rows, columns);
    decoder_graph_floats(g, full, shape, v);
    free(full);
    free(v);
}

/* ---- parts ---- */

static void add_norm(decoder_graph *g, const decoder_style *s, int layer, const char *x, const char *y)
{
    static const decoder_node spelled[] = {{"ReduceMean", "@.square", "@.mean", "axes=[-1] keepdims=1"},
                                           {"Add", "@.mean,eps", "@.plus", ""},
                                           {"Sqrt", "@.plus", "@.root", ""},
                                           {"Reciprocal", "@.root", "@.inverse", ""}};
    const bool div = s->norm == DECODER_NORM_DIV;
    char in[96], out[64];
    snprintf(out, sizeof out, "%s.weight", y);
    weight(g, layer, out, size.hidden, 0);
    if (s->norm == DECODER_NORM_SIMPLE || s->norm == DECODER_NORM_SKIP) {
        snprintf(in, sizeof in, "%s,%s.weight", x, y);
        add(g, layer, "SimplifiedLayerNormalization", in, y, "axis=-1 epsilon=1e-6");
        return;
    }
    snprintf(in, sizeof in, "%s,%s", x, div ? x : "two");
    snprintf(out, sizeof out, "%s.square", y);
    add(g, layer, div ? "Mul" : "Pow", in, out, "");
    for (int i = 0; i < (div ? 3 : 4); i++) add_at(g, layer, y, &spelled[i]);
    snprintf(in, sizeof in, "%s,@.%s", x, div ? "root" : "inverse");
    const decoder_node last[] = {{div ? "Div" : "Mul", in, "@.unit", ""},
                                 {"Mul", div ? "@.unit,@.weight" : "@.weight,@.unit", "@", ""}};
    for (int i = 0; i < 2; i++) add_at(g, layer, y, &last[i]);
}

/* y = x W + b. */
static void add_linear(decoder_graph *g, const decoder_style *s, int layer, const char *x, const char *y, unsigned in,
                       unsigned out, bool biased)
{
    char a[96], b[96];
    snprintf(a, sizeof a, "%s.weight", y);
    if (s->gemm)
        weight(g, layer, a, out, in);
    else
        weight(g, layer, a, in, out);
    snprintf(a, sizeof a, "%s.bias", y);
    if (biased) weight(g, layer, a, out, 0);
    if (s->gemm) {
        char flat[32], shape[32];
        snprintf(flat, sizeof flat, "flat%u", in);
        snprintf(shape, sizeof shape, "unflat%u", out);
        ints(g, flat, "2", -1, in, 0, 0);
        ints(g, shape, "3", 1, -1, out, 0);
        snprintf(a, sizeof a, "%s,%s", x, flat);
        snprintf(b, sizeof b, "%s.flat", y);
        add(g, layer, "Reshape", a, b, "");
        snprintf(a, sizeof a, biased ? "%s.flat,%s.weight,%s.bias" : "%s.flat,%s.weight", y, y, y);
        snprintf(b, sizeof b, "%s.gemm", y);
        add(g, layer, "Gemm", a, b, "transB=1");
        snprintf(a, sizeof a, "%s.gemm,%s", y, shape);
        add(g, layer, "Reshape", a, y, "");
        return;
    }
    snprintf(a, sizeof a, "%s,%s.weight", x, y);
    snprintf(b, sizeof b, biased ? "%s.product" : "%s", y);
    add(g, layer, "MatMul", a, b, "");
    snprintf(a, sizeof a, "%s.product,%s.bias", y, y);
    if (biased) add(g, layer, "Add", a, y, "");
}

/* Cosines and sines of the positions, and the mask. */
static void add_frame(decoder_graph *g)
{
    float inv[8], *cosines = fvlm_alloc(size.table * size.dim / 2, sizeof *cosines),
                  *sines = fvlm_alloc(size.table * size.dim / 2, sizeof *sines);
    assert_non_null(cosines);
    assert_non_null(sines);
    for (unsigned i = 0; i < size.dim / 2; i++) {
        const double f = pow(1e6, -2.0 * i / size.dim);
        inv[i] = (float)f;
        for (unsigned p = 0; p < size.table; p++) {
            cosines[p * size.dim / 2 + i] = (float)cos(p * f);
            sines[p * size.dim / 2 + i] = (float)sin(p * f);
        }
    }
    char shape[32];
    snprintf(shape, sizeof shape, "%u,%u", size.table, size.dim / 2);
    decoder_graph_floats(g, "inv_freq", strchr(shape, ',') + 1, inv);
    decoder_graph_floats(g, "cos_cache", shape, cosines);
    decoder_graph_floats(g, "sin_cache", shape, sines);
    free(cosines);
    free(sines);
    ints(g, "zero", "", 0, 0, 0, 0);
    ints(g, "one", "", 1, 0, 0, 0);
    ints(g, "axis0", "1", 0, 0, 0, 0);
    ints(g, "axis1", "1", 1, 0, 0, 0);
    ints(g, "axis2", "1", 2, 0, 0, 0);
    scalar(g, "two", 2);
    scalar(g, "eps", 1e-6F);
    scalar(g, "nothing", 0);
    scalar(g, "minus", -INFINITY);
    add(g, 0, "Unsqueeze", "position_ids,axis2", "columns", "");
    add(g, 0, "Cast", "columns", "floats", "to=1");
    add(g, 0, "Mul", "floats,inv_freq", "angles", "");
    add(g, 0, "Concat", "angles,angles", "twice", "axis=-1");
    add(g, 0, "Cos", "twice", "cos3", "");
    add(g, 0, "Sin", "twice", "sin3", "");
    add(g, 0, "Unsqueeze", "cos3,axis1", "cos", "");
    add(g, 0, "Unsqueeze", "sin3,axis1", "sin", "");
    add(g, 0, "Shape", "attention_mask", "shape", "");
    add(g, 0, "Gather", "shape,one", "total", "");
    add(g, 0, "Range", "zero,total,one", "keys", "");
    add(g, 0, "Unsqueeze", "columns,axis1", "queries", "");
    add(g, 0, "LessOrEqual", "keys,queries", "seen", "");
    add(g, 0, "Where", "seen,nothing,minus", "mask", "");
    add(g, 0, "Cast", "total", "total32", "to=6");
    add(g, 0, "Sub", "total,one", "last64", "");
    add(g, 0, "Cast", "last64", "last1", "to=6");
    add(g, 0, "Unsqueeze", "last1,axis0", "last", "");
}

static void add_rotated(decoder_graph *g, int layer, const char *q)
{
    static const decoder_node spelled[] = {{"Mul", "@.heads,cos", "@.cos", ""},
                                           {"Slice", "@.heads,axis0,half,axis3", "@.low", ""},
                                           {"Slice", "@.heads,half,end,axis3", "@.high", ""},
                                           {"Neg", "@.high", "@.neg", ""},
                                           {"Concat", "@.neg,@.low", "@.turned", "axis=-1"},
                                           {"Mul", "@.turned,sin", "@.sin", ""},
                                           {"Add", "@.cos,@.sin", "@.rotated", ""}};
    ints(g, "half", "1", size.dim / 2, 0, 0, 0);
    ints(g, "end", "1", INT64_MAX, 0, 0, 0);
    ints(g, "axis3", "1", 3, 0, 0, 0);
    for (size_t i = 0; i < sizeof spelled / sizeof spelled[0]; i++) add_at(g, layer, q, &spelled[i]);
}

static void add_heads(decoder_graph *g, int layer, const char *q, unsigned heads)
{
    char in[64], out[64];
    ints(g, heads == size.heads ? "heads_q" : "heads_kv", "4", 1, -1, heads, size.dim);
    snprintf(in, sizeof in, "%s,%s", q, heads == size.heads ? "heads_q" : "heads_kv");
    snprintf(out, sizeof out, "%s.split", q);
    add(g, layer, "Reshape", in, out, "");
    add_at(g, layer, q, &(decoder_node){"Transpose", "@.split", "@.heads", "perm=[0,2,1,3]"});
}

/* All positions of k or v, repeated for the heads of the queries. */
static void add_repeated(decoder_graph *g, const decoder_style *s, int layer, const char *k, const char *from,
                         const char *cache)
{
    static const decoder_node spelled[] = {{"Unsqueeze", "@.all,axis2", "@.five", ""},
                                           {"Expand", "@.five,groups", "@.wide", ""},
                                           {"Reshape", "@.wide,joined", "@.repeated", ""}};
    char in[96], out[64];
    decoder_graph_ints(g, "groups", "5", (int64_t[]){1, 1, size.heads / size.kv, 1, 1});
    ints(g, "joined", "4", 1, size.heads, -1, size.dim);
    snprintf(in, sizeof in, "%s%s%s", s->no_cache ? "" : cache, s->no_cache ? "" : ",", from);
    snprintf(out, sizeof out, "%s.all", k);
    add(g, layer, s->no_cache ? "Identity" : "Concat", in, out, s->no_cache ? "" : "axis=2");
    for (size_t i = 0; i < sizeof spelled / sizeof spelled[0]; i++) add_at(g, layer, k, &spelled[i]);
}

static void add_spelled_core(decoder_graph *g, const decoder_style *s, int layer)
{
    const bool onnx = s->core == DECODER_CORE_ONNX;
    add_heads(g, layer, "l#.q", size.heads);
    add_heads(g, layer, "l#.k", size.kv);
    add_heads(g, layer, "l#.v", size.kv);
    add_rotated(g, layer, "l#.q");
    add_rotated(g, layer, "l#.k");
    if (onnx) {
        add(g, layer, "Attention",
            s->no_cache ? "l#.q.rotated,l#.k.rotated,l#.v.heads"
                        : "l#.q.rotated,l#.k.rotated,l#.v.heads,mask,past_key_values.#.key,past_key_values.#.value",
            "l#.mixed", s->no_cache ? "is_causal=1" : "");
    } else {
        add_repeated(g, s, layer, "l#.k", "l#.k.rotated", "past_key_values.#.key");
        add_repeated(g, s, layer, "l#.v", "l#.v.heads", "past_key_values.#.value");
        scalar(g, "root", sqrtf((float)size.dim));
        add(g, layer, "Transpose", "l#.k.repeated", "l#.k.t", "perm=[0,1,3,2]");
        add(g, layer, "MatMul", "l#.q.rotated,l#.k.t", "l#.scores", "");
        add(g, layer, "Div", "l#.scores,root", "l#.scaled", "");
        add(g, layer, "Add", "l#.scaled,mask", "l#.masked", "");
        add(g, layer, "Softmax", "l#.masked", "l#.probs", "axis=-1");
        add(g, layer, "MatMul", "l#.probs,l#.v.repeated", "l#.mixed", "");
    }
    ints(g, "flat_heads", "3", 1, -1, size.hidden, 0);
    add(g, layer, "Transpose", "l#.mixed", "l#.mixed.t", "perm=[0,2,1,3]");
    add(g, layer, "Reshape", "l#.mixed.t,flat_heads", "l#.attention", "");
}

static void add_attention(decoder_graph *g, const decoder_style *s, int layer)
{
    const unsigned kv = size.kv * size.dim;
    const char *caches = s->no_cache ? ",," : ",past_key_values.#.key,past_key_values.#.value";
    char in[256];
    if (s->core == DECODER_CORE_GROUPED) {
        add_linear(g, s, layer, "l#.n1", "l#.qkv", size.hidden, size.hidden + 2 * kv, !s->no_bias);
        snprintf(in, sizeof in, "l#.qkv,,%s,last,total32,cos_cache,sin_cache", caches);
        add(g, layer, "com.microsoft:GroupQueryAttention", in, "l#.attention",
            "num_heads=! kv_num_heads=? do_rotary=1");
        return;
    }
    add_linear(g, s, layer, "l#.n1", "l#.q", size.hidden, size.hidden, !s->no_bias);
    add_linear(g, s, layer, "l#.n1", "l#.k", size.hidden, kv, !s->no_bias);
    add_linear(g, s, layer, "l#.n1", "l#.v", size.hidden, kv, !s->no_bias);
    if (s->core == DECODER_CORE_ROTARY) {
        add(g, layer, "com.microsoft:RotaryEmbedding", "l#.q,position_ids,cos_cache,sin_cache", "l#.q.rotated",
            "num_heads=!");
        add(g, layer, "com.microsoft:RotaryEmbedding", "l#.k,position_ids,cos_cache,sin_cache", "l#.k.rotated",
            "num_heads=?");
        snprintf(in, sizeof in, "l#.q.rotated,l#.k.rotated,l#.v%s,last,total32", caches);
        add(g, layer, "com.microsoft:GroupQueryAttention", in, "l#.attention", "num_heads=! kv_num_heads=?");
        return;
    }
    add_spelled_core(g, s, layer);
}

static void add_ffn(decoder_graph *g, const decoder_style *s, int layer)
{
    if (s->packed_gate) {
        ints(g, "ffn_end", "1", size.ffn, 0, 0, 0);
        ints(g, "far", "1", INT64_MAX, 0, 0, 0);
        add_linear(g, s, layer, "l#.n2", "l#.both", size.hidden, 2 * size.ffn, false);
        add(g, layer, "Slice", "l#.both,axis0,ffn_end,axis2", "l#.gate", "");
        add(g, layer, "Slice", "l#.both,ffn_end,far,axis2", "l#.up", "");
    } else {
        add_linear(g, s, layer, "l#.n2", "l#.gate", size.hidden, size.ffn, false);
        add_linear(g, s, layer, "l#.n2", "l#.up", size.hidden, size.ffn, false);
    }
    if (s->swish) {
        add(g, layer, "com.microsoft:QuickGelu", "l#.gate", "l#.silu", "alpha=1.0");
    } else {
        add(g, layer, "Sigmoid", "l#.gate", "l#.sigmoid", "");
        add(g, layer, "Mul", "l#.gate,l#.sigmoid", "l#.silu", "");
    }
    add(g, layer, "Mul", "l#.silu,l#.up", "l#.inner", "");
    add_linear(g, s, layer, "l#.inner", "l#.down", size.ffn, size.hidden, false);
}

/* The sum of x and a branch, and its norm. */
static void add_joined(decoder_graph *g, const decoder_style *s, int layer, const char *x, const char *branch,
                       const char *sum, const char *norm)
{
    char in[160], out[96];
    if (s->norm == DECODER_NORM_SKIP) {
        snprintf(in, sizeof in, "%s.weight", norm);
        weight(g, layer, in, size.hidden, 0);
        snprintf(in, sizeof in, "%s,%s,%s.weight", x, branch, norm);
        snprintf(out, sizeof out, "%s,,,%s", norm, sum);
        add(g, layer, "com.microsoft:SkipSimplifiedLayerNormalization", in, out, "epsilon=1e-6");
        return;
    }
    snprintf(in, sizeof in, "%s,%s", x, branch);
    add(g, layer, "Add", in, sum, "");
    add_norm(g, s, layer, sum, norm);
}

static void add_input(decoder_graph *g, const char *text)
{
    g->inputs[g->n_inputs++] = copied(text);
}

static void add_inputs(decoder_graph *g, const decoder_style *s)
{
    char text[128];
    snprintf(text, sizeof text, s->ids ? "input_ids:7:1,tokens" : "inputs_embeds:1:batch,tokens,%u", size.hidden);
    add_input(g, text);
    add_input(g, "attention_mask:7:batch,total");
    add_input(g, "position_ids:7:batch,tokens");
    for (unsigned i = 0; i < size.layers && !s->no_cache; i++)
        for (int k = 0; k < 2; k++) {
            snprintf(text, sizeof text, "past_key_values.%u.%s:1:batch,%u,past,%u", i, k ? "value" : "key", size.kv,
                     size.dim);
            add_input(g, text);
        }
}

decoder_graph *decoder_graph_new(const decoder_style *s)
{
    decoder_graph *g = fvlm_alloc(1, sizeof *g);
    assert_non_null(g);
    size.layers = s->smallest ? 1 : DECODER_LAYERS;
    size.hidden = s->smallest ? 8 : DECODER_HIDDEN;
    size.heads = s->smallest ? 2 : DECODER_HEADS;
    size.kv = s->smallest ? 1 : DECODER_KV;
    size.dim = s->smallest ? 4 : DECODER_DIM;
    size.ffn = s->smallest ? 4 : DECODER_FFN;
    size.vocab = s->smallest ? 5 : DECODER_VOCAB;
    size.table = s->smallest ? 65 : DECODER_TABLE;
    g->opset = s->core == DECODER_CORE_ONNX ? 23 : 17;
    add_inputs(g, s);
    add_frame(g);
    if (s->ids) {
        weight(g, 0, "embed", size.vocab, size.hidden);
        add(g, 0, "Gather", "embed,input_ids", "x0", "");
    }
    add_norm(g, s, 0, s->ids ? "x0" : "inputs_embeds", "l0.n1");
    for (int i = 0; i < (int)size.layers; i++) {
        char x[32], next[32];
        snprintf(x, sizeof x, i || s->ids ? "x%d" : "inputs_embeds", i);
        snprintf(next, sizeof next, i + 1 < (int)size.layers ? "l%d.n1" : "final", i + 1);
        add_attention(g, s, i);
        add_linear(g, s, i, "l#.attention", "l#.o", size.hidden, size.hidden, false);
        add_joined(g, s, i, x, "l#.o", "l#.middle", "l#.n2");
        add_ffn(g, s, i);
        snprintf(x, sizeof x, "x%d", i + 1);
        add_joined(g, s, i, "l#.middle", "l#.down", x, next);
    }
    if (s->last_only) {
        ints(g, "minus1", "", -1, 0, 0, 0);
        add(g, 0, "Gather", "final,minus1", "last_token", "axis=1");
    }
    if (s->ids) {
        add(g, 0, "Transpose", "embed", "embed.t", "perm=[1,0]");
        add(g, 0, "MatMul", s->last_only ? "last_token,embed.t" : "final,embed.t", "logits", "");
    } else {
        add_linear(g, s, 0, s->last_only ? "last_token" : "final", "logits", size.hidden, size.vocab, false);
    }
    g->logits = "logits";
    return g;
}

/* ---- changes ---- */

static size_t index_of(const decoder_graph *g, const char *output)
{
    for (size_t i = 0; i < g->n_nodes; i++) {
        const size_t n = strcspn(g->nodes[i].outputs, ",");
        if (strlen(output) == n && !strncmp(g->nodes[i].outputs, output, n)) return i;
    }
    fail_msg("no node computes %s", output);
    return 0;
}

static void replace(char **s, const char *by)
{
    if (!by) return;
    free(*s);
    *s = copied(by);
}

void decoder_graph_change(decoder_graph *g, const char *output, const char *op, const char *inputs, const char *attrs)
{
    decoder_node *n = &g->nodes[index_of(g, output)];
    replace(&n->op, op);
    replace(&n->inputs, inputs);
    replace(&n->attrs, attrs);
}

void decoder_graph_insert(decoder_graph *g, const char *before, const char *op, const char *inputs, const char *outputs,
                          const char *attrs)
{
    const size_t at = index_of(g, before);
    add(g, 0, op, inputs, outputs, attrs);
    const decoder_node n = g->nodes[g->n_nodes - 1];
    memmove(&g->nodes[at + 1], &g->nodes[at], (g->n_nodes - 1 - at) * sizeof n);
    g->nodes[at] = n;
}

void decoder_graph_input(decoder_graph *g, size_t i, const char *text)
{
    if (i < g->n_inputs)
        free(g->inputs[i]);
    else
        g->n_inputs = i + 1;
    g->inputs[i] = copied(text);
}

/* ---- writing ---- */

static void save_input(onnx_model *m, char *text)
{
    char *type = strchr(text, ':'), *shape = strchr(type + 1, ':');
    *type = *shape = 0;
    onnx_input(m, text, atoi(type + 1), shape + 1);
}

void decoder_graph_save(decoder_graph *g, const char *path)
{
    onnx_model m = onnx_model_of(10, g->opset);
    for (size_t i = 0; i < g->n_inputs; i++) {
        save_input(&m, g->inputs[i]);
        free(g->inputs[i]);
    }
    for (size_t i = 0; i < g->n_constants; i++) {
        decoder_constant *c = &g->constants[i];
        if (c->floats)
            onnx_floats(&m, c->name, c->shape, c->floats);
        else
            onnx_int64s(&m, c->name, c->shape, c->ints);
        free(c->name);
        free(c->shape);
        free(c->floats);
        free(c->ints);
    }
    for (size_t i = 0; i < g->n_nodes; i++) {
        decoder_node *n = &g->nodes[i];
        onnx_node(&m, n->op, n->inputs, n->outputs, n->attrs);
        free(n->op);
        free(n->inputs);
        free(n->outputs);
        free(n->attrs);
    }
    onnx_output(&m, g->logits, FVLM_ONNX_F32, NULL);
    onnx_save(&m, path);
    free(g->nodes);
    free(g->constants);
    free(g);
}
