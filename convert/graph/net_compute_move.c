/* SPDX-License-Identifier: Apache-2.0 */
/* net_compute_move.c - operators whose outputs are elements of their inputs, in another order: Reshape, Transpose,
 * Slice, Expand, Tile, Concat, Pad, Trilu. */
#include "convert/graph/net_internal.h"

#include <string.h>

/* Elements between neighbours of each dimension. */
static void strides_of(int64_t *stride, const fvlm_net_value *v)
{
    int64_t step = 1;
    for (unsigned d = v->rank; d-- > 0;) {
        stride[d] = step;
        step *= (int64_t)v->dims[d];
    }
}

/* Advances to the next element of v. Returns the dimension that was incremented; those after it restart at 0. v->rank
 * after the last element. */
static unsigned advance(uint64_t *index, const fvlm_net_value *v)
{
    for (unsigned d = v->rank; d-- > 0;) {
        if (++index[d] < v->dims[d]) return d;
        index[d] = 0;
    }
    return v->rank;
}

fvlm_status fvlm_net_compute_move(const fvlm_net_node *n, const fvlm_net_operand *in, double *out, fvlm_err *err)
{
    (void)err;
    const fvlm_net_value *x = in[0].value, *y = n->outputs[0];
    int64_t stride[FVLM_GRAPH_MAX_RANK], by[FVLM_GRAPH_MAX_RANK], at = 0;
    bool slices = strcmp(n->op, "Slice") == 0, transposes = strcmp(n->op, "Transpose") == 0;
    bool expands = strcmp(n->op, "Expand") == 0;
    unsigned n_new = expands ? y->rank - x->rank : 0; /* leading dimensions that x does not have */
    strides_of(stride, x);
    strides_of(by, y); /* Reshape */
    for (unsigned d = 0; d < y->rank; d++) {
        if (slices) {
            at += n->start[d] * stride[d];
            by[d] = n->step[d] * stride[d];
        } else if (transposes) {
            by[d] = stride[n->perm[d]];
        } else if (expands) {
            by[d] = d < n_new || x->dims[d - n_new] == 1 ? 0 : stride[d - n_new];
        }
    }
    uint64_t index[FVLM_GRAPH_MAX_RANK] = {0};
    for (uint64_t i = 0; i < y->n_elems; i++) {
        out[i] = fvlm_net_operand_at(&in[0], (uint64_t)at);
        unsigned d = advance(index, y);
        if (d < y->rank) at += by[d];
        for (unsigned k = d + 1; k < y->rank; k++) at -= by[k] * (int64_t)(y->dims[k] - 1);
    }
    return FVLM_OK;
}

fvlm_status fvlm_net_compute_concat(const fvlm_net_node *n, const fvlm_net_operand *in, double *out, fvlm_err *err)
{
    (void)err;
    const fvlm_net_value *y = n->outputs[0];
    uint64_t outer = fvlm_net_product(y, 0, n->axis), inner = fvlm_net_product(y, n->axis + 1, y->rank), at = 0;
    for (uint64_t o = 0; o < outer; o++)
        for (size_t k = 0; k < n->n_inputs; k++) {
            uint64_t length = in[k].value->dims[n->axis] * inner;
            for (uint64_t i = 0; i < length; i++) out[at++] = fvlm_net_operand_at(&in[k], o * length + i);
        }
    return FVLM_OK;
}

/* Pad: start holds how many elements are added in front of each dimension, alpha what they are. Tile: dimensions wrap
 * around. */
fvlm_status fvlm_net_compute_pad(const fvlm_net_node *n, const fvlm_net_operand *in, double *out, fvlm_err *err)
{
    (void)err;
    const fvlm_net_value *x = in[0].value, *y = n->outputs[0];
    bool tiles = strcmp(n->op, "Tile") == 0;
    int64_t stride[FVLM_GRAPH_MAX_RANK];
    strides_of(stride, x);
    uint64_t index[FVLM_GRAPH_MAX_RANK] = {0};
    for (uint64_t i = 0; i < y->n_elems; i++) {
        int64_t at = 0;
        bool inside = true;
        for (unsigned d = 0; d < y->rank; d++) {
            int64_t k = (int64_t)index[d] - n->start[d], length = (int64_t)x->dims[d];
            if (tiles) k %= length;
            inside = inside && k >= 0 && k < length;
            if (inside) at += k * stride[d];
        }
        out[i] = inside ? fvlm_net_operand_at(&in[0], (uint64_t)at) : n->alpha;
        advance(index, y);
    }
    return FVLM_OK;
}

/* start[0] is the diagonal; alpha is 1 for the upper triangle. */
fvlm_status fvlm_net_compute_trilu(const fvlm_net_node *n, const fvlm_net_operand *in, double *out, fvlm_err *err)
{
    (void)err;
    const fvlm_net_value *y = n->outputs[0];
    int64_t rows = (int64_t)y->dims[y->rank - 2], columns = (int64_t)y->dims[y->rank - 1];
    for (uint64_t i = 0; i < y->n_elems; i++) {
        int64_t row = (int64_t)i / columns % rows, column = (int64_t)i % columns;
        bool kept = n->alpha != 0 ? column >= row + n->start[0] : column <= row + n->start[0];
        out[i] = kept ? fvlm_net_operand_at(&in[0], i) : 0;
    }
    return FVLM_OK;
}
