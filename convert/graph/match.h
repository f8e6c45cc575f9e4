/* SPDX-License-Identifier: Apache-2.0 */
/* match.h - private to graph/: the weights of a FastVLM network found in graphs by structure, under the names that
 * Apple's checkpoint has for them (names/ knows those), and the other properties of the network that graphs show. */
#ifndef FVLM_CONVERT_GRAPH_MATCH_H
#define FVLM_CONVERT_GRAPH_MATCH_H

#include "convert/graph/net.h"
#include "format/config.h"

/* Rows of a weight [out, in, ...]: all of it, or a part of a packed one. */
typedef struct {
    fvlm_net_weight weight;     /* points into the graph, not into the net */
    bool transposed;            /* its logical shape here is [in, out]: a MatMul's right side */
    uint64_t first_row, n_rows; /* of the outputs */
    bool twice;                 /* every element is doubled: see fvlm_gelu_match */
} fvlm_match_part;

#define FVLM_MATCH_PARTS 3

typedef struct {
    char *name; /* malloc'd: "model.vision_tower.vision_tower.model.patch_embed.0.reparam_conv.weight" */
    unsigned rank;
    uint64_t dims[FVLM_GRAPH_MAX_RANK]; /* as Apple stores it: [out, in, k, k], [out, in], [out], [c, 1, 1] */
    unsigned n_parts;                   /* stacked along the outputs; 0: 'numbers', or every element is 'fill' */
    fvlm_match_part parts[FVLM_MATCH_PARTS];
    double *numbers;             /* a small computed constant instead, all its elements; malloc'd; or NULL */
    float fill;                  /* for what an exporter folded away: a layer scale of 1, a bias of 0 */
    const fvlm_graph_node *node; /* that uses it */
} fvlm_match_tensor;

/* Must not outlive the graphs that were matched. Start with zeros. */
typedef struct {
    fvlm_match_tensor *tensors;
    size_t n, capacity;
    bool has_tower, has_projector, has_embedding, has_llm, has_head;
    uint32_t image_size;             /* that the tower was matched at; its input may be dynamic */
    uint64_t vision_width;           /* of what the vision encoder puts out */
    fvlm_config config;              /* its llm: what the decoder shows; fields that it does not show are 0 */
    size_t n_narrowed;               /* FLOAT activations that the graph matched last casts to 16 bits */
    const fvlm_graph_node *narrowed; /* the first such Cast */
} fvlm_match;

/* Appends a tensor without parts; the caller fills in the rest. NULL if out of memory (in *err). The pointer is valid
 * until the next call. */
fvlm_match_tensor *fvlm_match_add(fvlm_match *m, fvlm_err *err, const char *fmt, ...) FVLM_PRINTF(3, 4);
void fvlm_match_free(fvlm_match *m); /* leaves zeros */

/* Rows of a constant of the net, [out, ...], or [in, out] if transposed. */
typedef struct {
    const fvlm_net_value *v;
    bool transposed;
    uint64_t first_row, n_rows;
    bool twice;
} fvlm_match_rows;

/* Gives t its contents: n <= FVLM_MATCH_PARTS runs of rows, stored (parts) or computed (numbers). user is the node that
 * uses them. Refuses values that are not constant and large computed ones. */
fvlm_status fvlm_match_set_rows(fvlm_match_tensor *t, const fvlm_net *net, const fvlm_match_rows *rows, unsigned n,
                                const fvlm_net_node *user, fvlm_err *err);

/* Refuses: "node "/conv/Conv" (Conv): expected ..., found FOUND". v is the value that is not as expected; the node is
 * that which computes it. found NULL: its operator. */
fvlm_status fvlm_match_expected(const fvlm_net *net, const fvlm_net_value *v, const char *found, fvlm_err *err,
                                const char *fmt, ...) FVLM_PRINTF(5, 6);

/* Refuses attributes that are not in the list, which ends with NULL: one of a newer version may change what is
 * computed. */
fvlm_status fvlm_match_known_attrs(const fvlm_net *net, const fvlm_net_node *n, const char *const *known,
                                   fvlm_err *err);

/* What a graph is, by its inputs and outputs:
 *   vision     one input, a picture: floats [batch, 3, height, width]
 *   embedding  one input, token ids: integers [batch, tokens]; one output, floats [.., width], by a Gather
 *   decoder    token ids or their embeddings, floats [batch, tokens, width], perhaps with a mask, positions and caches
 */
typedef enum { FVLM_GRAPH_FOREIGN, FVLM_GRAPH_VISION, FVLM_GRAPH_EMBEDDING, FVLM_GRAPH_DECODER } fvlm_graph_role;
fvlm_graph_role fvlm_match_role(const fvlm_graph *g);
/* Types of such inputs: FLOAT, FLOAT16, BFLOAT16; INT32, INT64. */
bool fvlm_match_is_float(int32_t type);
bool fvlm_match_is_int(int32_t type);
/* Refuses a foreign graph: what its inputs are, and what was expected. */
fvlm_status fvlm_match_refuse_foreign(const fvlm_graph *g, fvlm_err *err);

/* Each adds to m. On failure m is as it was, or has more tensors. image_size: for a graph whose input is dynamic;
 * 0: 1024. */
fvlm_status fvlm_match_vision(fvlm_match *m, const fvlm_graph *g, uint32_t image_size, fvlm_err *err);
fvlm_status fvlm_match_embedding(fvlm_match *m, const fvlm_graph *g, fvlm_err *err);
fvlm_status fvlm_match_decoder(fvlm_match *m, const fvlm_graph *g, fvlm_err *err);

#endif
