/* SPDX-License-Identifier: Apache-2.0 */
/* op_reduce.c - Reduce* over any axes, ArgMax and ArgMin. Reals add up in f64, integers exactly. */
#include <math.h>

#include "verify/judge/call.h"

typedef enum { SUM, MEAN, MAX, MIN, PROD, SUM_SQUARE, L1, L2, LOG_SUM, LOG_SUM_EXP } kind;

typedef struct {
    const fvlm_judge_value *x;
    fvlm_judge_value *y;
    kind kind;
    bool integer;
    /* kept dimensions make the output's index, reduced ones a sum */
    unsigned n_kept, n_reduced;
    uint64_t kept[FVLM_GRAPH_MAX_RANK], kept_step[FVLM_GRAPH_MAX_RANK], reduced[FVLM_GRAPH_MAX_RANK],
        reduced_step[FVLM_GRAPH_MAX_RANK];
    uint64_t n; /* elements of a sum */
} reduction;

static uint64_t offset_of(uint64_t i, unsigned rank, const uint64_t *dims, const uint64_t *step)
{
    uint64_t at = 0;
    for (unsigned d = rank; d-- > 0; i /= dims[d]) at += i % dims[d] * step[d];
    return at;
}

static double reduce_f64(const reduction *r, uint64_t base)
{
    double sum = 0, product = 1, best = r->kind == MAX ? -INFINITY : INFINITY, largest = -INFINITY;
    for (uint64_t i = 0; i < r->n && r->kind == LOG_SUM_EXP; i++) {
        const double v = fvlm_judge_get_f64(r->x, base + offset_of(i, r->n_reduced, r->reduced, r->reduced_step));
        if (v > largest) largest = v;
    }
    if (!isfinite(largest)) largest = 0;
    for (uint64_t i = 0; i < r->n; i++) {
        const double v = fvlm_judge_get_f64(r->x, base + offset_of(i, r->n_reduced, r->reduced, r->reduced_step));
        switch (r->kind) {
        case SUM:
        case MEAN:
        case LOG_SUM:
            sum += v;
            break;
        case SUM_SQUARE:
        case L2:
            sum += v * v;
            break;
        case L1:
            sum += fabs(v);
            break;
        case LOG_SUM_EXP:
            sum += exp(v - largest);
            break;
        case PROD:
            product *= v;
            break;
        case MAX:
            best = v > best || isnan(v) ? v : best;
            break;
        case MIN:
            best = v < best || isnan(v) ? v : best;
            break;
        }
    }
    switch (r->kind) {
    case MEAN:
        return sum / (double)r->n;
    case L2:
        return sqrt(sum);
    case LOG_SUM:
        return log(sum);
    case LOG_SUM_EXP:
        return log(sum) + largest;
    case PROD:
        return product;
    case MAX:
    case MIN:
        return best;
    default:
        return sum;
    }
}

/* The least or most integer of a type. */
static int64_t limit_of(int32_t type, bool most)
{
    const unsigned bits = fvlm_onnx_type_bits(type);
    const bool is_signed =
        type == FVLM_ONNX_I8 || type == FVLM_ONNX_I16 || type == FVLM_ONNX_I32 || type == FVLM_ONNX_I64;
    if (type == FVLM_ONNX_BOOL) return most;
    if (!is_signed) return most ? (int64_t)(((uint64_t)1 << bits) - 1) : 0;
    return most ? (int64_t)(((uint64_t)1 << (bits - 1)) - 1) : -(int64_t)(((uint64_t)1 << (bits - 1)) - 1) - 1;
}

static int64_t reduce_i64(const reduction *r, uint64_t base)
{
    uint64_t sum = 0, product = 1;
    int64_t best = limit_of(r->x->type, r->kind == MIN);
    for (uint64_t i = 0; i < r->n; i++) {
        const int64_t v = fvlm_judge_get_i64(r->x, base + offset_of(i, r->n_reduced, r->reduced, r->reduced_step));
        if (r->kind == SUM || r->kind == MEAN) sum += (uint64_t)v;
        if (r->kind == SUM_SQUARE) sum += (uint64_t)v * (uint64_t)v;
        if (r->kind == L1) sum += v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
        if (r->kind == PROD) product *= (uint64_t)v;
        if (i == 0 || (r->kind == MAX ? v > best : v < best)) best = v;
    }
    if (r->kind == MAX || r->kind == MIN) return best;
    if (r->kind == PROD) return (int64_t)product;
    return r->kind == MEAN ? (int64_t)sum / (int64_t)r->n : (int64_t)sum;
}

static void run_range(void *ctx, uint64_t first, uint64_t end)
{
    const reduction *r = ctx;
    for (uint64_t i = first; i < end; i++) {
        const uint64_t base = offset_of(i, r->n_kept, r->kept, r->kept_step);
        if (r->integer)
            fvlm_judge_put_i64(r->y, i, reduce_i64(r, base));
        else
            fvlm_judge_put_f64(r->y, i, reduce_f64(r, base));
    }
}

/* Which axes: all if none are given, unless noop_with_empty_axes. */
static fvlm_status read_axes(const fvlm_judge_call *c, uint32_t *mask, bool *noop)
{
    bool given, keep_all;
    const unsigned rank = c->in[0]->rank;
    const int64_t since = c->row->kind == SUM ? 13 : 18; /* axes are an input */
    if (c->opset < since && c->n_in > 1)
        return fvlm_judge_refuse(c, "\"axes\" is an attribute before opset %d", (int)since);
    if (c->opset >= since && fvlm_graph_attr_find(c->node, "axes"))
        return fvlm_judge_refuse(c, "\"axes\" is an input since opset %d", (int)since);
    fvlm_status st = fvlm_judge_axes(c, 1, rank, mask, &given);
    if (!st) st = fvlm_judge_attr_flag(c, "noop_with_empty_axes", false, &keep_all);
    if (st) return st;
    *noop = !*mask && keep_all;
    if (!*mask && !keep_all) *mask = (1U << rank) - 1;
    return FVLM_OK;
}

/* Sums of nothing are 0, products 1, maxima of nothing the least value of the type; only a mean is not defined. */
static fvlm_status want_elements(const fvlm_judge_call *c, const reduction *r)
{
    if (r->n || r->kind != MEAN || !r->y->n) return FVLM_OK;
    return fvlm_judge_refuse(c, "no elements to reduce");
}

static fvlm_status run(fvlm_judge_call *c)
{
    const fvlm_judge_value *x = c->in[0];
    reduction r = {.x = x, .y = &c->out[0], .kind = (kind)c->row->kind, .n = 1};
    uint64_t dims[FVLM_GRAPH_MAX_RANK];
    uint32_t mask;
    bool keep, noop = false;
    unsigned rank = 0;
    r.integer = fvlm_judge_is_integer(x->type) || x->type == FVLM_ONNX_BOOL;
    const bool minmax = r.kind == MAX || r.kind == MIN;
    if (x->type == FVLM_ONNX_U64 || x->type == FVLM_ONNX_I4 || x->type == FVLM_ONNX_U4 ||
        (x->type == FVLM_ONNX_BOOL && !minmax) || (r.integer && r.kind >= L2))
        return fvlm_judge_refuse_type(c, 0);
    fvlm_status st = fvlm_judge_attr_flag(c, "keepdims", true, &keep);
    if (!st) st = read_axes(c, &mask, &noop);
    if (st) return st;
    if (noop && r.kind <= PROD) return fvlm_judge_make_view(c, 0, x, x->rank, x->dims);
    for (unsigned d = 0; d < x->rank; d++) {
        const uint64_t step = fvlm_judge_span(x, d + 1, x->rank);
        if (mask >> d & 1) {
            r.n *= x->dims[d];
            r.reduced[r.n_reduced] = x->dims[d];
            r.reduced_step[r.n_reduced++] = step;
            if (keep) dims[rank++] = 1;
        } else {
            r.kept[r.n_kept] = dims[rank++] = x->dims[d];
            r.kept_step[r.n_kept++] = step;
        }
    }
    st = fvlm_judge_make(c, 0, x->type, rank, dims);
    if (!st && !x->n) r.n = 0;
    if (!st) st = want_elements(c, &r);
    if (!st && c->out[0].n) fvlm_judge_ranges(c, c->out[0].n, 1 + (1 << 14) / (r.n + 1), run_range, &r);
    return st;
}

/* The first, or last, index of the largest or smallest element along an axis. */
static fvlm_status run_arg(fvlm_judge_call *c)
{
    const fvlm_judge_value *x = c->in[0];
    const bool smallest = c->row->kind;
    uint64_t dims[FVLM_GRAPH_MAX_RANK];
    int64_t attr;
    unsigned axis, rank = 0;
    bool keep, last;
    fvlm_status st = fvlm_judge_attr_int(c, "axis", 0, &attr);
    if (!st) st = fvlm_judge_attr_flag(c, "keepdims", true, &keep);
    if (!st) st = fvlm_judge_attr_flag(c, "select_last_index", false, &last);
    if (!st) st = fvlm_judge_axis(c, attr, x->rank, &axis);
    if (st) return st;
    if (x->type == FVLM_ONNX_I64 || x->type == FVLM_ONNX_U64)
        return fvlm_judge_refuse_type(c, 0); /* f64 is too narrow */
    for (unsigned d = 0; d < x->rank; d++)
        if (d != axis || keep) dims[rank++] = d == axis ? 1 : x->dims[d];
    st = fvlm_judge_make(c, 0, FVLM_ONNX_I64, rank, dims);
    if (st || !c->out[0].n) return st;
    if (!x->n) return fvlm_judge_refuse(c, "no elements to choose from");
    const uint64_t inner = fvlm_judge_span(x, axis + 1, x->rank), n = x->dims[axis];
    for (uint64_t i = 0; i < c->out[0].n; i++) {
        const uint64_t base = i / inner * n * inner + i % inner;
        uint64_t best = 0;
        for (uint64_t k = 1; k < n; k++) {
            const double v = fvlm_judge_get_f64(x, base + k * inner), w = fvlm_judge_get_f64(x, base + best * inner);
            if ((smallest ? v < w : v > w) || (last && v == w)) best = k;
        }
        ((int64_t *)c->out[0].data)[i] = (int64_t)best;
    }
    return FVLM_OK;
}

#define AXES "axes keepdims noop_with_empty_axes"
const fvlm_judge_row fvlm_judge_rows_reduce[] = {
    {"", "ReduceSum", 1, 1, 2, 1, 0, SUM, run, AXES},
    {"", "ReduceMean", 1, 1, 2, 1, 0, MEAN, run, AXES},
    {"", "ReduceMax", 1, 1, 2, 1, 0, MAX, run, AXES},
    {"", "ReduceMin", 1, 1, 2, 1, 0, MIN, run, AXES},
    {"", "ReduceProd", 1, 1, 2, 1, 0, PROD, run, AXES},
    {"", "ReduceSumSquare", 1, 1, 2, 1, 0, SUM_SQUARE, run, AXES},
    {"", "ReduceL1", 1, 1, 2, 1, 0, L1, run, AXES},
    {"", "ReduceL2", 1, 1, 2, 1, 0, L2, run, AXES},
    {"", "ReduceLogSum", 1, 1, 2, 1, 0, LOG_SUM, run, AXES},
    {"", "ReduceLogSumExp", 1, 1, 2, 1, 0, LOG_SUM_EXP, run, AXES},
    {"", "ArgMax", 1, 1, 1, 1, 0, 0, run_arg, "axis keepdims select_last_index"},
    {"", "ArgMin", 1, 1, 1, 1, 0, 1, run_arg, "axis keepdims select_last_index"},
    {0},
};
