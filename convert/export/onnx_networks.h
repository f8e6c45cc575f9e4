/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_networks.h - private to export/: the three graphs of a model, with the inputs and outputs of onnx-community's
 * files. Operators are those of ONNX, except GroupQueryAttention and RotaryEmbedding (com.microsoft), without which
 * onnxruntime would copy the cache of every layer for each token, and the products with blocks of integers. RMSNorm and
 * SiLU are spelled out; onnxruntime fuses them when it loads the file. */
#ifndef FVLM_CONVERT_EXPORT_ONNX_NETWORKS_H
#define FVLM_CONVERT_EXPORT_ONNX_NETWORKS_H

#include "convert/export/onnx_layers.h"

/* Each adds all of its inputs, nodes, initializers and outputs; a failure is in b->g.
 *
 * vision:    pixel_values [batch, 3, height, width] -> image_features [batch, tokens, width of the projector or tower]
 * embedding: input_ids [batch, tokens] -> inputs_embeds [batch, tokens, hidden]
 * decoder:   inputs_embeds, attention_mask, position_ids, past_key_values.N.{key,value} -> logits,
 * present.N.{key,value} */
void fvlm_onnx_build_vision(const fvlm_onnx_builder *b);
void fvlm_onnx_build_embedding(const fvlm_onnx_builder *b);
void fvlm_onnx_build_decoder(const fvlm_onnx_builder *b);

#endif
