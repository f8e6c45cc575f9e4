/* SPDX-License-Identifier: Apache-2.0 */
/* bind.h - every weight of a file where the passes use it. Private to reference/. */
#ifndef FVLM_REFERENCE_BIND_H
#define FVLM_REFERENCE_BIND_H

#include "reference/reference.h"

typedef struct {
    fvlm_weight weight; /* in the mapping */
    const float *bias;  /* NULL where the architecture has none */
} fvlm_linear;

typedef struct {
    fvlm_depthwise mixer;  /* RepMixer blocks */
    fvlm_linear qkv, proj; /* attention blocks */
    fvlm_depthwise dw;     /* ConvFFN of both */
    fvlm_linear fc1, fc2;
} fvlm_vision_block;

typedef struct {
    fvlm_depthwise down_dw; /* from the second stage on */
    fvlm_linear down_pw;
    fvlm_depthwise pos; /* where the config has it */
    fvlm_vision_block *blocks;
} fvlm_vision_stage;

typedef struct {
    fvlm_linear stem0, stem2;
    fvlm_depthwise stem1;
    fvlm_vision_stage stage[FVLM_MAX_STAGES];
    fvlm_depthwise final_dw;
    fvlm_linear se_reduce, se_expand;
    fvlm_vision_block *all_blocks; /* owned; the stages point into it */
} fvlm_vision_weights;

typedef struct {
    const float *attn_norm, *ffn_norm;
    fvlm_linear q, k, v, o, gate, up, down;
} fvlm_llm_layer;

typedef struct {
    fvlm_linear embed, head; /* head is embed when tied */
    const float *norm;
    fvlm_llm_layer *layers; /* owned */
} fvlm_llm_weights;

typedef struct {
    fvlm_vision_weights vision;
    fvlm_linear projector0, projector2;
    const float *newline; /* [llm.hidden]; NULL where tiles are not merged with it */
    fvlm_llm_weights llm;
    float *small; /* owned: all vectors and depthwise kernels as f32 */
} fvlm_model_weights;

/* Finds every tensor that config demands and checks its shape, layout and type; refuses a file with tensors that the
 * config does not know. w must be zero before; call fvlm_model_weights_free also on failure. Matrices point into the
 * reader's mapping, which must outlive w. */
fvlm_status fvlm_model_weights_bind(fvlm_model_weights *w, const fvlm_reader *r, fvlm_err *err);
void fvlm_model_weights_free(fvlm_model_weights *w);

#endif
