/* SPDX-License-Identifier: Apache-2.0 */
/* op_index.c - operators that pick elements by computed indices: Gather, GatherElements, GatherND, NonZero, OneHot. */
#include <inttypes.h>

#include "verify/judge/indices.h"

static fvlm_status run_gather(fvlm_judge_call *c)
{
    const fvlm_judge_value *x = c->in[0], *indices = c->in[1];
    unsigned axis;
    uint64_t dims[2 * FVLM_GRAPH_MAX_RANK], k;
    fvlm_status st = fvlm_indices_read_axis(c, &axis);
    if (st) return st;
    memcpy(dims, x->dims, axis * sizeof *dims);
    memcpy(dims + axis, indices->dims, indices->rank * sizeof *dims);
    memcpy(dims + axis + indices->rank, x->dims + axis + 1, (x->rank - axis - 1) * sizeof *dims);
    st = fvlm_judge_make(c, 0, x->type, x->rank + indices->rank - 1, dims);
    if (st || !c->out[0].n) return st;
    const uint64_t dim = x->dims[axis], inner = fvlm_judge_span(x, axis + 1, x->rank),
                   outer = fvlm_judge_span(x, 0, axis);
    uint8_t *out = c->out[0].data;
    for (uint64_t o = 0; o < outer; o++)
        for (uint64_t i = 0; i < indices->n; i++, out += inner * fvlm_judge_elem_bytes(x)) {
            st = fvlm_indices_at(c, axis, i, &k);
            if (st) return st;
            fvlm_indices_fetch(out, x, (o * dim + k) * inner, inner);
        }
    return FVLM_OK;
}

static fvlm_status run_gather_elements(fvlm_judge_call *c)
{
    unsigned axis;
    uint64_t at;
    fvlm_status st = fvlm_indices_read_elements(c, &axis);
    if (!st) st = fvlm_judge_make_like(c, 0, c->in[0]->type, c->in[1]);
    const size_t bytes = fvlm_judge_elem_bytes(c->in[0]);
    for (uint64_t i = 0; !st && i < c->out[0].n; i++) {
        st = fvlm_indices_element(c, axis, i, &at);
        if (!st) memcpy((uint8_t *)c->out[0].data + i * bytes, (const uint8_t *)c->in[0]->data + at * bytes, bytes);
    }
    return st;
}

static fvlm_status run_gather_nd(fvlm_judge_call *c)
{
    const fvlm_judge_value *x = c->in[0], *indices = c->in[1];
    uint64_t dims[2 * FVLM_GRAPH_MAX_RANK], block;
    int64_t batch;
    fvlm_status st = fvlm_judge_attr_int(c, "batch_dims", 0, &batch);
    if (!st && (batch < 0 || batch > FVLM_GRAPH_MAX_RANK)) st = fvlm_judge_refuse(c, "batch_dims %" PRId64, batch);
    if (!st) st = fvlm_indices_check_nd(c, (unsigned)batch);
    if (st) return st;
    const unsigned used = (unsigned)(batch + (int64_t)indices->dims[indices->rank - 1]), lead = indices->rank - 1;
    memcpy(dims, indices->dims, lead * sizeof *dims);
    memcpy(dims + lead, x->dims + used, (x->rank - used) * sizeof *dims);
    st = fvlm_judge_make(c, 0, x->type, lead + x->rank - used, dims);
    if (st || !c->out[0].n) return st;
    const uint64_t inner = fvlm_judge_span(x, used, x->rank), blocks = fvlm_judge_span(x, (unsigned)batch, used);
    const uint64_t n = fvlm_judge_span(indices, 0, lead), n_batches = fvlm_judge_span(x, 0, (unsigned)batch);
    for (uint64_t i = 0; i < n && !st; i++) {
        st = fvlm_indices_block(c, (unsigned)batch, i, &block);
        if (st) return st;
        fvlm_indices_fetch((uint8_t *)c->out[0].data + i * inner * fvlm_judge_elem_bytes(x), x,
                           (i / (n / n_batches) * blocks + block) * inner, inner);
    }
    return FVLM_OK;
}

/* ---- NonZero, OneHot ---- */

static fvlm_status run_non_zero(fvlm_judge_call *c)
{
    const fvlm_judge_value *x = c->in[0];
    uint64_t dims[2] = {x->rank, 0}, found = 0;
    for (uint64_t i = 0; i < x->n; i++) dims[1] += fvlm_judge_get_f64(x, i) != 0;
    fvlm_status st = fvlm_judge_make(c, 0, FVLM_ONNX_I64, 2, dims);
    if (st) return st;
    int64_t *out = c->out[0].data;
    for (uint64_t i = 0; i < x->n; i++) {
        if (!(fvlm_judge_get_f64(x, i) != 0)) continue;
        uint64_t rest = i;
        for (unsigned d = x->rank; d-- > 0; rest /= x->dims[d]) out[d * dims[1] + found] = (int64_t)(rest % x->dims[d]);
        found++;
    }
    return FVLM_OK;
}

static fvlm_status run_one_hot(fvlm_judge_call *c)
{
    const fvlm_judge_value *x = c->in[0], *values = c->in[2];
    uint64_t dims[FVLM_GRAPH_MAX_RANK + 1];
    int64_t attr;
    unsigned axis;
    fvlm_status st = fvlm_judge_attr_int(c, "axis", -1, &attr);
    if (!st) st = fvlm_judge_axis(c, attr, x->rank + 1, &axis);
    if (st) return st;
    if (c->in[1]->n != 1 || values->n != 2) return fvlm_judge_refuse(c, "one depth and two values are expected");
    const int64_t depth = fvlm_judge_get_i64(c->in[1], 0);
    if (depth < 1) return fvlm_judge_refuse(c, "a depth of %" PRId64, depth);
    for (unsigned d = 0; d <= x->rank; d++)
        dims[d] = d < axis ? x->dims[d] : d == axis ? (uint64_t)depth : x->dims[d - 1];
    st = fvlm_judge_make(c, 0, values->type, x->rank + 1, dims);
    if (st || !c->out[0].n) return st;
    const size_t bytes = fvlm_judge_elem_bytes(values);
    const uint64_t inner = fvlm_judge_span(x, axis, x->rank);
    for (uint64_t i = 0; i < c->out[0].n; i++) {
        const uint64_t outer = i / inner / (uint64_t)depth;
        const int64_t k = fvlm_judge_get_i64(x, outer * inner + i % inner), at = k < 0 ? k + depth : k;
        const bool on = at == (int64_t)(i / inner % (uint64_t)depth);
        memcpy((uint8_t *)c->out[0].data + i * bytes, (const uint8_t *)values->data + on * bytes, bytes);
    }
    return FVLM_OK;
}

const fvlm_judge_row fvlm_judge_rows_index[] = {
    {"", "Gather", 1, 2, 2, 1, 1, 0, run_gather, "axis"},
    {"", "GatherElements", 11, 2, 2, 1, 0, 0, run_gather_elements, "axis"},
    {"", "GatherND", 11, 2, 2, 1, 0, 0, run_gather_nd, "batch_dims"},
    {"", "NonZero", 9, 1, 1, 1, 0, 0, run_non_zero, NULL},
    {"", "OneHot", 9, 3, 3, 1, 0, 0, run_one_hot, "axis"},
    {0},
};
