/* SPDX-License-Identifier: Apache-2.0 */
/* origin_internal.h - private to origin*.c: a trace on its way. */
#ifndef FVLM_CONVERT_GRAPH_ORIGIN_INTERNAL_H
#define FVLM_CONVERT_GRAPH_ORIGIN_INTERNAL_H

#include "convert/graph/origin.h"

#define FVLM_ORIGIN_MAX (1u << 20)  /* elements of a value */
#define FVLM_ORIGIN_WORK (1u << 24) /* elements of all values of a trace */
#define FVLM_ORIGIN_DEPTH 48        /* operations in a row */

typedef struct {
    fvlm_origins *out;
    const fvlm_net *net;
    uint64_t work;
    unsigned depth;
    bool only_moves;
    fvlm_err *err;
} fvlm_origin_trace;

/* a * x + b * y in *out. False if that has more than two terms. */
bool fvlm_origin_combine(fvlm_origin *out, double a, const fvlm_origin *x, double b, const fvlm_origin *y);

/* The output of a node that moves elements of its first input, 'in'. */
fvlm_status fvlm_origin_move(fvlm_origin *out, const fvlm_origin_trace *t, const fvlm_net_node *n,
                             const fvlm_origin *in);

/* Whether n is a RotaryEmbedding whose tables and positions are constant. */
bool fvlm_origin_is_rotary(const fvlm_net_node *n);
fvlm_status fvlm_origin_rotate(fvlm_origin *out, fvlm_origin_trace *t, const fvlm_net_node *n, const fvlm_origin *in);

#endif
