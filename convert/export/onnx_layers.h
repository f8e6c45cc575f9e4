/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_layers.h - private to export/: layers whose weights are tensors of a .fvlm file, as nodes and initializers.
 *
 *   in the file         a matrix of the language model, attention, projector     a convolution
 *   f32, bf16           FLOAT [in, out], MatMul                                  FLOAT, Conv
 *   f16                 FLOAT16, Cast, MatMul                                    FLOAT16, Cast, Conv
 *   int{4,8}, groups    MatMulNBits                                              DequantizeLinear with block_size, Conv
 *   int{4,8}, row       DequantizeLinear with axis, Transpose, MatMul            DequantizeLinear with axis, Conv
 *
 * Asymmetric types are w = scale * q + offset. ONNX has zero points instead, which must be integers (MatMulNBits takes
 * floats for 4 bits, but onnxruntime then decodes the whole matrix for each token: 26 times slower). So the codes get
 * the zero point 0, and the offsets a product of their own with the sums of the inputs of each group:
 *
 *   y = x (scale q)^T + (x E) offset^T,     E[k, g] = 1 if input k is in group g, else 0
 *
 * Products with E and offset are 1 / group as large as the first. All values are exactly those of the executor. */
#ifndef FVLM_CONVERT_EXPORT_ONNX_LAYERS_H
#define FVLM_CONVERT_EXPORT_ONNX_LAYERS_H

#include "convert/export/onnx_graph.h"
#include "format/reader.h"

/* The graph under construction and the file whose tensors it gets. */
typedef struct {
    fvlm_onnx_graph *g;
    const fvlm_reader *r;
    fvlm_type type; /* to store floats in; kind 0: as the table above says */
} fvlm_onnx_builder;

/* Of a depthwise or dense convolution, padded by half its side. */
typedef struct {
    const char *module; /* NAME.weight, and NAME.bias if there is one */
    uint32_t stride;
    uint64_t channels; /* of x */
} fvlm_onnx_conv;

/* x [.., in] -> [.., out]. */
const char *fvlm_onnx_add_linear(const fvlm_onnx_builder *b, const char *module, const char *x);
/* x [batch, in, h, w] -> [batch, out, ..]. */
const char *fvlm_onnx_add_conv(const fvlm_onnx_builder *b, const fvlm_onnx_conv *conv, const char *x);
/* ids [..] -> rows [.., width], put out as 'out'. */
const char *fvlm_onnx_add_embedding(const fvlm_onnx_builder *b, const char *module, const char *ids, const char *out);
/* A vector, as FLOAT. */
const char *fvlm_onnx_add_vector(const fvlm_onnx_builder *b, const char *tensor);

/* "/llm/layer0/attn/q/MatMul" for the module "llm.layer0.attn.q". */
const char *fvlm_onnx_path(const fvlm_onnx_builder *b, const char *module, const char *node);

#endif
