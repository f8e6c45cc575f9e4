/* SPDX-License-Identifier: Apache-2.0 */
/* op_softmax.c - Softmax and LogSoftmax: since opset 13 along one axis, before that over all dimensions from the axis
 * on.
 */
#include <math.h>

#include "verify/judge/call.h"

typedef struct {
    const fvlm_judge_value *x;
    fvlm_judge_value *y;
    uint64_t n, inner; /* elements of a sum, and their distance */
    bool log;
} softmax;

static void put(fvlm_judge_value *v, uint64_t i, double x)
{
    if (v->type == FVLM_ONNX_F64)
        ((double *)v->data)[i] = x;
    else
        ((float *)v->data)[i] = (float)x;
}

static void run_range(void *ctx, uint64_t first, uint64_t end)
{
    const softmax *s = ctx;
    for (uint64_t run = first; run < end; run++) {
        const uint64_t at = run / s->inner * s->n * s->inner + run % s->inner;
        double largest = -INFINITY, sum = 0;
        for (uint64_t i = 0; i < s->n; i++) {
            const double v = fvlm_judge_get_f64(s->x, at + i * s->inner);
            if (v > largest) largest = v;
        }
        for (uint64_t i = 0; i < s->n; i++) {
            const double e = exp(fvlm_judge_get_f64(s->x, at + i * s->inner) - largest);
            sum += e;
            if (!s->log) put(s->y, at + i * s->inner, e); /* within a rounding of f32, which the quotient has, too */
        }
        const double logarithm = log(sum);
        for (uint64_t i = 0; i < s->n; i++) {
            const uint64_t k = at + i * s->inner;
            put(s->y, k,
                s->log ? fvlm_judge_get_f64(s->x, k) - largest - logarithm : fvlm_judge_get_f64(s->y, k) / sum);
        }
    }
}

static fvlm_status run(fvlm_judge_call *c)
{
    const fvlm_judge_value *x = c->in[0];
    const bool old = c->opset < 13;
    int64_t attr;
    unsigned axis = 0;
    fvlm_status st = x->type == FVLM_ONNX_F64 ? FVLM_OK : fvlm_judge_want_float(c, 0);
    if (!st) st = fvlm_judge_attr_int(c, "axis", old ? 1 : -1, &attr);
    if (!st && (x->rank || old)) {
        if (old && attr == x->rank)
            axis = x->rank; /* sums of one element */
        else
            st = fvlm_judge_axis(c, attr, x->rank, &axis);
    }
    if (!st) st = fvlm_judge_make_like(c, 0, x->type, x);
    if (st || !x->n) return st;
    softmax s = {.x = x, .y = &c->out[0], .n = 1, .inner = 1, .log = c->row->kind};
    if (old)
        s.n = fvlm_judge_span(x, axis, x->rank);
    else if (x->rank)
        s.n = x->dims[axis], s.inner = fvlm_judge_span(x, axis + 1, x->rank);
    fvlm_judge_ranges(c, x->n / s.n, 1 + (1 << 14) / s.n, run_range, &s);
    return FVLM_OK;
}

const fvlm_judge_row fvlm_judge_rows_softmax[] = {
    {"", "Softmax", 1, 1, 1, 1, 0, 0, run, "axis"},
    {"", "LogSoftmax", 1, 1, 1, 1, 0, 1, run, "axis"},
    {0},
};
