/* SPDX-License-Identifier: Apache-2.0 */
/* chain.h - private to graph/: the values through which all that leads from an input to an output must pass. Between
 * two neighbours lies one layer, one residual block, or one activation that the exporter spelled out. */
#ifndef FVLM_CONVERT_GRAPH_CHAIN_H
#define FVLM_CONVERT_GRAPH_CHAIN_H

#include "convert/graph/net.h"

typedef struct {
    fvlm_net_value **link; /* link[0] is the input, link[n - 1] the output; malloc'd */
    size_t n;
} fvlm_chain;

/* Refuses an output that does not depend on the input. On failure *out is empty. Free with fvlm_chain_free. */
fvlm_status fvlm_chain_find(fvlm_chain *out, const fvlm_net *net, fvlm_net_value *input, fvlm_net_value *output,
                            fvlm_err *err);
void fvlm_chain_free(fvlm_chain *c);

#endif
