/* SPDX-License-Identifier: Apache-2.0 */
/* ops.h - the operations of a forward pass, over f32 activations in channels-last order. The model (vision.c,
 * projector.c, llm.c) calls them; the kernels (kernels/) do the work.
 *
 * The numeric contract: the same bits on every instruction set and at every thread count.
 *   f32 products    Each output is one chain of fma in increasing k, started from 0; the bias is added after. SIMD runs
 *                   across outputs, threads split outputs. Integer weights are decoded first: float(q - zero) * scale,
 *                   or fma(q, scale, offset). Attention scores (over a head's dimensions) and the weighted sums of
 *                   values (over the keys) are such chains.
 *   int8 products   Only in mode int8 with integer weights; float weights always multiply in f32. A row of activations
 *                   is rounded in the groups of the weight: scale_x = absmax / 127, q_x = x * (127 / absmax) to nearest
 *                   even, hence within +-127; an absmax below 2^-100 counts as 0. Inside a group sums are exact int32;
 *                   groups are added in order, acc = fma(isum, scale_w * scale_x, acc), and for asymmetric types then
 *                   acc = fma(xsum * scale_x, offset_w, acc).
 *   sums            Norms, softmax and means: 16 lanes by index mod 16, then one fixed tree.
 *   exp, erf        One polynomial source (kernels/vmath_tmpl.h), compiled for each instruction set.
 * Values that are not finite (NaN, infinity, or an overflow on the way) are never lost. The products of linear, stem
 * and conv_ffn are checked before their activation and after their residual; fvlm_op_check_finite checks any array. All
 * other operations pass such a value on: every output that depends on it is not finite either. Hence norms whose
 * variance overflows and attention rows with a score that is not finite give NaN, and an int8 group with such an
 * activation has the scale NaN. (ReLU, and the sigmoid of gate_gelu, do lose it, but read only the products above.)
 * fvlm_exec_take_finite says what was found: the same on every instruction set, though a NaN may have other bits.
 *
 * One thread at a time may use an executor. y overlaps no input unless its comment allows it. Operations allocate
 * only when one needs more scratch than any before; if that fails, y is undefined and fvlm_exec_ok returns false from
 * then on: check it once after a pass. */
#ifndef FVLM_REFERENCE_OPS_OPS_H
#define FVLM_REFERENCE_OPS_OPS_H

#include "format/base/pool.h"
#include "format/decode.h"

typedef struct fvlm_exec fvlm_exec; /* threads, the kernels for this CPU, scratch memory, activation mode */

typedef enum { FVLM_ACT_F32 = 0, FVLM_ACT_INT8 = 1 } fvlm_act_mode;
const char *fvlm_act_name(fvlm_act_mode mode); /* "f32", "int8" */

/* cpu names the kernels to use, as fvlm_cpu_select (format/base/cpu.h) takes it; NULL or "": the best this machine
 * runs. On failure *out is NULL. */
fvlm_status fvlm_exec_create(fvlm_exec **out, unsigned threads, const char *cpu, fvlm_act_mode mode, fvlm_err *err);
void fvlm_exec_destroy(fvlm_exec **e);
const char *fvlm_exec_cpu(const fvlm_exec *e);
fvlm_pool *fvlm_exec_pool(fvlm_exec *e);
fvlm_act_mode fvlm_exec_mode(const fvlm_exec *e);
bool fvlm_exec_ok(const fvlm_exec *e); /* false once scratch memory could not be allocated */

/* Whether everything checked since the last call was finite. */
bool fvlm_exec_take_finite(fvlm_exec *e);

/* Measures the multiply-adds per second that all threads together reach in registers, in f32 or int8 according to
 * the mode. Takes a tenth of a second. */
double fvlm_exec_peak(fvlm_exec *e);

/* A depthwise convolution, kernel x kernel (odd, at most FVLM_MAX_DW_KERNEL), stride 1 or 2, padding kernel/2: taps
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

/* Full 3x3 convolution, stride 2, padding 1, of an image [height, width, 3] with w [n, 27], then GELU:
 * y [ceil(h/2), ceil(w/2), n]. */
void fvlm_op_stem(fvlm_exec *e, const float *image, size_t height, size_t width, const fvlm_weight *w,
                  const float *bias, float *y);

/* y [ceil(h/stride), ceil(w/stride), out_c] of x [h, w, in_c]. */
void fvlm_op_depthwise(fvlm_exec *e, const float *x, size_t height, size_t width, const fvlm_depthwise *d,
                       fvlm_activation act, float *y);

/* A ConvFFN: dw keeps c channels at stride 1, fc1 [hidden, c], fc2 [c, hidden]. */
typedef struct {
    const fvlm_depthwise *dw;
    const fvlm_weight *fc1, *fc2;
    const float *b1, *b2; /* biases of fc1 and fc2 */
} fvlm_conv_ffn;

/* y = x + fc2(gelu(fc1(dw(x)))), x and y [h, w, c], in tiles of pixels so that the hidden layer stays in cache. */
void fvlm_op_conv_ffn(fvlm_exec *e, const float *x, size_t height, size_t width, const fvlm_conv_ffn *f, float *y);

/* y = (x - mean) / sqrt(var + eps) over c, biased variance; no affine (folded into the layer that follows). */
void fvlm_op_layer_norm(fvlm_exec *e, const float *x, size_t m, size_t c, float eps, float *y);

/* y = x / sqrt(mean(x^2) + eps) * gamma */
void fvlm_op_rms_norm(fvlm_exec *e, const float *x, size_t m, size_t c, const float *gamma, float eps, float *y);

/* Softmax attention of the tower, every token to every token. qkv [t, 3 * heads * head_dim] as [q|k|v][head][dim],
 * q already scaled; y [t, heads * head_dim]. */
void fvlm_op_attention(fvlm_exec *e, const float *qkv, size_t t, size_t heads, size_t head_dim, float *y);

/* Rotate-half RoPE in place: x [m, heads * head_dim], row i at position pos + i;
 * cos_sin [context][head_dim] = head_dim/2 cosines, then head_dim/2 sines, of each position. */
void fvlm_op_rope(fvlm_exec *e, float *x, size_t m, size_t heads, size_t head_dim, const float *cos_sin, size_t pos);

/* Causal grouped-query attention of m queries at positions pos .. pos + m - 1. */
typedef struct {
    const float *q;             /* [m, heads * head_dim] */
    const float *keys, *values; /* [pos + m or more, kv_heads * head_dim] */
    size_t m, pos, heads, kv_heads, head_dim;
} fvlm_causal_attention;

/* Scores are scaled by 1/sqrt(head_dim); y has the shape of q. */
void fvlm_op_attention_causal(fvlm_exec *e, const fvlm_causal_attention *a, float *y);

/* y[i] = silu(gate[i]) * up[i] for n values; y may be gate. */
void fvlm_op_silu_mul(fvlm_exec *e, const float *gate, const float *up, size_t n, float *y);

/* mean[c] over m rows of x [m, c]. */
void fvlm_op_channel_mean(fvlm_exec *e, const float *x, size_t m, size_t c, float *mean);

/* Checks x[n] for fvlm_exec_take_finite. */
void fvlm_op_check_finite(fvlm_exec *e, const float *x, size_t n);

/* x[i, c] = gelu(x[i, c] * sigmoid(gate[c])), in place: the end of conv_exp + SE. */
void fvlm_op_gate_gelu(fvlm_exec *e, float *x, size_t m, size_t c, const float *gate);

#endif
