/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_weights.h - private to graph/: what matchers found, as the views of a source. */
#ifndef FVLM_CONVERT_GRAPH_ONNX_WEIGHTS_H
#define FVLM_CONVERT_GRAPH_ONNX_WEIGHTS_H

#include "convert/graph/match.h"
#include "convert/source/views.h"

typedef struct fvlm_onnx_weights fvlm_onnx_weights;

#define FVLM_ONNX_MAX_GRAPHS 3

typedef struct {
    fvlm_graph *graph;
    const char *name; /* of its file, for messages and the provenance */
    size_t end;       /* the match's tensors before this, and from the graph before it on, are of this graph */
} fvlm_onnx_weights_graph;

/* Takes over the graphs and the match, also on failure. Refuses weights stored in an unknown way.
 * On failure *out is NULL. */
fvlm_status fvlm_onnx_weights_create(fvlm_onnx_weights **out, fvlm_match *match, fvlm_onnx_weights_graph *graphs,
                                     size_t n, fvlm_err *err);

/* Adds them to a bare source, with all files that they come from; *w belongs to the source then, even on failure, and
 * is NULL. */
fvlm_status fvlm_onnx_weights_give(fvlm_onnx_weights **w, fvlm_source *src, fvlm_err *err);

#endif
