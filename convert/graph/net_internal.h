/* SPDX-License-Identifier: Apache-2.0 */
/* net_internal.h - how a net is built; private to net*.c.
 *
 * net.c evaluates the graph's nodes one by one. Each has a handler (net_operators.c), which checks its inputs and emits
 * nodes in the forms that net.h lists (net_emit.c). Emitting computes the result if the inputs are known
 * (net_compute*.c), points into a stored weight if that is enough (net_weight.c), and else appends a node. */
#ifndef FVLM_CONVERT_GRAPH_NET_INTERNAL_H
#define FVLM_CONVERT_GRAPH_NET_INTERNAL_H

#include "convert/graph/net.h"

#define FVLM_NET_MAX_BYTES (192u << 20)       /* of values, nodes and computed numbers */
#define FVLM_NET_MAX_WORK (UINT64_C(1) << 27) /* elements of small constants that are read or computed */
#define FVLM_NET_MAX_ELEMS (UINT64_C(1) << 48)
#define FVLM_NET_MIN_SLOTS 16 /* inputs and outputs that a handler may read or write, whatever the node has */

typedef struct fvlm_net_chunk fvlm_net_chunk;

struct fvlm_net {
    const fvlm_graph *g;
    int64_t opset; /* of ai.onnx */
    fvlm_net_chunk *chunks;
    uint64_t n_bytes, work;
    fvlm_net_value **values; /* by the graph's id; NULL: not evaluated */
    fvlm_net_node **nodes;
    size_t n_nodes, nodes_capacity;
    size_t n_fake_quantized, n_narrowed;
    const fvlm_graph_node *narrowed; /* the first */
    const fvlm_graph_node *at;       /* the node that is being evaluated */
    const char *name;                /* of its first output */
    /* The matrix of groups that net_offsets.c checked last. */
    const fvlm_graph_tensor *members;
    uint64_t members_size;
    bool members_turned;
};

typedef struct {
    unsigned rank;
    uint64_t dims[FVLM_GRAPH_MAX_RANK];
} fvlm_net_shape;

/* Integers or scales on the way between an activation and what is computed from it. No ordinary operator may use them.
 */
typedef enum {
    FVLM_QUANTIZED_VALUES, /* integers that stand for 'of', by 'scale' and 'zero' if those are constant */
    FVLM_QUANTIZED_SCALE,  /* DynamicQuantizeLinear's scale of 'of', times 'scale' if that is not NULL */
    FVLM_QUANTIZED_ZERO,   /* its zero point */
    FVLM_QUANTIZED_SUMS    /* what MatMulInteger and ConvInteger make of 'of' */
} fvlm_quantized_kind;

struct fvlm_net_quantized {
    fvlm_quantized_kind kind;
    fvlm_net_value *of;
    fvlm_net_value *scale, *zero;
    /* SUMS: what becomes of them once both scales are multiplied in */
    const char *op;
    fvlm_net_value *weight, *weight_zero;
    const fvlm_net_window *window;
    bool has_scale; /* of the activation */
};

/* ---- net_store.c: memory, values, refusals ---- */

/* Zeroed memory that lives as long as the net. NULL with the reason in *err. */
void *fvlm_net_take(fvlm_net *net, size_t n, size_t size, fvlm_err *err);
void fvlm_net_free_chunks(fvlm_net *net);
fvlm_status fvlm_net_spend(fvlm_net *net, uint64_t work, fvlm_err *err);

/* The product of the dimensions; refuses more than FVLM_NET_MAX_ELEMS. */
fvlm_status fvlm_net_count(uint64_t *out, unsigned rank, const uint64_t *dims, fvlm_err *err);
fvlm_net_shape fvlm_net_shape_of(const fvlm_net_value *v);
bool fvlm_net_same_shape(const fvlm_net_value *v, const fvlm_net_shape *shape);
/* "[1, 3, 1024, 1024]" */
const char *fvlm_net_shape_text(unsigned rank, const uint64_t *dims, char out[200]);

fvlm_status fvlm_net_new_value(fvlm_net_value **out, fvlm_net *net, int32_t type, const fvlm_net_shape *shape,
                               fvlm_err *err);
/* A constant whose numbers the caller fills. At most FVLM_NET_COMPUTED elements. */
fvlm_status fvlm_net_new_const(fvlm_net_value **out, double **numbers, fvlm_net *net, int32_t type,
                               const fvlm_net_shape *shape, fvlm_err *err);
fvlm_status fvlm_net_new_scalar(fvlm_net_value **out, fvlm_net *net, int32_t type, double x, fvlm_err *err);
fvlm_status fvlm_net_new_uniform(fvlm_net_value **out, fvlm_net *net, int32_t type, const fvlm_net_shape *shape,
                                 double x, fvlm_err *err);
/* A constant that is stored, with its numbers if it is small. */
fvlm_status fvlm_net_new_stored(fvlm_net_value **out, fvlm_net *net, const fvlm_graph_tensor *t, fvlm_err *err);

/* A value that holds what *q describes. */
fvlm_status fvlm_net_new_quantized(fvlm_net_value **out, fvlm_net *net, int32_t type, const fvlm_net_shape *shape,
                                   const fvlm_net_quantized *q, fvlm_err *err);

bool fvlm_net_is_float(int32_t type);
bool fvlm_net_is_integer(int32_t type); /* without BOOL */

/* ---- net_numbers.c ---- */

/* x as an element of this type. False if an integer type cannot hold it: NaN, infinity, beyond 2^63. */
bool fvlm_net_round(double *x, int32_t type);
/* A float as int64, saturated. */
int64_t fvlm_net_to_int(double x);

/* What is known of an operand: all numbers, one that repeats, or where they are stored. */
typedef struct {
    const fvlm_net_value *value; /* shape and type */
    const double *numbers, *uniform;
} fvlm_net_operand;
double fvlm_net_operand_at(const fvlm_net_operand *o, uint64_t i);
/* Known, or stored as plain elements. */
bool fvlm_net_is_readable(const fvlm_net_value *v);

/* ---- net_compute*.c: what an operator does, in double ---- */

typedef fvlm_status fvlm_net_kernel(const fvlm_net_node *n, const fvlm_net_operand *in, double *out, fvlm_err *err);
fvlm_net_kernel fvlm_net_compute_elementwise, fvlm_net_compute_move, fvlm_net_compute_concat, fvlm_net_compute_pad,
    fvlm_net_compute_gather, fvlm_net_compute_gather_elements, fvlm_net_compute_gather_nd,
    fvlm_net_compute_scatter_elements, fvlm_net_compute_scatter_nd, fvlm_net_compute_trilu, fvlm_net_compute_cumsum,
    fvlm_net_compute_reduce, fvlm_net_compute_arg, fvlm_net_compute_softmax, fvlm_net_compute_norm,
    fvlm_net_compute_matmul;

typedef enum {
    FVLM_KERNEL_PLAIN,
    FVLM_KERNEL_ELEMENTWISE, /* equal inputs give equal outputs */
    FVLM_KERNEL_MOVES,       /* every output element is an element of the first input */
    FVLM_KERNEL_PICKS        /* the same, and the first input may be stored: few elements are read */
} fvlm_kernel_kind;

/* NULL if the operator is not computed. */
fvlm_net_kernel *fvlm_net_kernel_of(const char *op, fvlm_kernel_kind *kind);
/* Computes and rounds to the output's type. */
fvlm_status fvlm_net_compute(const fvlm_net_node *n, const fvlm_net_operand *in, double *out, bool round,
                             fvlm_err *err);
bool fvlm_net_is_elementwise(const char *op, size_t *n_inputs);

/* ---- net_emit.c ---- */

/* A node with one output. 'proto' has op, inputs and attributes; it is copied. *out may be a value that exists. */
fvlm_status fvlm_net_emit(fvlm_net_value **out, fvlm_net *net, const fvlm_net_node *proto, int32_t type,
                          const fvlm_net_shape *shape, fvlm_err *err);
/* A node with several outputs, whose values exist. */
fvlm_status fvlm_net_append(fvlm_net *net, const fvlm_net_node *proto, fvlm_err *err);
fvlm_status fvlm_net_emit_reshape(fvlm_net_value **out, fvlm_net *net, fvlm_net_value *x, const fvlm_net_shape *shape,
                                  fvlm_err *err);
fvlm_status fvlm_net_emit_transpose(fvlm_net_value **out, fvlm_net *net, fvlm_net_value *x, const unsigned *perm,
                                    fvlm_err *err);
fvlm_status fvlm_net_emit_slice(fvlm_net_value **out, fvlm_net *net, fvlm_net_value *x, const int64_t *start,
                                const int64_t *step, const fvlm_net_shape *shape, fvlm_err *err);
/* One or two inputs, broadcast. */
fvlm_status fvlm_net_emit_unary(fvlm_net_value **out, fvlm_net *net, const char *op, fvlm_net_value *x, double alpha,
                                fvlm_err *err);
fvlm_status fvlm_net_emit_binary(fvlm_net_value **out, fvlm_net *net, const char *op, fvlm_net_value *a,
                                 fvlm_net_value *b, fvlm_err *err);
fvlm_status fvlm_net_emit_reduce(fvlm_net_value **out, fvlm_net *net, const char *op, fvlm_net_value *x, uint32_t axes,
                                 bool keep, fvlm_err *err);
fvlm_status fvlm_net_emit_matmul(fvlm_net_value **out, fvlm_net *net, fvlm_net_value *a, fvlm_net_value *b,
                                 fvlm_err *err);
/* net_offsets.c: the sum of a, a product with a packed weight, and b, which adds offsets to the weight, as one product.
 * *out is NULL if that is not what they are. */
fvlm_status fvlm_net_join_offsets(fvlm_net_value **out, fvlm_net *net, fvlm_net_value *a, fvlm_net_value *b,
                                  fvlm_err *err);
fvlm_status fvlm_net_matmul_shape(fvlm_net_shape *shape, const fvlm_net_value *a, const fvlm_net_value *b,
                                  fvlm_err *err);
/* The shape that inputs broadcast to. */
fvlm_status fvlm_net_broadcast(fvlm_net_shape *shape, fvlm_net_value *const *in, size_t n, fvlm_err *err);

/* ---- net_weight.c ---- */

/* Sets out->weight if the node only renames, reorders or widens a stored constant. */
bool fvlm_net_view_weight(const fvlm_net_node *n, fvlm_net_value *out);
/* The stored tensor of a constant in its own order; one is made of computed numbers. NULL with the reason in *err. */
const fvlm_graph_tensor *fvlm_net_tensor_of(fvlm_net *net, const fvlm_net_value *v, fvlm_err *err);
/* A stored constant of integers with scales (and zero points, or NULL): a constant of floats. */
fvlm_status fvlm_net_new_linear(fvlm_net_value **out, fvlm_net *net, const fvlm_net_value *x,
                                const fvlm_net_value *scale, const fvlm_net_value *zero, unsigned axis, uint64_t block,
                                fvlm_err *err);

/* ---- handlers ---- */

/* in and out have FVLM_NET_MIN_SLOTS elements or more; inputs that are left out are NULL. */
typedef fvlm_status fvlm_net_handler(fvlm_net *net, const fvlm_graph_node *n, fvlm_net_value **in, fvlm_net_value **out,
                                     fvlm_err *err);

typedef struct {
    const char *domain, *op;
    fvlm_net_handler *handle;
    unsigned min_inputs, max_inputs; /* UINT_MAX: any number */
    unsigned quantized;              /* FVLM_NET_TAKES_*: whether inputs may be quantized */
} fvlm_net_operator;

enum {
    FVLM_NET_TAKES_FLOATS,    /* no */
    FVLM_NET_TAKES_MOVED,     /* moves elements: integers of an activation become integers of the moved activation */
    FVLM_NET_TAKES_QUANTIZED, /* knows what to do */
};

const fvlm_net_operator *fvlm_net_operator_of(const fvlm_graph_node *n);

/* ---- net_attr.c: refusals do not name the node; net.c does ---- */

fvlm_status fvlm_net_axis(unsigned *out, int64_t axis, unsigned rank, fvlm_err *err);
fvlm_status fvlm_net_axes(uint32_t *out, const int64_t *axes, size_t n, unsigned rank, fvlm_err *err);
fvlm_status fvlm_net_attr_axis(unsigned *out, const fvlm_graph_node *n, const char *name, int64_t absent, unsigned rank,
                               fvlm_err *err);
fvlm_status fvlm_net_attr_double(double *out, const fvlm_graph_node *n, const char *name, float absent, fvlm_err *err);
fvlm_status fvlm_net_attr_bool(bool *out, const fvlm_graph_node *n, const char *name, bool absent, fvlm_err *err);
/* From 1 to 2^30. */
fvlm_status fvlm_net_attr_count(uint64_t *out, const fvlm_graph_node *n, const char *name, int64_t absent,
                                fvlm_err *err);
fvlm_status fvlm_net_attr_text(const char **out, const fvlm_graph_node *n, const char *name, const char *absent,
                               fvlm_err *err);
/* Refuses every value of an integer attribute but this one. */
fvlm_status fvlm_net_attr_only(const fvlm_graph_node *n, const char *name, int64_t only, fvlm_err *err);
/* The integers of an input that must be known, such as axes: *out lives as long as the net. what: "axes", for the
 * message. */
fvlm_status fvlm_net_ints(const int64_t **out, size_t *n, fvlm_net *net, const fvlm_net_value *v, const char *what,
                          fvlm_err *err);
/* Integers that older versions of an operator have as an attribute, newer ones as an input (NULL: left out). *n is 0 if
 * there are none. */
fvlm_status fvlm_net_input_or_attr(const int64_t **out, size_t *n, fvlm_net *net, const fvlm_graph_node *node,
                                   const fvlm_net_value *input, const char *name, fvlm_err *err);

#endif
