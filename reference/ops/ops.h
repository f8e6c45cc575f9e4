/* SPDX-License-Identifier: Apache-2.0 */
/* ops.h - the operations a forward pass is made of, over f32 activations in
 * channels-last order. What the model graph (vision.c, projector.c, llm.c) calls;
 * what the kernels (kernels/) serve.
 *
 * The numeric contract, which gives the same bits on every instruction set and
 * at every thread count:
 *   f32 products    every output is one chain of fma in increasing k, started from 0; the bias is
 *                   added after. SIMD runs across outputs, threads split outputs. Integer weights are
 *                   decoded first: float(q - zero) * scale, or fma(q, scale, offset). Attention's
 *                   scores (over a head's dimensions) and mixes (over the keys) are such chains.
 *   int8 products   (act int8 with integer weights; float weights multiply in f32) a row of activations
 *                   is rounded in the groups of the weight: scale_x = absmax / 127, q_x = x * (127 / absmax)
 *                   to nearest even, so within +-127; an absmax under 2^-100 counts as 0. Inside a group
 *                   exact in int32; groups are added in order, acc = fma(isum, scale_w * scale_x, acc),
 *                   asymmetric types then acc = fma(xsum * scale_x, offset_w, acc).
 *   sums            (norms, softmax, means) 16 lanes by index mod 16, then one fixed tree.
 *   exp, erf        one polynomial source, compiled for each instruction set.
 * Finite inputs are assumed; NaN in gives NaN or 0 out, never a crash.
 *
 * No operation allocates after the first pass of its size. If that first allocation fails the operation
 * leaves its result undefined and fvlm_exec_ok is false from then on: look once after a pass. */
#ifndef FVLM_REFERENCE_OPS_OPS_H
#define FVLM_REFERENCE_OPS_OPS_H

#include "format/base/pool.h"
#include "format/decode.h"

typedef struct fvlm_exec fvlm_exec; /* threads, kernels for this CPU, scratch memory, activation mode */

typedef enum { FVLM_ACT_F32 = 0, FVLM_ACT_INT8 = 1 } fvlm_act_mode;
const char *fvlm_act_name(fvlm_act_mode mode); /* "f32", "int8" */

/* cpu: NULL or "" = the best this machine has; else the most that may be used:
 * "scalar" "avx2" "avx512" (with VNNI) "neon" "dotprod". Refuses an unknown name and one this
 * machine cannot run. */
fvlm_status fvlm_exec_create(fvlm_exec **out, unsigned threads, const char *cpu, fvlm_act_mode mode, fvlm_err *err);
void fvlm_exec_destroy(fvlm_exec **e);
const char *fvlm_exec_cpu(const fvlm_exec *e);
fvlm_pool *fvlm_exec_pool(fvlm_exec *e);
fvlm_act_mode fvlm_exec_mode(const fvlm_exec *e);

/* Multiply-adds a second that all threads together reach in registers, in f32 or in int8 as the
 * mode is: measured, which takes a tenth of a second. */
double fvlm_exec_peak(fvlm_exec *e);
bool fvlm_exec_ok(const fvlm_exec *e); /* false once scratch memory could not be had */

/* A depthwise convolution, kernel x kernel (odd, at most FVLM_MAX_DW_KERNEL), stride 1 or 2, pad kernel/2: taps
 * [kernel*kernel][out_c] and bias [out_c], both f32 (converted when the model is opened: they are 1 % of the tower).
 * Output channel o reads input channel o / (out_c / in_c). */
typedef struct {
    const float *taps, *bias;
    uint32_t kernel, stride, in_c, out_c;
} fvlm_depthwise;

typedef enum { FVLM_NONE = 0, FVLM_GELU = 1 /* exact erf */, FVLM_RELU = 2 } fvlm_activation;

/* y[m, n] = act(x[m, k] . w^T + bias) + residual. bias [n], residual [m, n] may be NULL;
 * residual may be y itself. Rows of x and y are contiguous. */
void fvlm_op_linear(fvlm_exec *e, const float *x, size_t m, const fvlm_weight *w, const float *bias,
                    fvlm_activation act, const float *residual, float *y);

/* 3x3 stride-2 pad-1 full convolution of an image [height, width, 3] with w [n, 27]:
 * y [ceil(h/2), ceil(w/2), n], GELU applied. */
void fvlm_op_stem(fvlm_exec *e, const float *image, size_t height, size_t width, const fvlm_weight *w,
                  const float *bias, float *y);

/* y [ceil(h/stride), ceil(w/stride), out_c] of x [h, w, in_c]. y is not x. */
void fvlm_op_depthwise(fvlm_exec *e, const float *x, size_t height, size_t width, const fvlm_depthwise *d,
                       fvlm_activation act, float *y);

/* The whole ConvFFN: y = x + fc2(gelu(fc1(dw(x)))), tile by tile over pixels so that
 * the hidden layer stays in cache. x, y [h, w, c]; y is not x. */
void fvlm_op_conv_ffn(fvlm_exec *e, const float *x, size_t height, size_t width, const fvlm_depthwise *dw,
                      const fvlm_weight *fc1, const float *b1, const fvlm_weight *fc2, const float *b2, float *y);

/* y = (x - mean) / sqrt(var + eps) over c, biased variance; no affine (folded into what follows). */
void fvlm_op_layer_norm(fvlm_exec *e, const float *x, size_t m, size_t c, float eps, float *y);

/* y = x / sqrt(mean(x^2) + eps) * gamma */
void fvlm_op_rms_norm(fvlm_exec *e, const float *x, size_t m, size_t c, const float *gamma, float eps, float *y);

/* Full softmax attention of the tower. qkv [t, 3 * heads * head_dim] as [q|k|v][head][dim], q scaled
 * already; y [t, heads * head_dim]. */
void fvlm_op_attention(fvlm_exec *e, const float *qkv, size_t t, size_t heads, size_t head_dim, float *y);

/* Rotate-half RoPE in place: x [m, heads * head_dim], row i at position pos + i;
 * cos_sin [context][head_dim] = head_dim/2 cosines then head_dim/2 sines of each position. */
void fvlm_op_rope(fvlm_exec *e, float *x, size_t m, size_t heads, size_t head_dim, const float *cos_sin, size_t pos);

/* Causal grouped-query attention. q [m, heads * head_dim] at positions pos .. pos+m-1; keys and values
 * [pos + m or more, kv_heads * head_dim]; scores scaled by 1/sqrt(head_dim); y like q. */
void fvlm_op_attention_causal(fvlm_exec *e, const float *q, const float *keys, const float *values, size_t m,
                              size_t pos, size_t heads, size_t kv_heads, size_t head_dim, float *y);

/* y[i] = silu(gate[i]) * up[i] for n values; y may be gate. */
void fvlm_op_silu_mul(fvlm_exec *e, const float *gate, const float *up, size_t n, float *y);

/* mean[c] over m rows of x [m, c]. */
void fvlm_op_channel_mean(fvlm_exec *e, const float *x, size_t m, size_t c, float *mean);

/* x[i, c] = gelu(x[i, c] * sigmoid(gate[c])), in place: the end of conv_exp + SE. */
void fvlm_op_gate_gelu(fvlm_exec *e, float *x, size_t m, size_t c, const float *gate);

#endif
