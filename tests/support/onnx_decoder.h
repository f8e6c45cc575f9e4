/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_decoder.h - small Qwen2 decoders as ONNX files, in the spellings of exporters, each node open to change.
 *
 * 2 layers, 48 channels, 6 heads of 8 and 2 of keys and values, FFN of 40, 56 tokens, theta 1e6, eps 1e-6. Names are
 * "l0.q" for a node's output and "l0.q.weight" for what it uses. */
#ifndef FVLM_TESTS_SUPPORT_ONNX_DECODER_H
#define FVLM_TESTS_SUPPORT_ONNX_DECODER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DECODER_LAYERS 2
#define DECODER_HIDDEN 48
#define DECODER_HEADS 6
#define DECODER_KV 2
#define DECODER_DIM 8
#define DECODER_FFN 40
#define DECODER_VOCAB 56
#define DECODER_TABLE 128 /* rows of rotary tables */

typedef enum {
    DECODER_NORM_SPELLED, /* Pow, ReduceMean, Add, Sqrt, Reciprocal, Mul, Mul */
    DECODER_NORM_DIV,     /* Mul, ReduceMean, Add, Sqrt, Div, Mul */
    DECODER_NORM_SIMPLE,  /* SimplifiedLayerNormalization */
    DECODER_NORM_SKIP     /* SkipSimplifiedLayerNormalization, which adds, too */
} decoder_norm;

typedef enum {
    DECODER_CORE_SPELLED, /* rotate_half, Concat with the cache, repeat_kv, MatMul, Softmax, MatMul */
    DECODER_CORE_ROTARY,  /* RotaryEmbedding, then GroupQueryAttention */
    DECODER_CORE_GROUPED, /* packed q, k, v into GroupQueryAttention with do_rotary */
    DECODER_CORE_ONNX     /* rotate_half, then Attention (ai.onnx 23) */
} decoder_core;

typedef struct {
    decoder_norm norm;
    decoder_core core;
    bool packed_gate; /* gate and up as one MatMul */
    bool gemm;        /* MatMul and Add as Gemm with transB, between Reshapes */
    bool ids;         /* input_ids, and the embedding inside; the head is the embedding */
    bool no_cache;    /* prefill only */
    bool last_only;   /* logits of the last token */
    bool swish;       /* QuickGelu with alpha 1 */
    bool no_bias;     /* of q, k, v */
    bool smallest;    /* 1 layer, 8 channels, 2 heads of 4, FFN of 4: a few kB */
} decoder_style;

typedef struct {
    char *op, *inputs, *outputs, *attrs;
} decoder_node;

typedef struct {
    char *name, *shape;
    float *floats; /* or */
    int64_t *ints;
} decoder_constant;

typedef struct {
    decoder_node *nodes;
    size_t n_nodes, node_capacity;
    decoder_constant *constants;
    size_t n_constants, constant_capacity;
    char *inputs[16]; /* "name:type:shape" */
    size_t n_inputs;
    const char *logits; /* the output's name */
    int opset;          /* 23 for DECODER_CORE_ONNX, which then needs a norm of one node; else 17 */
} decoder_graph;

decoder_graph *decoder_graph_new(const decoder_style *style);
void decoder_graph_save(decoder_graph *g, const char *path); /* and frees it */

/* Changes the node with this output. A NULL keeps what it has. Fails the test if there is none. */
void decoder_graph_change(decoder_graph *g, const char *output, const char *op, const char *inputs, const char *attrs);
/* Puts a node in front of the one with this output. */
void decoder_graph_insert(decoder_graph *g, const char *before, const char *op, const char *inputs, const char *outputs,
                          const char *attrs);
void decoder_graph_floats(decoder_graph *g, const char *name, const char *shape, const float *v); /* adds or replaces */
void decoder_graph_ints(decoder_graph *g, const char *name, const char *shape, const int64_t *v);
void decoder_graph_input(decoder_graph *g, size_t i, const char *text); /* sets or appends one */
float *decoder_graph_weight(decoder_graph *g, const char *name);        /* its elements, to be changed */

#endif
