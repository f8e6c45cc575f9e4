/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_tower.h - the vision encoder of a test checkpoint (checkpoint.h) as an ONNX graph, spelled in the ways that
 * exporters have, with one change where a test wants one. Initializers have the tensors' names in the checkpoint. */
#ifndef FVLM_TESTS_SUPPORT_ONNX_TOWER_H
#define FVLM_TESTS_SUPPORT_ONNX_TOWER_H

#include "tests/support/checkpoint.h"
#include "tests/support/onnx_build.h"

#define TEST_TOWER_SIDE 64 /* of the picture: 4 x 4 tokens */

typedef enum {
    GELU_MUL_HALF,   /* Div, Erf, Add, Mul x, Mul 0.5 */
    GELU_HALF_FIRST, /* x * 0.5 first, Mul by 0.7071 */
    GELU_HALF_INNER, /* x * (0.5 * (1 + erf)) */
    GELU_OPERATOR,   /* Gelu */
    GELU_HALF_AWAY,  /* x * (1 + erf), half in the weights of the only layer that reads it; else GELU_MUL_HALF */
    GELU_KINDS
} tower_gelu;

typedef enum {
    NORM_POW,        /* ReduceMean, Sub, Pow, ReduceMean, Add, Sqrt, Div, Mul, Add */
    NORM_MUL,        /* d * d instead of Pow, times a Reciprocal */
    NORM_POWER_HALF, /* times Pow(variance + eps, -0.5) */
    NORM_OPERATOR,   /* LayerNormalization between Transposes */
    NORM_KINDS
} tower_norm;

typedef enum {
    LINEAR_CONV,   /* 1x1 convolutions, MatMul in attention */
    LINEAR_MATMUL, /* MatMul of [1, H, W, C] everywhere */
    LINEAR_GEMM,   /* Gemm of [H * W, C] everywhere, the weight as it is (transB) */
    LINEAR_KINDS
} tower_linear;

typedef enum {
    QKV_GATHER,     /* reshape to (3, heads, 32), Transpose, three Gathers */
    QKV_SPLIT,      /* Split along (3) */
    QKV_SLICE,      /* three Slices of the channels, then a reshape each */
    QKV_APART,      /* three layers */
    QKV_CONV,       /* one 1x1 convolution, heads from the channels' dimension */
    QKV_MULTI_HEAD, /* com.microsoft:MultiHeadAttention */
    QKV_OWN_LAYER,  /* com.microsoft:Attention */
    QKV_ATTENTION,  /* Attention of ai.onnx 23, four dimensions */
    QKV_KINDS
} tower_qkv;

typedef enum { SCALE_Q, SCALE_SCORES, SCALE_BOTH, SCALE_KINDS } tower_scale;
typedef enum { POOL_AVERAGE, POOL_GLOBAL, POOL_MEAN, POOL_KINDS } tower_pool;

/* The node that computes 'output' becomes another one. What is NULL stays. op "+Relu": a node is put behind it instead,
 * and inputs are those besides the first. op "-": it is left out, its first input is used. */
typedef struct {
    const char *output, *op, *inputs, *attrs;
} tower_edit;

typedef struct {
    tower_gelu gelu;
    tower_norm norm;
    tower_linear linear;
    tower_qkv qkv;
    tower_scale scale;
    tower_pool pool;
    bool swap;          /* the inputs of every Add and Mul the other way round */
    bool dynamic;       /* the picture's sides are symbols */
    bool without_scale; /* no layer scales */
    bool without_projector;
    bool hollow;       /* weights are zeros that ConstantOfShape makes: a small file, for fuzzing */
    bool map_output;   /* [1, C, H, W] */
    bool pooled;       /* a pooled vector is put out as well, before the tokens */
    const char *input; /* the picture's shape, if another than 1,3,64,64 */
    tower_edit edit[4];
} tower_style;

/* fused or as trained, as the checkpoint is. */
onnx_model onnx_tower(const test_checkpoint *c, const tower_style *style);

#endif
