/* SPDX-License-Identifier: Apache-2.0 */
/* match_decoder.h - private to match_decoder*.c: a decoder as it was found. */
#ifndef FVLM_CONVERT_GRAPH_MATCH_DECODER_H
#define FVLM_CONVERT_GRAPH_MATCH_DECODER_H

#include "convert/graph/match_attention.h"
#include "convert/graph/match_embedding.h"
#include "convert/graph/match_inputs.h"

typedef struct {
    fvlm_rms_norm attn_norm, ffn_norm;
    fvlm_decoder_attention attention;
    fvlm_projection o, down;
    fvlm_projection_rows gate, up;
} fvlm_decoder_layer;

typedef struct {
    fvlm_attention_frame frame;
    fvlm_decoder_inputs inputs;
    fvlm_decoder_layer *layers; /* the last one first */
    size_t n, capacity;
    fvlm_projection head;
    fvlm_rms_norm norm;
    fvlm_embedding embedding; /* of token ids; weight is NULL if inputs_embeds is the input */
    fvlm_err *err;
} fvlm_decoder;

fvlm_status fvlm_decoder_add(fvlm_match *m, const fvlm_decoder *d);

/* Whether the tensors of a from 'from' on are those of b. */
fvlm_status fvlm_decoder_check_same(const fvlm_match *a, size_t from, const fvlm_match *b, fvlm_err *err);

#endif
