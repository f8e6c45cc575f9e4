/* SPDX-License-Identifier: Apache-2.0 */
/* op_index.c - operators that pick elements by computed indices, which are checked: Gather, GatherElements, GatherND,
 * ScatterElements, ScatterND, NonZero, OneHot. */
#include <inttypes.h>

#include "verify/judge/call.h"

static fvlm_status want_indices(const fvlm_judge_call *c, size_t input)
{
    const int32_t type = c->in[input]->type;
    if (type == FVLM_ONNX_I64 || type == FVLM_ONNX_I32) return FVLM_OK;
    return fvlm_judge_refuse(c, "input %zu is %s, expected INT64 or INT32", input, fvlm_onnx_type_name(type));
}

/* Index i of the list, counted from 0; negative ones count from the end. */
static fvlm_status index_at(const fvlm_judge_call *c, const fvlm_judge_value *indices, uint64_t i, uint64_t dim,
                            uint64_t *out)
{
    const int64_t k = fvlm_judge_get_i64(indices, i);
    *out = k < 0 ? (uint64_t)k + dim : (uint64_t)k;
    if (*out < dim && (k >= 0 || (uint64_t) - (k + 1) < dim)) return FVLM_OK;
    return fvlm_judge_refuse(c, "index %" PRId64 " into a dimension of %" PRIu64, k, dim);
}

static size_t elem_bytes(const fvlm_judge_value *v)
{
    return fvlm_judge_form_bytes(fvlm_judge_form_of(v->type));
}

/* n elements of a value that may still be in its file. */
static void fetch(uint8_t *to, const fvlm_judge_value *v, uint64_t first, uint64_t n)
{
    const size_t bytes = elem_bytes(v);
    if (v->stored)
        fvlm_judge_decode(to, v->stored, first, n);
    else
        memcpy(to, (const uint8_t *)v->data + first * bytes, (size_t)n * bytes);
}

static fvlm_status run_gather(fvlm_judge_call *c)
{
    const fvlm_judge_value *x = c->in[0], *indices = c->in[1];
    int64_t attr;
    unsigned axis;
    uint64_t dims[2 * FVLM_GRAPH_MAX_RANK], k;
    fvlm_status st = want_indices(c, 1);
    if (!st) st = fvlm_judge_attr_int(c, "axis", 0, &attr);
    if (!st) st = fvlm_judge_axis(c, attr, x->rank, &axis);
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
        for (uint64_t i = 0; i < indices->n; i++, out += inner * elem_bytes(x)) {
            st = index_at(c, indices, i, dim, &k);
            if (st) return st;
            fetch(out, x, (o * dim + k) * inner, inner);
        }
    return FVLM_OK;
}

/* ---- one index an element ---- */

/* The axis, and that every other dimension of the indices fits into x. */
static fvlm_status elements_axis(const fvlm_judge_call *c, unsigned *axis)
{
    const fvlm_judge_value *x = c->in[0], *indices = c->in[1];
    char a[192], b[192];
    int64_t attr;
    fvlm_status st = want_indices(c, 1);
    if (!st) st = fvlm_judge_attr_int(c, "axis", 0, &attr);
    if (!st) st = fvlm_judge_axis(c, attr, x->rank, axis);
    if (st) return st;
    bool fits = x->rank == indices->rank;
    for (unsigned d = 0; d < x->rank && fits; d++) fits = d == *axis || indices->dims[d] <= x->dims[d];
    if (fits) return FVLM_OK;
    return fvlm_judge_refuse(c, "indices of %s for %s", fvlm_judge_shape_text(indices, a), fvlm_judge_shape_text(x, b));
}

/* The element of x that element i of the indices means. */
static fvlm_status element_of(const fvlm_judge_call *c, unsigned axis, uint64_t i, uint64_t *out)
{
    const fvlm_judge_value *x = c->in[0], *indices = c->in[1];
    uint64_t rest = i, step = 1, at = 0, k;
    fvlm_status st = index_at(c, indices, i, x->dims[axis], &k);
    for (unsigned d = x->rank; d-- > 0 && !st;) {
        at += (d == axis ? k : rest % indices->dims[d]) * step;
        rest /= indices->dims[d];
        step *= x->dims[d];
    }
    *out = at;
    return st;
}

static fvlm_status run_gather_elements(fvlm_judge_call *c)
{
    unsigned axis;
    uint64_t at;
    fvlm_status st = elements_axis(c, &axis);
    if (!st) st = fvlm_judge_make_like(c, 0, c->in[0]->type, c->in[1]);
    const size_t bytes = elem_bytes(c->in[0]);
    for (uint64_t i = 0; !st && i < c->out[0].n; i++) {
        st = element_of(c, axis, i, &at);
        if (!st) memcpy((uint8_t *)c->out[0].data + i * bytes, (const uint8_t *)c->in[0]->data + at * bytes, bytes);
    }
    return st;
}

/* ---- scattering, with the reductions of opsets 16 and 18 ---- */

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
    const size_t bytes = elem_bytes(v);
    uint8_t *to = (uint8_t *)v->data + at * bytes;
    if (r == SET) {
        memcpy(to, (const uint8_t *)update->data + i * bytes, bytes);
    } else if (fvlm_judge_is_float(v->type) || v->type == FVLM_ONNX_F64) {
        const double x = reduce_f64(r, fvlm_judge_get_f64(v, at), fvlm_judge_get_f64(update, i));
        fvlm_judge_convert(to, v->type, &x, FVLM_ONNX_F64, 1);
    } else {
        const int64_t x = reduce_i64(r, fvlm_judge_get_i64(v, at), fvlm_judge_get_i64(update, i));
        fvlm_judge_convert(to, v->type, &x, FVLM_ONNX_I64, 1);
    }
}

static fvlm_status copy_input(fvlm_judge_call *c)
{
    fvlm_status st = fvlm_judge_make_like(c, 0, c->in[0]->type, c->in[0]);
    if (!st && c->in[0]->n) fetch(c->out[0].data, c->in[0], 0, c->in[0]->n);
    return st;
}

static fvlm_status run_scatter_elements(fvlm_judge_call *c)
{
    unsigned axis;
    reduction r;
    uint64_t at;
    fvlm_status st = elements_axis(c, &axis);
    if (!st) st = fvlm_judge_want_type(c, 2, c->in[0]->type);
    if (!st) st = fvlm_judge_want_shape(c, 2, c->in[1]->rank, c->in[1]->dims);
    if (!st) st = read_reduction(c, &r);
    if (!st) st = copy_input(c);
    for (uint64_t i = 0; !st && i < c->in[1]->n; i++) {
        st = element_of(c, axis, i, &at);
        if (!st) put(&c->out[0], at, r, c->in[2], i);
    }
    return st;
}

/* ---- GatherND, ScatterND ---- */

/* Index i of indices [..., n] into the dimensions of x after the first 'batch'; *out counts blocks of the rest. */
static fvlm_status block_of(const fvlm_judge_call *c, unsigned batch, uint64_t i, uint64_t *out)
{
    const fvlm_judge_value *x = c->in[0], *indices = c->in[1];
    const uint64_t n = indices->dims[indices->rank - 1];
    uint64_t at = 0, k;
    fvlm_status st = FVLM_OK;
    for (uint64_t d = 0; d < n && !st; d++) {
        st = index_at(c, indices, i * n + d, x->dims[batch + d], &k);
        at = at * x->dims[batch + d] + k;
    }
    *out = at;
    return st;
}

static fvlm_status check_nd(const fvlm_judge_call *c, unsigned batch)
{
    const fvlm_judge_value *x = c->in[0], *indices = c->in[1];
    fvlm_status st = want_indices(c, 1);
    if (st) return st;
    if (!x->rank || !indices->rank || batch >= indices->rank || batch > x->rank ||
        indices->dims[indices->rank - 1] > x->rank - batch)
        return fvlm_judge_refuse(c, "indices that have more dimensions than the input");
    for (unsigned d = 0; d < batch; d++)
        if (x->dims[d] != indices->dims[d]) return fvlm_judge_refuse(c, "batch dimensions that differ");
    return FVLM_OK;
}

static fvlm_status run_gather_nd(fvlm_judge_call *c)
{
    const fvlm_judge_value *x = c->in[0], *indices = c->in[1];
    uint64_t dims[2 * FVLM_GRAPH_MAX_RANK], block;
    int64_t batch;
    fvlm_status st = fvlm_judge_attr_int(c, "batch_dims", 0, &batch);
    if (!st && (batch < 0 || batch > FVLM_GRAPH_MAX_RANK)) st = fvlm_judge_refuse(c, "batch_dims %" PRId64, batch);
    if (!st) st = check_nd(c, (unsigned)batch);
    if (st) return st;
    const unsigned used = (unsigned)(batch + (int64_t)indices->dims[indices->rank - 1]), lead = indices->rank - 1;
    memcpy(dims, indices->dims, lead * sizeof *dims);
    memcpy(dims + lead, x->dims + used, (x->rank - used) * sizeof *dims);
    st = fvlm_judge_make(c, 0, x->type, lead + x->rank - used, dims);
    if (st || !c->out[0].n) return st;
    const uint64_t inner = fvlm_judge_span(x, used, x->rank), blocks = fvlm_judge_span(x, (unsigned)batch, used);
    const uint64_t n = fvlm_judge_span(indices, 0, lead), n_batches = fvlm_judge_span(x, 0, (unsigned)batch);
    for (uint64_t i = 0; i < n && !st; i++) {
        st = block_of(c, (unsigned)batch, i, &block);
        if (st) return st;
        fetch((uint8_t *)c->out[0].data + i * inner * elem_bytes(x), x, (i / (n / n_batches) * blocks + block) * inner,
              inner);
    }
    return FVLM_OK;
}

static fvlm_status run_scatter_nd(fvlm_judge_call *c)
{
    const fvlm_judge_value *x = c->in[0], *indices = c->in[1];
    uint64_t dims[2 * FVLM_GRAPH_MAX_RANK], block;
    reduction r;
    fvlm_status st = check_nd(c, 0);
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
        st = block_of(c, 0, i, &block);
        for (uint64_t k = 0; k < inner && !st; k++) put(&c->out[0], block * inner + k, r, c->in[2], i * inner + k);
    }
    return st;
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
    const size_t bytes = elem_bytes(values);
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
    {"", "ScatterElements", 11, 3, 3, 1, 0, 0, run_scatter_elements, "axis reduction"},
    {"", "ScatterND", 11, 3, 3, 1, 0, 0, run_scatter_nd, "reduction"},
    {"", "NonZero", 9, 1, 1, 1, 0, 0, run_non_zero, NULL},
    {"", "OneHot", 9, 3, 3, 1, 0, 0, run_one_hot, "axis"},
    {0},
};
