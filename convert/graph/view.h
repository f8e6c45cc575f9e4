/* SPDX-License-Identifier: Apache-2.0 */
/* view.h - private to graph/: in which order a value shows the elements of another, through Reshape, Transpose, Slice
 * and Expand.
 *
 * A view is exact: element i of the flattened value is element offset + sum of index_a * stride_a of the flattened
 * base, with index_a the digits of i in the mixed radix of the factors' sizes, the last factor fastest. Neighbours are
 * merged, so that two views with the same dimensions show the same order exactly if their factors are equal. That is
 * how a permuted qkv is told from Apple's order. */
#ifndef FVLM_CONVERT_GRAPH_VIEW_H
#define FVLM_CONVERT_GRAPH_VIEW_H

#include "convert/graph/net.h"

#define FVLM_VIEW_FACTORS 24

typedef struct {
    uint64_t size, stride; /* size > 1; stride 0 repeats */
} fvlm_view_factor;

typedef struct {
    fvlm_net_value *base;
    uint64_t offset;
    unsigned n;
    fvlm_view_factor factor[FVLM_VIEW_FACTORS];
} fvlm_view;

/* A product of scalars met on the way. slack: how far, relatively, rounding to 16 bits may have moved it. */
typedef struct {
    double x, slack;
} fvlm_scalar;

/* The view that v has of the value that the operators above, however many, rearrange. If scale is given, Mul and Div by
 * a scalar are passed as well, and multiply into it. An operator that makes no regular view is the base itself. */
void fvlm_view_trace(fvlm_view *out, fvlm_net_value *v, fvlm_scalar *scale);

/* Whether the view's factors, from offset 0 or any other, are these n (sizes of 1 and neighbours that merge allowed).
 */
bool fvlm_view_is(const fvlm_view *v, const fvlm_view_factor *factors, unsigned n);

/* ---- scalars ---- */

/* A constant all of whose elements are equal. */
bool fvlm_scalar_of(fvlm_scalar *out, const fvlm_net_value *v);
void fvlm_scalar_multiply(fvlm_scalar *a, fvlm_scalar b);
/* Equal to a relative 1e-6, and a's slack. */
bool fvlm_scalar_is(fvlm_scalar a, double x);
/* n is Mul of a scalar or Div by one: multiplies it into *a, and *other is the other input. */
bool fvlm_scalar_step(fvlm_scalar *a, const fvlm_net_node *n, fvlm_net_value **other);

#endif
