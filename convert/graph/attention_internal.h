/* SPDX-License-Identifier: Apache-2.0 */
/* attention_internal.h - private to attention*.c: what both spellings of the tower's attention have in common. */
#ifndef FVLM_CONVERT_GRAPH_ATTENTION_INTERNAL_H
#define FVLM_CONVERT_GRAPH_ATTENTION_INTERNAL_H

#include "convert/graph/map.h"

/* The operands that are found, before the layers that compute them. */
typedef struct {
    const fvlm_net *net;
    const char *what;
    fvlm_err *err;
    fvlm_net_value *top; /* for refusals: the attention's last product, or its operator */
    fvlm_view view[3];
    uint64_t heads, head_dim, pixels; /* pixels: of the map */
} fvlm_tower_operands;

/* How operand k numbers its elements, from outside in. */
typedef enum { FVLM_HEAD_PIXEL_CHANNEL, FVLM_HEAD_CHANNEL_PIXEL, FVLM_PIXEL_HEAD_CHANNEL } fvlm_tower_order;

extern const char *const fvlm_tower_operand_names[3]; /* "queries", ... */

/* The layers that o->view are rows of, each in its order. *m becomes the map that they read. */
fvlm_status fvlm_tower_match_layers(fvlm_attention *out, const fvlm_tower_operands *o, const fvlm_tower_order order[3],
                                    fvlm_map *m);

/* o's heads are 'channels' channels in heads of head_dim; the scores are scaled by 1 / sqrt(head_dim). */
fvlm_status fvlm_tower_check_heads(const fvlm_tower_operands *o, uint64_t channels, uint64_t head_dim);
fvlm_status fvlm_tower_check_scale(const fvlm_tower_operands *o, uint64_t head_dim, fvlm_scalar scale);

/* o->top is an operator. *m becomes the map that it, or its layers, read. */
fvlm_status fvlm_tower_match_operator(fvlm_attention *out, fvlm_tower_operands *o, fvlm_map *m, uint64_t head_dim);

#endif
