/* SPDX-License-Identifier: Apache-2.0 */
/* op_pool.c - MaxPool, AveragePool, GlobalMaxPool, GlobalAveragePool. */
#include "verify/judge/window.h"

#include <math.h>

typedef struct {
    const fvlm_window *w;
    const fvlm_judge_value *in;
    fvlm_judge_value *out;
    int64_t *indices; /* of maxima; NULL if not wanted */
    bool average, count_padding, column_major;
} pool;

/* Elements of the window that are not beyond the padding. */
static uint64_t padded_taps(const fvlm_window *w, unsigned d, uint64_t o)
{
    const uint64_t at = o * w->stride[d], limit = w->in[d] + w->before[d] + w->after[d];
    const uint64_t n = at < limit ? (limit - at + w->dilation[d] - 1) / w->dilation[d] : 0;
    return n < w->kernel[d] ? n : w->kernel[d];
}

static int64_t index_of(const pool *p, uint64_t plane, const uint64_t at[3])
{
    const uint64_t *in = p->w->in;
    const uint64_t within =
        p->column_major ? (at[2] * in[1] + at[1]) * in[0] + at[0] : (at[0] * in[1] + at[1]) * in[2] + at[2];
    return (int64_t)(plane * fvlm_window_span(in) + within);
}

static void pool_one(const pool *p, uint64_t i)
{
    const fvlm_window *w = p->w;
    const uint64_t o[3] = {i / (w->out[2] * w->out[1]) % w->out[0], i / w->out[2] % w->out[1], i % w->out[2]};
    const uint64_t plane = i / fvlm_window_span(w->out), base = plane * fvlm_window_span(w->in);
    uint64_t first[3], end[3], k[3], at[3], padded = 1, count = 1;
    double sum = 0, best = -INFINITY;
    int64_t best_at = -1;
    for (unsigned d = 0; d < 3; d++) {
        fvlm_window_taps(w, d, o[d], &first[d], &end[d]);
        padded *= padded_taps(w, d, o[d]);
        count *= end[d] - first[d];
    }
    for (k[0] = first[0]; k[0] < end[0]; k[0]++)
        for (k[1] = first[1]; k[1] < end[1]; k[1]++)
            for (k[2] = first[2]; k[2] < end[2]; k[2]++) {
                for (unsigned d = 0; d < 3; d++) at[d] = o[d] * w->stride[d] + k[d] * w->dilation[d] - w->before[d];
                const double x = fvlm_judge_get_f64(p->in, base + (at[0] * w->in[1] + at[1]) * w->in[2] + at[2]);
                sum += x;
                if (best_at >= 0 && !(x > best)) continue;
                best = x;
                best_at = p->indices ? index_of(p, plane, at) : 0;
            }
    const uint64_t n = p->count_padding ? padded : count;
    fvlm_judge_put_f64(p->out, i, p->average ? (n ? sum / (double)n : 0) : best);
    if (p->indices) p->indices[i] = best_at;
}

static void pool_range(void *ctx, uint64_t first, uint64_t end)
{
    for (uint64_t i = first; i < end; i++) pool_one(ctx, i);
}

static fvlm_status check_type(const fvlm_judge_call *c, bool average)
{
    const int32_t type = c->in[0]->type;
    if (type == FVLM_ONNX_F64 || (!average && (type == FVLM_ONNX_I8 || type == FVLM_ONNX_U8))) return FVLM_OK;
    return fvlm_judge_want_float(c, 0);
}

static fvlm_status run(fvlm_judge_call *c)
{
    const fvlm_judge_value *x = c->in[0];
    fvlm_window w;
    pool p = {.w = &w, .in = x, .out = &c->out[0], .average = c->row->kind};
    uint64_t dims[FVLM_GRAPH_MAX_RANK], taps;
    fvlm_status st = check_type(c, p.average);
    if (!st) st = fvlm_judge_attr_flag(c, "count_include_pad", false, &p.count_padding);
    if (!st) st = fvlm_judge_attr_flag(c, "storage_order", false, &p.column_major);
    if (!st) st = fvlm_window_read(&w, c, x, NULL);
    if (st) return st;
    for (unsigned d = 0; d < FVLM_WINDOW_DIMS; d++)
        if (w.before[d] >= (w.kernel[d] - 1) * w.dilation[d] + 1 || w.after[d] >= (w.kernel[d] - 1) * w.dilation[d] + 1)
            return fvlm_judge_refuse(c, "windows that lie in the padding");
    const unsigned rank = fvlm_window_dims(&w, x->dims[0], x->dims[1], dims);
    st = fvlm_judge_make(c, 0, x->type, rank, dims);
    if (!st && fvlm_judge_wants(c, 1)) st = fvlm_judge_make(c, 1, FVLM_ONNX_I64, rank, dims);
    if (st || !c->out[0].n) return st;
    p.indices = c->n_out > 1 ? c->out[1].data : NULL;
    taps = 1;
    for (unsigned d = 0; d < FVLM_WINDOW_DIMS; d++) taps *= w.kernel[d] < w.in[d] ? w.kernel[d] : w.in[d];
    st = fvlm_judge_want_work(c, c->out[0].n, taps);
    if (!st) fvlm_judge_ranges(c, c->out[0].n, 1 + (1 << 14) / (taps + 1), pool_range, &p);
    return st;
}

/* One value a channel. */
static fvlm_status run_global(fvlm_judge_call *c)
{
    const fvlm_judge_value *x = c->in[0];
    const bool average = c->row->kind;
    uint64_t dims[FVLM_GRAPH_MAX_RANK];
    fvlm_status st = check_type(c, average);
    if (st) return st;
    if (x->rank < 3) return fvlm_judge_refuse(c, "input 0 has rank %u, expected [N, C, ...]", x->rank);
    for (unsigned d = 0; d < x->rank; d++) dims[d] = d < 2 ? x->dims[d] : 1;
    st = fvlm_judge_make(c, 0, x->type, x->rank, dims);
    if (st || !c->out[0].n) return st;
    const uint64_t n = fvlm_judge_span(x, 2, x->rank);
    if (!x->n) return fvlm_judge_refuse(c, "a pool over no elements");
    for (uint64_t i = 0; i < c->out[0].n; i++) {
        double sum = 0, best = -INFINITY;
        for (uint64_t k = 0; k < n; k++) {
            const double v = fvlm_judge_get_f64(x, i * n + k);
            sum += v;
            if (v > best || isnan(v)) best = v;
        }
        fvlm_judge_put_f64(&c->out[0], i, average ? sum / (double)n : best);
    }
    return FVLM_OK;
}

#define ATTRS "auto_pad ceil_mode dilations kernel_shape pads strides "
const fvlm_judge_row fvlm_judge_rows_pool[] = {
    {"", "MaxPool", 1, 1, 1, 2, 0, 0, run, ATTRS "storage_order"},
    {"", "AveragePool", 7, 1, 1, 1, 0, 1, run, ATTRS "count_include_pad"},
    {"", "GlobalMaxPool", 1, 1, 1, 1, 0, 0, run_global, NULL},
    {"", "GlobalAveragePool", 1, 1, 1, 1, 0, 1, run_global, NULL},
    {0},
};
