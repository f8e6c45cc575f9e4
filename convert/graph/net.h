/* SPDX-License-Identifier: Apache-2.0 */
/* net.h - private to graph/: a graph evaluated as far as it can be without weights and pixels.
 *
 * The graph is walked once for concrete inputs: every value gets a concrete shape, and what depends only on shapes,
 * constants and the given contents of small inputs (position ids, an attention mask of ones) is computed. What is left
 * are the operations on activations. So shape arithmetic, masks and tables of cosines are constants here, however an
 * exporter spelled them, and a matcher compares numbers instead of recognizing subgraphs.
 *
 * Operations that change no value are stepped over: Identity, Dropout, Cast between float types, Reshape, Transpose,
 * Slice, Expand to the same shape, QuantizeLinear followed by DequantizeLinear of an activation (noted in
 * n_fake_quantized). */
#ifndef FVLM_CONVERT_GRAPH_NET_H
#define FVLM_CONVERT_GRAPH_NET_H

#include "convert/graph/graph.h"

typedef struct fvlm_net_value fvlm_net_value;

/* How a constant's elements are computed from a stored tensor. */
typedef enum {
    FVLM_PACKED_NONE = 0, /* stored as floats */
    FVLM_PACKED_NBITS,    /* MatMulNBits: [N, blocks, bytes], scales, zero points */
    FVLM_PACKED_BNB4,     /* MatMulBnb4: flat nibbles, the first in the high one; absmax */
    FVLM_PACKED_GATHER,   /* GatherBlockQuantized */
    FVLM_PACKED_LINEAR    /* DequantizeLinear, ConvInteger, MatMulInteger: per tensor, axis or block */
} fvlm_packed_kind;

typedef struct {
    fvlm_packed_kind kind;
    const fvlm_graph_tensor *scales, *zero_points; /* zero_points may be NULL: the default of the operator */
    unsigned bits;                                 /* 8 or 4 */
    uint64_t block;                                /* elements that share a scale; 0: per axis or per tensor */
    unsigned axis;  /* of the stored tensor: along which blocks lie, or which has a scale each */
    unsigned table; /* FVLM_PACKED_BNB4: 0 FP4, 1 NF4 */
} fvlm_packed;

/* A weight: large, its elements are not looked at. Logical shape: fvlm_net_value.dims. */
typedef struct {
    const fvlm_graph_tensor *tensor;
    fvlm_packed packed;
    bool transposed; /* the value is the transpose of the last two of the stored dimensions (after a reshape that only
                        adds or removes dimensions of 1) */
} fvlm_net_weight;

typedef struct {
    const fvlm_graph_node *node; /* attributes, and the name for messages */
    const char *op; /* node->op, or the plain name of a variant: "MatMul" for MatMulNBits, MatMulInteger, ...,
                       "Conv" for ConvInteger, "Gather" for GatherBlockQuantized; the packing is in the weight */
    size_t n_inputs, n_outputs;
    fvlm_net_value **inputs; /* NULL where one is left out */
    fvlm_net_value **outputs;
} fvlm_net_node;

struct fvlm_net_value {
    const char *name;
    int32_t type;
    unsigned rank;
    uint64_t dims[FVLM_GRAPH_MAX_RANK];
    uint64_t n_elems;
    fvlm_net_node *producer; /* NULL for inputs and constants */
    size_t n_users;
    fvlm_net_node **users; /* those left; a value that the graph puts out has is_output besides */
    bool is_input, is_output;
    bool is_const;
    const double *numbers; /* a small constant (n_elems <= FVLM_NET_SMALL): its elements, exact (integers below 2^53) */
    fvlm_net_weight weight; /* a constant that is stored: where; tensor is NULL for computed ones */
};

#define FVLM_NET_SMALL 65536

/* A concrete input. dims replace symbols, and must agree with what is declared. */
typedef struct {
    const char *name;
    unsigned rank;
    uint64_t dims[FVLM_GRAPH_MAX_RANK];
    const double *numbers; /* contents, if they are to be known; or NULL */
} fvlm_net_input;

typedef struct fvlm_net fvlm_net;

/* g must outlive the net. Every graph input must be among inputs. Refuses operators that it does not know and shapes
 * that do not fit, with the node's name. */
fvlm_status fvlm_net_create(fvlm_net **out, const fvlm_graph *g, const fvlm_net_input *inputs, size_t n, fvlm_err *err);
void fvlm_net_destroy(fvlm_net **net);

const fvlm_graph *fvlm_net_graph(const fvlm_net *net);
size_t fvlm_net_n_nodes(const fvlm_net *net); /* that are left, in running order; dead ones are not there */
fvlm_net_node *fvlm_net_node_at(const fvlm_net *net, size_t i);
fvlm_net_value *fvlm_net_input_value(const fvlm_net *net, const char *name);  /* NULL if absent */
fvlm_net_value *fvlm_net_output_value(const fvlm_net *net, const char *name); /* what is put out under this name */
size_t fvlm_net_n_fake_quantized(const fvlm_net *net);

/* ---- what matchers ask ---- */

/* v is computed by this operator. */
bool fvlm_net_is(const fvlm_net_value *v, const char *op);
/* The only user of v, if it is one node of this operator; else NULL. */
fvlm_net_node *fvlm_net_only_user(const fvlm_net_value *v, const char *op);
/* For a commutative node with one constant: the constant and the other input. False if not so. */
bool fvlm_net_split_const(const fvlm_net_node *n, fvlm_net_value **constant, fvlm_net_value **other);
/* All elements of a small constant equal x, to a relative 1e-3 where fp16 may have rounded it, else 1e-6. */
bool fvlm_net_all(const fvlm_net_value *v, double x);

/* Refuses: "node "...": expected a depthwise 7x7 convolution, found Add". */
fvlm_status fvlm_net_expected(const fvlm_net *net, const fvlm_net_node *n, fvlm_err *err, const char *fmt, ...)
    FVLM_PRINTF(4, 5);

#endif
