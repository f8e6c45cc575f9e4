/* SPDX-License-Identifier: Apache-2.0 */
/* op_scan.c - along one axis: CumSum and TopK. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "verify/judge/call.h"

static fvlm_status run_cumsum(fvlm_judge_call *c)
{
    const fvlm_judge_value *x = c->in[0];
    bool exclusive, reverse;
    int64_t attr = 0;
    size_t n_axes = 0;
    unsigned axis;
    fvlm_status st = fvlm_judge_attr_flag(c, "exclusive", false, &exclusive);
    if (!st) st = fvlm_judge_attr_flag(c, "reverse", false, &reverse);
    if (!st) st = fvlm_judge_input_ints(c, 1, &attr, 1, &n_axes);
    if (!st && n_axes != 1) st = fvlm_judge_refuse(c, "one axis is expected");
    if (!st) st = fvlm_judge_axis(c, attr, x->rank, &axis);
    if (!st && x->type == FVLM_ONNX_BOOL) st = fvlm_judge_refuse_type(c, 0);
    if (!st) st = fvlm_judge_make_like(c, 0, x->type, x);
    if (st || !x->n) return st;
    const uint64_t n = x->dims[axis], inner = fvlm_judge_span(x, axis + 1, x->rank);
    const bool integer = fvlm_judge_is_integer(x->type);
    for (uint64_t k = 0; k < x->n / n; k++) {
        const uint64_t base = k / inner * n * inner + k % inner;
        double sum = 0;
        uint64_t total = 0;
        for (uint64_t i = 0; i < n; i++) {
            const uint64_t at = base + (reverse ? n - 1 - i : i) * inner;
            const double before = sum;
            const uint64_t total_before = total;
            sum += fvlm_judge_get_f64(x, at);
            total += (uint64_t)fvlm_judge_get_i64(x, at);
            if (integer)
                fvlm_judge_put_i64(&c->out[0], at, (int64_t)(exclusive ? total_before : total));
            else
                fvlm_judge_put_f64(&c->out[0], at, exclusive ? before : sum);
        }
    }
    return FVLM_OK;
}

/* ---- TopK ---- */

typedef struct {
    double value;
    int64_t whole; /* of integers */
    uint64_t index;
} candidate;

/* Largest first, equal ones by their index; NaN counts as the largest. */
static int compare_largest(const void *a, const void *b)
{
    const candidate *x = a, *y = b;
    if (isnan(x->value) != isnan(y->value)) return isnan(x->value) ? -1 : 1;
    if (x->value > y->value || x->whole > y->whole) return -1;
    if (x->value < y->value || x->whole < y->whole) return 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

static int compare_smallest(const void *a, const void *b)
{
    const candidate *x = a, *y = b;
    if (isnan(x->value) != isnan(y->value)) return isnan(x->value) ? 1 : -1;
    if (x->value < y->value || x->whole < y->whole) return -1;
    if (x->value > y->value || x->whole > y->whole) return 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

static fvlm_status read_k(const fvlm_judge_call *c, uint64_t dim, uint64_t *out)
{
    int64_t k = 0;
    size_t n = 1;
    fvlm_status st = c->opset >= 10 ? fvlm_judge_input_ints(c, 1, &k, 1, &n) : fvlm_judge_attr_int(c, "k", 0, &k);
    if (!st && (n != 1 || k < 0 || (uint64_t)k > dim))
        st = fvlm_judge_refuse(c, "the %" PRId64 " largest of %" PRIu64 " elements", k, dim);
    *out = (uint64_t)k;
    return st;
}

static fvlm_status run_topk(fvlm_judge_call *c)
{
    const fvlm_judge_value *x = c->in[0];
    bool largest, sorted;
    int64_t attr;
    unsigned axis;
    uint64_t k, dims[FVLM_GRAPH_MAX_RANK];
    fvlm_status st = fvlm_judge_attr_flag(c, "largest", true, &largest);
    if (!st) st = fvlm_judge_attr_flag(c, "sorted", true, &sorted); /* sorted is one of the orders that may come */
    if (!st) st = fvlm_judge_attr_int(c, "axis", -1, &attr);
    if (!st) st = fvlm_judge_axis(c, attr, x->rank, &axis);
    if (!st) st = read_k(c, x->dims[axis], &k);
    if (!st && x->type == FVLM_ONNX_U64) st = fvlm_judge_refuse_type(c, 0);
    if (st) return st;
    memcpy(dims, x->dims, sizeof dims);
    dims[axis] = k;
    st = fvlm_judge_make(c, 0, x->type, x->rank, dims);
    if (!st && c->n_out > 1) st = fvlm_judge_make(c, 1, FVLM_ONNX_I64, x->rank, dims);
    if (st || !c->out[0].n) return st;
    const uint64_t n = x->dims[axis], inner = fvlm_judge_span(x, axis + 1, x->rank);
    const bool integer = fvlm_judge_is_integer(x->type);
    const size_t bytes = fvlm_judge_elem_bytes(x);
    candidate *list = fvlm_alloc((size_t)n, sizeof *list);
    if (!list) return fvlm_fail_nomem(c->err);
    for (uint64_t s = 0; s < x->n / n; s++) {
        const uint64_t from = s / inner * n * inner + s % inner, to = s / inner * k * inner + s % inner;
        for (uint64_t i = 0; i < n; i++)
            list[i] = (candidate){integer ? 0 : fvlm_judge_get_f64(x, from + i * inner),
                                  integer ? fvlm_judge_get_i64(x, from + i * inner) : 0, i};
        qsort(list, (size_t)n, sizeof *list, largest ? compare_largest : compare_smallest);
        for (uint64_t i = 0; i < k; i++) {
            const uint64_t at = from + list[i].index * inner;
            memcpy((uint8_t *)c->out[0].data + (to + i * inner) * bytes, (const uint8_t *)x->data + at * bytes, bytes);
            if (c->n_out > 1) ((int64_t *)c->out[1].data)[to + i * inner] = (int64_t)list[i].index;
        }
    }
    free(list);
    return FVLM_OK;
}

const fvlm_judge_row fvlm_judge_rows_scan[] = {
    {"", "CumSum", 11, 2, 2, 1, 0, 0, run_cumsum, "exclusive reverse"},
    {"", "TopK", 1, 1, 2, 2, 0, 0, run_topk, "axis k largest sorted"},
    {0},
};
