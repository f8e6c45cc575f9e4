/* SPDX-License-Identifier: Apache-2.0 */
/* op_scatter.c - ScatterElements and ScatterND, with the reductions of opsets 16 and 18. */
#include "verify/judge/indices.h"

typedef enum { SET, ADD, MUL, MIN, MAX } reduction;

static fvlm_status read_reduction(const fvlm_judge_call *c, reduction *out)
{
    static const char *const names[] = {"none", "add", "mul", "min", "max"};
    const char *name;
    fvlm_status st = fvlm_judge_attr_string(c, "reduction", &name);
    if (st) return st;
    for (int i = 0; i < 5; i++)
        if (!name || !strcmp(name, names[i])) {
            *out = (reduction)i;
            if (i && c->in[0]->type == FVLM_ONNX_U64) return fvlm_judge_refuse_type(c, 0);
            return FVLM_OK;
        }
    return fvlm_judge_unsupported(c, "reduction \"%.40s\" is not known", name);
}

static double reduce_f64(reduction r, double x, double y)
{
    return r == ADD ? x + y : r == MUL ? x * y : r == MIN ? (y < x ? y : x) : (y > x ? y : x);
}

static int64_t reduce_i64(reduction r, int64_t x, int64_t y)
{
    if (r == ADD) return (int64_t)((uint64_t)x + (uint64_t)y);
    if (r == MUL) return (int64_t)((uint64_t)x * (uint64_t)y);
    return r == MIN ? (y < x ? y : x) : (y > x ? y : x);
}

static void put(fvlm_judge_value *v, uint64_t at, reduction r, const fvlm_judge_value *update, uint64_t i)
{
    const size_t bytes = fvlm_judge_elem_bytes(v);
    if (r == SET)
        memcpy((uint8_t *)v->data + at * bytes, (const uint8_t *)update->data + i * bytes, bytes);
    else if (fvlm_judge_is_float(v->type) || v->type == FVLM_ONNX_F64)
        fvlm_judge_put_f64(v, at, reduce_f64(r, fvlm_judge_get_f64(v, at), fvlm_judge_get_f64(update, i)));
    else
        fvlm_judge_put_i64(v, at, reduce_i64(r, fvlm_judge_get_i64(v, at), fvlm_judge_get_i64(update, i)));
}

static fvlm_status copy_input(fvlm_judge_call *c)
{
    fvlm_status st = fvlm_judge_make_like(c, 0, c->in[0]->type, c->in[0]);
    if (!st && c->in[0]->n) fvlm_indices_fetch(c->out[0].data, c->in[0], 0, c->in[0]->n);
    return st;
}

static fvlm_status run_scatter_elements(fvlm_judge_call *c)
{
    unsigned axis;
    reduction r;
    uint64_t at;
    fvlm_status st = fvlm_indices_read_elements(c, &axis);
    if (!st) st = fvlm_judge_want_type(c, 2, c->in[0]->type);
    if (!st) st = fvlm_judge_want_shape(c, 2, c->in[1]->rank, c->in[1]->dims);
    if (!st) st = read_reduction(c, &r);
    if (!st) st = copy_input(c);
    for (uint64_t i = 0; !st && i < c->in[1]->n; i++) {
        st = fvlm_indices_element(c, axis, i, &at);
        if (!st) put(&c->out[0], at, r, c->in[2], i);
    }
    return st;
}

static fvlm_status run_scatter_nd(fvlm_judge_call *c)
{
    const fvlm_judge_value *x = c->in[0], *indices = c->in[1];
    uint64_t dims[2 * FVLM_GRAPH_MAX_RANK], block;
    reduction r;
    fvlm_status st = fvlm_indices_check_nd(c, 0);
    if (!st) st = fvlm_judge_want_type(c, 2, x->type);
    if (!st) st = read_reduction(c, &r);
    if (st) return st;
    const unsigned used = (unsigned)indices->dims[indices->rank - 1], lead = indices->rank - 1;
    if (lead + x->rank - used > FVLM_GRAPH_MAX_RANK)
        return fvlm_judge_refuse(c, "updates of more than %d dimensions", FVLM_GRAPH_MAX_RANK);
    memcpy(dims, indices->dims, lead * sizeof *dims);
    memcpy(dims + lead, x->dims + used, (x->rank - used) * sizeof *dims);
    st = fvlm_judge_want_shape(c, 2, lead + x->rank - used, dims);
    if (!st) st = copy_input(c);
    if (st || !c->in[2]->n) return st;
    const uint64_t inner = fvlm_judge_span(x, used, x->rank), n = fvlm_judge_span(indices, 0, lead);
    for (uint64_t i = 0; i < n && !st; i++) {
        st = fvlm_indices_block(c, 0, i, &block);
        for (uint64_t k = 0; k < inner && !st; k++) put(&c->out[0], block * inner + k, r, c->in[2], i * inner + k);
    }
    return st;
}

const fvlm_judge_row fvlm_judge_rows_scatter[] = {
    {"", "ScatterElements", 11, 3, 3, 1, 0, 0, run_scatter_elements, "axis reduction"},
    {"", "ScatterND", 11, 3, 3, 1, 0, 0, run_scatter_nd, "reduction"},
    {0},
};
