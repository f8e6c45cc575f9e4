/* SPDX-License-Identifier: Apache-2.0 */
/* net.h - private to graph/: a graph evaluated for concrete inputs, as far as that needs neither weights nor pixels.
 *
 * Nodes are evaluated once, in running order. Every value gets a concrete shape, and what depends only on shapes,
 * constants and the given contents of small inputs (position ids, an attention mask of ones) is computed. What is left
 * are the operations on activations. So shape arithmetic, masks and tables of cosines are constants here, however an
 * exporter spelled them, and a matcher compares numbers instead of recognizing subgraphs.
 *
 * The nodes that are left have one form each, whatever the file has:
 *
 *   in the file                                         here
 *   Identity, Dropout, Cast between floats or between   nothing
 *     integers, Reshape, Transpose, Slice, Expand that
 *     change nothing, Concat of one, Mul or Div by 1,
 *     Add or Sub of 0; a vector of either stays behind
 *     a layer, where it may be its bias or gain
 *   QuantizeLinear, DequantizeLinear of an activation   nothing; but Relu after a Conv if the zero point cuts off
 *                                                       negative values (quantizers drop the Relu then); counted in
 *                                                       n_fake_quantized
 *   Squeeze, Unsqueeze, Flatten, Transpose of 1s        Reshape (the target is the output's shape); two in a row: one
 *   Transpose after Transpose                           one Transpose
 *   Split; Gather of one index, or of a regular range   Slice, and a Reshape where a dimension goes
 *   Reduce* without keepdims                            Reduce*, then Reshape
 *   GlobalAveragePool, AveragePool of the whole plane   ReduceMean
 *   Gemm, FusedGemm (alpha = beta = 1)                  MatMul, Add; the weight's 'transposed' absorbs transB
 *   FusedMatMul, TransposeMatMul                        Transpose, MatMul, Mul as needed
 *   FusedConv                                           Conv, Add, activation
 *   Pad of zeros, then Conv                             Conv with the padding of both
 *   Gelu by erf; by tanh, FastGelu; QuickGelu, Swish    Gelu; FastGelu; QuickGelu, with alpha (1 is SiLU)
 *   BiasGelu, FastGelu with a bias                      Add, then the activation
 *   SimplifiedLayerNormalization, RMSNormalization      RMSNormalization
 *   SkipLayerNormalization, SkipSimplified...           Add (once or twice), then the normalization
 *   MatMulNBits, MatMulBnb4, MatMulInteger, ConvInteger, MatMul, Conv, Gather with a packed weight, then Add for a bias
 *     QLinearMatMul, QLinearConv, GatherBlockQuantized,
 *     with the scaling that follows
 *   a product with a packed weight, plus one of the      the product with a weight that has offsets: net_offsets.c
 *     sums of groups with their offsets
 *   Clip                                                Clip(x, low, high), a bound is NULL where there is none
 *   IsNaN of an activation                              constant false
 *
 * Attention, MultiHeadAttention, GroupQueryAttention and RotaryEmbedding stay as they are, with checked shapes. */
#ifndef FVLM_CONVERT_GRAPH_NET_H
#define FVLM_CONVERT_GRAPH_NET_H

#include "convert/graph/graph.h"

typedef struct fvlm_net_value fvlm_net_value;
typedef struct fvlm_net_quantized fvlm_net_quantized; /* private to net*.c */

/* How a constant's elements are computed from a stored tensor. Logical shapes of the stored tensor: NBITS and BNB4
 * [N, K], so that MatMul's right side is transposed; GATHER [rows, columns]; LINEAR its own. */
typedef enum {
    FVLM_PACKED_NONE = 0, /* stored as floats */
    FVLM_PACKED_NBITS,    /* MatMulNBits: [N, blocks, bytes], scales, zero points */
    FVLM_PACKED_BNB4,     /* MatMulBnb4: flat nibbles, the first in the high one; absmax in 'scales' */
    FVLM_PACKED_GATHER,   /* GatherBlockQuantized */
    FVLM_PACKED_LINEAR    /* DequantizeLinear, ConvInteger, MatMulInteger: per tensor, axis or block */
} fvlm_packed_kind;

typedef struct {
    fvlm_packed_kind kind;
    const fvlm_graph_tensor *scales, *zero_points; /* zero_points may be NULL: the default of the operator */
    unsigned bits;                                 /* 8 or 4 */
    uint64_t block;                                /* elements that share a scale; 0: per axis or per tensor */
    unsigned axis;                    /* of the stored tensor: along which blocks lie, or which has a scale each */
    unsigned table;                   /* FVLM_PACKED_BNB4: 0 FP4, 1 NF4 */
    const fvlm_graph_tensor *offsets; /* added to scale * (code - zero point), as many as scales; NULL: none */
    bool offsets_turned;              /* [groups][rows] instead of [rows][groups] */
} fvlm_packed;

/* A stored constant. Logical shape: fvlm_net_value.dims. */
typedef struct {
    const fvlm_graph_tensor *tensor;
    fvlm_packed packed;
    bool transposed; /* the value is the transpose of the last two of the stored dimensions (after a reshape that only
                        adds or removes dimensions of 1) */
} fvlm_net_weight;

/* Of Conv, AveragePool and MaxPool; auto_pad is resolved. */
typedef struct {
    unsigned n_spatial; /* at most 3 */
    uint64_t group, kernel[3], stride[3], dilation[3], pad_before[3], pad_after[3];
    bool count_pad; /* AveragePool: padding counts as zeros */
} fvlm_net_window;

typedef struct {
    const fvlm_graph_node *node; /* that it comes from, for messages and for attributes that are not below */
    const char *op;              /* of the right column above, or the operator's own name */
    size_t n_inputs, n_outputs;
    fvlm_net_value **inputs; /* NULL where one is left out */
    fvlm_net_value **outputs;
    size_t index; /* fvlm_net_node_at(net, index) is this one */
    /* Attributes, with defaults filled in and axes counted from the front. Those that the operator does not have are
     * 0. */
    unsigned axis;                      /* Softmax, Concat, Gather, LayerNormalization, RMSNormalization */
    uint32_t axes;                      /* Reduce*: bit i is dimension i */
    unsigned perm[FVLM_GRAPH_MAX_RANK]; /* Transpose: output dimension i is input dimension perm[i] */
    int64_t start[FVLM_GRAPH_MAX_RANK], step[FVLM_GRAPH_MAX_RANK]; /* Slice: of every dimension */
    double alpha, beta;                                            /* QuickGelu, LeakyRelu, Elu, HardSigmoid */
    double epsilon;                                                /* normalizations */
    const fvlm_net_window *window;                                 /* Conv, AveragePool, MaxPool */
} fvlm_net_node;

struct fvlm_net_value {
    const char *name; /* in the file; a value that only exists here has the name of the one it leads to */
    int32_t type;
    unsigned rank;
    uint64_t dims[FVLM_GRAPH_MAX_RANK];
    uint64_t n_elems;
    fvlm_net_node *producer; /* NULL for inputs and constants */
    size_t n_users;
    fvlm_net_node **users; /* those left, one for each use; a value that the graph puts out has is_output besides */
    bool is_input, is_output;
    bool is_const;
    const double *numbers;  /* a small constant, stored (n_elems <= FVLM_NET_SMALL) or computed (<= FVLM_NET_COMPUTED):
                               its elements, exact (integers below 2^53), rounded to 'type' as the operators that
                               computed them do */
    const double *uniform;  /* a larger one: NULL, or what all its elements are */
    fvlm_net_weight weight; /* a constant that is stored: where; tensor is NULL for computed ones */
    fvlm_net_quantized *quantized; /* private to net*.c */
};

#define FVLM_NET_SMALL 65536        /* elements of a stored constant whose numbers are looked at */
#define FVLM_NET_COMPUTED (1 << 20) /* of a computed one: a mask of 1024 x 1024 */

/* A concrete input. dims replace symbols, and must agree with what is declared. */
typedef struct {
    const char *name;
    unsigned rank;
    uint64_t dims[FVLM_GRAPH_MAX_RANK];
    const double *numbers; /* contents, if they are to be known; or NULL */
} fvlm_net_input;

typedef struct fvlm_net fvlm_net;

/* g must outlive the net. Every graph input must be among inputs. Refuses operators that it does not know and shapes
 * that do not fit, with the node's name. On failure *out is NULL. A net is read-only: threads may share it. */
fvlm_status fvlm_net_create(fvlm_net **out, const fvlm_graph *g, const fvlm_net_input *inputs, size_t n, fvlm_err *err);
void fvlm_net_destroy(fvlm_net **net); /* NULL is fine */

const fvlm_graph *fvlm_net_graph(const fvlm_net *net);
size_t fvlm_net_n_nodes(const fvlm_net *net); /* that are left, in running order; dead ones are not there */
fvlm_net_node *fvlm_net_node_at(const fvlm_net *net, size_t i);
fvlm_net_value *fvlm_net_input_value(const fvlm_net *net, const char *name);  /* NULL if absent */
fvlm_net_value *fvlm_net_output_value(const fvlm_net *net, const char *name); /* what is put out under this name */
fvlm_net_value *fvlm_net_value_of(const fvlm_net *net, uint32_t id); /* what stands for the graph's value; NULL: none */
size_t fvlm_net_n_fake_quantized(const fvlm_net *net);               /* activations that the file rounds to integers */
/* FLOAT activations that the file casts to FLOAT16 or BFLOAT16; *first: the first such Cast. */
size_t fvlm_net_n_narrowed(const fvlm_net *net, const fvlm_graph_node **first);

/* ---- what matchers ask ---- */

/* The product of dimensions from .. to - 1. */
uint64_t fvlm_net_product(const fvlm_net_value *v, unsigned from, unsigned to);
/* v is computed by this operator. */
bool fvlm_net_is(const fvlm_net_value *v, const char *op);
/* For a commutative node with one constant: the constant and the other input. False if not so. */
bool fvlm_net_split_const(const fvlm_net_node *n, fvlm_net_value **constant, fvlm_net_value **other);
/* All elements of a small or uniform constant equal x, to a relative 1e-3 if its type is FLOAT16 or BFLOAT16, else 1e-6
 * (infinities and 0: exactly). */
bool fvlm_net_all(const fvlm_net_value *v, double x);

/* Element i of a stored tensor. 64-bit integers beyond 2^53 are rounded. */
double fvlm_net_stored_number(const fvlm_graph_tensor *t, uint64_t i);
/* For Reshape, Transpose, Slice, Expand, Tile and Gather by known indices: from[i] is the index of the element of the
 * first input that element i of the output is. FVLM_BAD_INPUT if an index of Gather is out of range. */
fvlm_status fvlm_net_moved_from(double *from, const fvlm_net_node *n, fvlm_err *err);

/* Refuses: "node "/conv/Conv" (Conv): expected TEXT". */
fvlm_status fvlm_net_expected(const fvlm_net *net, const fvlm_net_node *n, fvlm_err *err, const char *fmt, ...)
    FVLM_PRINTF(4, 5);

#endif
