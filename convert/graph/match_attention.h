/* SPDX-License-Identifier: Apache-2.0 */
/* match_attention.h - private to graph/: causal attention with grouped heads, rotary embedding and a cache. */
#ifndef FVLM_CONVERT_GRAPH_MATCH_ATTENTION_H
#define FVLM_CONVERT_GRAPH_MATCH_ATTENTION_H

#include "convert/graph/match_heads.h"
#include "convert/graph/projection.h"

/* What the decoder was evaluated for, and what its layers share. */
typedef struct {
    const fvlm_net *net;
    uint64_t n_past, n_new;
    fvlm_rope rope;
    bool long_past;  /* too long to follow each key and value: only queries, scale and mask are checked */
    bool not_causal; /* why it was refused */
    uint64_t window; /* positions that a token sees at most; 0: all */
} fvlm_attention_frame;

typedef struct {
    fvlm_projection_rows q, k, v;
    uint64_t heads, kv_heads, dim;
    const fvlm_net_value *key_cache, *value_cache; /* inputs of the graph; NULL if there is no past */
} fvlm_decoder_attention;

/* v is the input of the output projection. */
fvlm_status fvlm_attention_find(fvlm_decoder_attention *out, fvlm_attention_frame *frame, fvlm_net_value *v,
                                fvlm_err *err);

/* How an attention's operands lie: what the spellings have in common. */
typedef struct {
    const fvlm_net_value *out;
    bool heads_last; /* the output is [positions, heads, dim], not [heads, positions, dim] */
    fvlm_heads q, k, v;
    bool joined; /* k and v have the past in front; else it is apart: */
    fvlm_heads past_k, past_v;
    double scale; /* of the scores, besides those of q and k */
    bool rotates; /* by the operator itself */
} fvlm_attention_operands;

/* One for each spelling. The caller frees *out, also on failure. */
fvlm_status fvlm_attention_read_onnx(fvlm_attention_operands *out, fvlm_attention_frame *f, const fvlm_net_node *n,
                                     fvlm_err *err);
fvlm_status fvlm_attention_read_grouped(fvlm_attention_operands *out, fvlm_attention_frame *f, const fvlm_net_node *n,
                                        fvlm_err *err);

/* In match_scores.c: v is softmax(scale * q k + mask) with a causal mask; *matmul is that of q and k. */
fvlm_status fvlm_scores_find(const fvlm_net_node **matmul, double *scale, fvlm_attention_frame *f, fvlm_net_value *v,
                             fvlm_err *err);
/* A constant that is added to scores (or selects them, if it is boolean) is a causal mask, or all zeros if another one
 * is causal already. mask may be smaller than scores. */
fvlm_status fvlm_scores_check_mask(fvlm_attention_frame *f, const fvlm_net_value *mask, bool causal_already,
                                   const fvlm_net_value *user, fvlm_err *err);

#endif
