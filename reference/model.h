/* SPDX-License-Identifier: Apache-2.0 */
/* model.h - the bound model that vision.c, projector.c and llm.c walk: every
 * weight of the file in the place where the forward pass uses it, and the memory
 * the passes work in. Private to reference/; the world sees reference.h. */
#ifndef FVLM_REFERENCE_MODEL_H
#define FVLM_REFERENCE_MODEL_H

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
    fvlm_depthwise pos; /* where the config says so */
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

/* The tower's activations: two buffers as large as the largest layer, used in turn,
 * and one for what is wide but short-lived (bands of the stem, qkv, SE). */
typedef struct {
    float *a, *b, *wide;
    size_t n_ab, n_wide; /* floats */
} fvlm_tower_memory;

typedef struct {
    float *keys, *values; /* [layers][capacity][kv_heads * head_dim] */
    float *cos_sin;       /* [capacity][head_dim] */
    size_t capacity, position;
    float *x, *narrow, *q; /* [rows][hidden]: the residual stream, norms and attention, queries */
    float *gate, *up;      /* [rows][intermediate] */
    size_t rows;
} fvlm_llm_memory;

struct fvlm_model {
    fvlm_model_options options;
    fvlm_reader *reader;
    const fvlm_config *config; /* the reader's */
    fvlm_tokenizer *tokenizer;
    fvlm_exec *exec;
    float *small; /* owned: all vectors and depthwise kernels as f32 */
    fvlm_vision_weights vision;
    fvlm_linear projector0, projector2;
    fvlm_llm_weights llm;
    fvlm_tower_memory tower;
    fvlm_llm_memory memory;
    float *projector_hidden; /* [projector_rows][projector.hidden] */
    size_t projector_rows;
};

/* bind.c: finds every tensor the config asks for, checks shape, layout and type, and refuses
 * tensors nobody asked for. What it allocated is freed by fvlm_model_close, also on failure. */
fvlm_status fvlm_model_bind(fvlm_model *m, fvlm_err *err);

/* Shows a block's output to the observer; fails when the kernels had no memory for it, or a signal
 * asked us to stop. */
fvlm_status fvlm_model_observe(fvlm_model *m, const char *name, const float *x, size_t rows, size_t cols,
                               fvlm_err *err);

void fvlm_tower_memory_free(fvlm_tower_memory *t);
void fvlm_llm_memory_free(fvlm_llm_memory *l);

#endif
