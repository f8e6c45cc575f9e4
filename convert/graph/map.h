/* SPDX-License-Identifier: Apache-2.0 */
/* map.h - private to graph/: feature maps and the layers of a vision tower, recognized from their output backwards.
 *
 * A map is a value that holds 'channels' numbers for each of 'pixels' positions, positions in the order of the
 * picture's rows, either [channels, pixels] (convolutions) or [pixels, channels] (matrix products). The functions below
 * get the map that a layer puts out and replace it with the map that the layer reads. They pass Reshape and Transpose
 * that lead from one order to the other and refuse all others, so a match means that the graph computes just this
 * layer. On failure *m is undefined. 'what' names the layer in refusals: "the block's fc1". */
#ifndef FVLM_CONVERT_GRAPH_MAP_H
#define FVLM_CONVERT_GRAPH_MAP_H

#include "convert/graph/match.h"
#include "convert/graph/view.h"

typedef struct {
    fvlm_net_value *v;
    uint64_t channels, pixels;
    bool channels_last;
} fvlm_map;

/* Passes what only rearranges. */
void fvlm_map_back(fvlm_map *m);
/* The other way: v is computed from m by rearranging only. False if it is not a map of the same channels and pixels. */
bool fvlm_map_forward(fvlm_map *m, fvlm_net_value *v);
bool fvlm_map_same(const fvlm_map *a, const fvlm_map *b);
/* v, shaped for broadcasting, has one element for each channel of m. */
bool fvlm_map_is_per_channel(const fvlm_map *m, const fvlm_net_value *v);
/* Whether m can be read in this order. With one channel or one pixel both are the same. */
bool fvlm_map_has_order(const fvlm_map *m, bool channels_last);
/* The dimensions of m.v that are pixels, as bits. The others are its channels, or 1. False if they are mixed. */
bool fvlm_map_pixel_axes(const fvlm_map *m, uint32_t *axes);

/* Passes an Add or a Mul (op) of a constant with one number for each channel, and what rearranges its input. Returns
 * the constant; NULL, with m unchanged, if m is not that. */
fvlm_net_value *fvlm_map_pass_constant(fvlm_map *m, const char *op);

/* y = W x + b for every pixel: MatMul, 1x1 Conv, with a bias or an Add. */
typedef struct {
    fvlm_net_node *node;
    fvlm_net_value *weight, *bias; /* bias may be NULL */
    bool transposed;               /* the weight is [in, out] */
    bool twice;                    /* the layer's own is twice this one */
    uint64_t in, out;
} fvlm_linear;
fvlm_status fvlm_linear_match(fvlm_linear *out, const fvlm_net *net, fvlm_map *m, const char *what, fvlm_err *err);

/* The exact GELU, by the operator or spelled with Erf. *twice: it is x * (1 + erf(x / sqrt 2)), since an optimizer
 * multiplied the half into the weights of the layer that reads it; the caller doubles those, which is exact. */
fvlm_status fvlm_gelu_match(bool *twice, const fvlm_net *net, fvlm_map *m, const char *what, fvlm_err *err);

/* LayerNorm over the channels of each pixel, eps 1e-5. */
typedef struct {
    fvlm_net_node *node;
    fvlm_net_value *gain, *shift; /* NULL: 1, 0 */
} fvlm_layer_norm;
fvlm_status fvlm_layer_norm_match(fvlm_layer_norm *out, const fvlm_net *net, fvlm_map *m, const char *what,
                                  fvlm_err *err);

/* m * sigmoid(expand(relu(reduce(mean of m)))). */
typedef struct {
    fvlm_linear reduce, expand;
} fvlm_squeeze;
fvlm_status fvlm_squeeze_match(fvlm_squeeze *out, const fvlm_net *net, fvlm_map *m, fvlm_err *err);

/* Softmax attention over all pixels, heads of head_dim consecutive channels, queries scaled by 1 / sqrt(head_dim), or
 * by nothing. q, k and v are rows of up to three linear layers that read the same map. */
typedef struct {
    fvlm_linear linear[3]; /* of q, k, v; the same one if they are packed */
    uint64_t first_row[3]; /* each has 'channels' rows from here */
    uint64_t channels, heads;
    bool packed;                 /* one layer, rows q, k, v */
    fvlm_net_value *packed_bias; /* [3 * channels] beside the layers' own; NULL */
    bool scaled_weights; /* nothing scales the scores: 1 / sqrt(head_dim) is in the weights, as in a .fvlm file */
} fvlm_attention;
fvlm_status fvlm_attention_match(fvlm_attention *out, const fvlm_net *net, fvlm_map *m, uint64_t head_dim,
                                 const char *what, fvlm_err *err);

#endif
