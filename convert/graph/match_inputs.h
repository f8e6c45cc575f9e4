/* SPDX-License-Identifier: Apache-2.0 */
/* match_inputs.h - private to graph/: concrete inputs for a decoder: a few new tokens after a short past. */
#ifndef FVLM_CONVERT_GRAPH_MATCH_INPUTS_H
#define FVLM_CONVERT_GRAPH_MATCH_INPUTS_H

#include "convert/graph/match.h"

typedef struct {
    fvlm_net_input *inputs;
    size_t n;
    uint64_t n_past, n_new;
    uint64_t kv_heads, head_dim; /* as an attention node has them; 0: unknown */
    double *numbers;             /* [n_past + n_new] each: ones, then positions from n_past on, then the scalars */
    double *mask;                /* [n_new, n_past + n_new], causal: for graphs that leave it to the caller */
    const char *embeds;          /* the input of embeddings, or NULL */
    const char *ids;             /* the input of token ids, or NULL */
    bool is_dynamic;             /* another n_past or n_new can be chosen */
    bool has_caches, has_mask;
} fvlm_decoder_inputs;

/* n_past and n_new: for what the graph leaves open. Refuses inputs that a Qwen2 decoder does not have. The caller
 * frees *out, also on failure. */
fvlm_status fvlm_decoder_inputs_choose(fvlm_decoder_inputs *out, const fvlm_graph *g, uint64_t n_past, uint64_t n_new,
                                       fvlm_err *err);
void fvlm_decoder_inputs_free(fvlm_decoder_inputs *in);

#endif
