/* SPDX-License-Identifier: Apache-2.0 */
/* match_embedding.h - private to graph/: rows of a table, picked by token ids. */
#ifndef FVLM_CONVERT_GRAPH_MATCH_EMBEDDING_H
#define FVLM_CONVERT_GRAPH_MATCH_EMBEDDING_H

#include "convert/graph/match.h"

typedef struct {
    const fvlm_net_value *weight; /* [rows, width] */
    const fvlm_net_node *node;
} fvlm_embedding;

/* v is the embedding of all ids, in their order. */
bool fvlm_embedding_find(fvlm_embedding *out, fvlm_net_value *v, const fvlm_net_value *ids);
fvlm_status fvlm_embedding_add(fvlm_match *m, const fvlm_net *net, const fvlm_embedding *e, fvlm_err *err);

#endif
