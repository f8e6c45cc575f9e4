/* SPDX-License-Identifier: Apache-2.0 */
/* origin.h - private to graph/: where each element of a value comes from, through operations that only move, scale and
 * rotate elements. So an attention's heads, a cache, a rotary embedding and a packed projection are recognized by what
 * arrives where, however an exporter spelled it.
 *
 * Traced: Reshape, Transpose, Slice, Concat, Expand, Tile, Gather and Where by constants, Neg, Mul and Div by
 * constants, Add and Sub of two values that are scaled so, and both RotaryEmbeddings with constant tables. Everything
 * else is a source. */
#ifndef FVLM_CONVERT_GRAPH_ORIGIN_H
#define FVLM_CONVERT_GRAPH_ORIGIN_H

#include "convert/graph/net.h"

#define FVLM_ORIGIN_SOURCES 4

/* factor[0] * source[0][index[0]] + factor[1] * source[1][index[1]]; n terms of it. */
typedef struct {
    double factor[2];
    uint32_t index[2];
    uint8_t source[2], n;
} fvlm_origin;

typedef struct {
    const fvlm_net_value *source[FVLM_ORIGIN_SOURCES];
    unsigned n_sources;
    const fvlm_net_node *rotary; /* the RotaryEmbedding on the way, or NULL */
    bool coarse;                 /* a constant on the way is FLOAT16 or BFLOAT16 */
    fvlm_origin *elems;          /* of the traced value, in its order */
    uint64_t n_elems;
} fvlm_origins;

/* Traces v. On failure *out is empty; it refuses values that are too large or too far from their sources. */
fvlm_status fvlm_origins_trace(fvlm_origins *out, const fvlm_net *net, const fvlm_net_value *v, fvlm_err *err);
/* The same through operations that only move elements. */
fvlm_status fvlm_origins_trace_moves(fvlm_origins *out, const fvlm_net *net, const fvlm_net_value *v, fvlm_err *err);
void fvlm_origins_free(fvlm_origins *o); /* zeroed is fine */

/* An element of a constant: small, uniform or stored as floats. False if it is none of these. */
bool fvlm_origin_number(double *out, const fvlm_net_value *v, uint64_t i);

/* The element of a value that is broadcast to element i of another. */
uint64_t fvlm_origin_broadcast_index(const fvlm_net_value *from, const fvlm_net_value *to, uint64_t i);

#endif
