/* SPDX-License-Identifier: Apache-2.0 */
/* net_compute_index.c - operators that take indices: Gather, GatherElements, GatherND, ScatterElements, ScatterND. */
#include "convert/graph/net_internal.h"

#include <inttypes.h>
#include <string.h>

static fvlm_status check_index(uint64_t *out, double x, uint64_t n, fvlm_err *err)
{
    int64_t i = fvlm_net_to_int(x);
    if (i < 0) i += (int64_t)n;
    if (i < 0 || (uint64_t)i >= n) return fvlm_fail(err, FVLM_BAD_INPUT, "index %.0f of a dimension of %" PRIu64, x, n);
    *out = (uint64_t)i;
    return FVLM_OK;
}

fvlm_status fvlm_net_compute_gather(const fvlm_net_node *n, const fvlm_net_operand *in, double *out, fvlm_err *err)
{
    const fvlm_net_value *x = in[0].value, *indices = in[1].value;
    uint64_t outer = fvlm_net_product(x, 0, n->axis), inner = fvlm_net_product(x, n->axis + 1, x->rank),
             length = x->dims[n->axis];
    for (uint64_t o = 0; o < outer; o++)
        for (uint64_t k = 0; k < indices->n_elems; k++) {
            uint64_t i = 0;
            fvlm_status st = check_index(&i, fvlm_net_operand_at(&in[1], k), length, err);
            if (st) return st;
            for (uint64_t e = 0; e < inner; e++) *out++ = fvlm_net_operand_at(&in[0], (o * length + i) * inner + e);
        }
    return FVLM_OK;
}

/* Where element i of 'indices' points to in x: its own position, but for the axis. */
static fvlm_status element_of(uint64_t *out, const fvlm_net_node *n, const fvlm_net_operand *x,
                              const fvlm_net_operand *indices, uint64_t i, fvlm_err *err)
{
    uint64_t at = 0, step = 1, rest = i;
    for (unsigned d = x->value->rank; d-- > 0;) {
        uint64_t k = rest % indices->value->dims[d];
        rest /= indices->value->dims[d];
        fvlm_status st = FVLM_OK;
        if (d == n->axis) st = check_index(&k, fvlm_net_operand_at(indices, i), x->value->dims[d], err);
        if (st) return st;
        at += k * step;
        step *= x->value->dims[d];
    }
    *out = at;
    return FVLM_OK;
}

fvlm_status fvlm_net_compute_gather_elements(const fvlm_net_node *n, const fvlm_net_operand *in, double *out,
                                             fvlm_err *err)
{
    for (uint64_t i = 0; i < in[1].value->n_elems; i++) {
        uint64_t at = 0;
        fvlm_status st = element_of(&at, n, &in[0], &in[1], i, err);
        if (st) return st;
        out[i] = fvlm_net_operand_at(&in[0], at);
    }
    return FVLM_OK;
}

fvlm_status fvlm_net_compute_scatter_elements(const fvlm_net_node *n, const fvlm_net_operand *in, double *out,
                                              fvlm_err *err)
{
    for (uint64_t i = 0; i < in[0].value->n_elems; i++) out[i] = fvlm_net_operand_at(&in[0], i);
    for (uint64_t i = 0; i < in[1].value->n_elems; i++) {
        uint64_t at = 0;
        fvlm_status st = element_of(&at, n, &in[0], &in[1], i, err);
        if (st) return st;
        out[at] = fvlm_net_operand_at(&in[2], i);
    }
    return FVLM_OK;
}

/* The first element of the slice of x that index vector number i names, after 'batch' equal dimensions. */
static fvlm_status slice_of(uint64_t *out, const fvlm_net_value *x, const fvlm_net_operand *indices, uint64_t i,
                            unsigned batch, fvlm_err *err)
{
    unsigned depth = (unsigned)indices->value->dims[indices->value->rank - 1];
    uint64_t per_batch = fvlm_net_product(indices->value, batch, indices->value->rank - 1);
    uint64_t at = per_batch ? i / per_batch : 0;
    for (unsigned d = 0; d < depth; d++) {
        uint64_t k = 0;
        fvlm_status st = check_index(&k, fvlm_net_operand_at(indices, i * depth + d), x->dims[batch + d], err);
        if (st) return st;
        at = at * x->dims[batch + d] + k;
    }
    *out = at * fvlm_net_product(x, batch + depth, x->rank);
    return FVLM_OK;
}

fvlm_status fvlm_net_compute_gather_nd(const fvlm_net_node *n, const fvlm_net_operand *in, double *out, fvlm_err *err)
{
    const fvlm_net_value *x = in[0].value, *indices = in[1].value;
    unsigned depth = (unsigned)indices->dims[indices->rank - 1];
    uint64_t length = fvlm_net_product(x, n->axis + depth, x->rank),
             n_slices = fvlm_net_product(indices, 0, indices->rank - 1);
    for (uint64_t i = 0; i < n_slices; i++) {
        uint64_t at = 0;
        fvlm_status st = slice_of(&at, x, &in[1], i, n->axis, err);
        if (st) return st;
        for (uint64_t e = 0; e < length; e++) *out++ = fvlm_net_operand_at(&in[0], at + e);
    }
    return FVLM_OK;
}

fvlm_status fvlm_net_compute_scatter_nd(const fvlm_net_node *n, const fvlm_net_operand *in, double *out, fvlm_err *err)
{
    (void)n;
    const fvlm_net_value *x = in[0].value, *indices = in[1].value;
    unsigned depth = (unsigned)indices->dims[indices->rank - 1];
    uint64_t length = fvlm_net_product(x, depth, x->rank), n_slices = fvlm_net_product(indices, 0, indices->rank - 1);
    for (uint64_t i = 0; i < x->n_elems; i++) out[i] = fvlm_net_operand_at(&in[0], i);
    for (uint64_t i = 0; i < n_slices; i++) {
        uint64_t at = 0;
        fvlm_status st = slice_of(&at, x, &in[1], i, 0, err);
        if (st) return st;
        for (uint64_t e = 0; e < length; e++) out[at + e] = fvlm_net_operand_at(&in[2], i * length + e);
    }
    return FVLM_OK;
}
