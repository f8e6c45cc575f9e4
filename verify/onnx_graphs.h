/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_graphs.h - private to verify/: the ONNX files of a model, what each of them is, and the names of its inputs and
 * outputs. They are told apart by their inputs and outputs, here and not by the importer, whose work is judged. */
#ifndef FVLM_VERIFY_ONNX_GRAPHS_H
#define FVLM_VERIFY_ONNX_GRAPHS_H

#include "convert/graph/graph.h"
#include "verify/bounds.h"

/* A pair of the decoder's: a cache that goes in, and the longer one that comes out; NULL: it does not come out. */
typedef struct {
    const char *in, *out;
    int32_t type;
    uint64_t heads, dim; /* of [1, heads, positions, dim]; 0: a symbol */
} fvlm_onnx_cache;

typedef struct {
    fvlm_graph *vision, *embedding, *decoder; /* owned; all but vision may be missing together */
    const char *pixels, *features;            /* [1, 3, side, side] in; [1, tokens, width] or [1, width, h, w] out */
    uint32_t features_id;
    int32_t pixels_type;
    uint32_t side; /* that vision is made for; 0: any */
    const char *ids, *rows;
    int32_t ids_type;
    uint64_t n_ids;                               /* that the embedding is made for; 0: any */
    const char *embeds, *mask, *positions, *keep; /* of the decoder; the last three may be NULL */
    int32_t embeds_type, mask_type, positions_type, keep_type;
    uint64_t n_fixed; /* positions that the decoder is made for; 0: any */
    const char *logits;
    uint32_t logits_id;
    fvlm_onnx_cache *caches;
    size_t n_caches;
    bool keeps;               /* all caches come out, so that a text can go on from them */
    fvlm_precision precision; /* how exactly the graphs themselves compute: f16 values, activations in integers */
} fvlm_onnx_graphs;

/* Opens what path names (convert/graph/onnx_paths.h). Refuses by name what is no part of a model, parts that are there
 * twice, a decoder without the rest, and inputs that it does not know. On failure *out is empty. */
fvlm_status fvlm_onnx_graphs_open(fvlm_onnx_graphs *out, const char *path, const char *variant, fvlm_err *err);
void fvlm_onnx_graphs_close(fvlm_onnx_graphs *g);
fvlm_status fvlm_onnx_graphs_check_unchanged(const fvlm_onnx_graphs *g, fvlm_status st, fvlm_err *err);

#endif
