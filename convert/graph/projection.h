/* SPDX-License-Identifier: Apache-2.0 */
/* projection.h - private to graph/: the parts that a decoder consists of: x W + b, RMSNorm, the gated FFN. */
#ifndef FVLM_CONVERT_GRAPH_PROJECTION_H
#define FVLM_CONVERT_GRAPH_PROJECTION_H

#include "convert/graph/match.h"

/* Steps over operations that keep every element and their order. */
fvlm_net_value *fvlm_net_skip_reshapes(fvlm_net_value *v);

/* MatMul by a constant [in, out], then perhaps Add of a constant [out]. */
typedef struct {
    fvlm_net_value *in, *out;
    const fvlm_net_node *matmul;
    const fvlm_net_value *weight, *bias; /* bias may be NULL */
    uint64_t n_in, n_out;
} fvlm_projection;

bool fvlm_projection_find(fvlm_projection *out, fvlm_net_value *v);

/* Rows first .. first + n - 1 of a projection as NAME.weight and, if biased, NAME.bias (zeros if it has none). A bias
 * that is not expected is refused. */
typedef struct {
    fvlm_projection of;
    uint64_t first, n;
} fvlm_projection_rows;
fvlm_status fvlm_projection_add(fvlm_match *m, const fvlm_net *net, const fvlm_projection_rows *rows, bool biased,
                                const char *name, fvlm_err *err);

/* gamma * x / sqrt(mean(x^2) + eps) over the last dimension, as one node or spelled out. */
typedef struct {
    fvlm_net_value *in;
    const fvlm_net_value *gamma; /* NULL: ones */
    const fvlm_net_node *node;   /* that multiplies by gamma */
    double eps;
    int32_t eps_type; /* that the file rounded it to */
    uint64_t width;
} fvlm_rms_norm;

fvlm_status fvlm_rms_norm_find(fvlm_rms_norm *out, const fvlm_net *net, fvlm_net_value *v, fvlm_err *err);
fvlm_status fvlm_rms_norm_add(fvlm_match *m, const fvlm_net *net, const fvlm_rms_norm *norm, const char *name,
                              fvlm_err *err);

/* The factors of a product that Mul, Div and Reciprocal spell; the inverted ones are divided by. */
#define FVLM_FACTORS 4
typedef struct {
    fvlm_net_value *v[FVLM_FACTORS];
    bool inverted[FVLM_FACTORS];
    unsigned n;
} fvlm_factors;
bool fvlm_factors_find(fvlm_factors *out, fvlm_net_value *v); /* false: more than FVLM_FACTORS */

/* silu(gate(x)) * up(x), the input of the down projection. */
fvlm_status fvlm_gate_find(fvlm_projection_rows *gate, fvlm_projection_rows *up, const fvlm_net *net, fvlm_net_value *v,
                           fvlm_err *err);

#endif
