/* SPDX-License-Identifier: Apache-2.0 */
/* op_conv.c - Conv and FusedConv. */
#include "verify/judge/activation.h"
#include "verify/judge/conv.h"

typedef struct {
    fvlm_judge_value *out;
    const float *bias;
    uint64_t plane; /* elements of a channel */
} filling;

static void fill_planes(void *ctx, uint64_t first, uint64_t end)
{
    const filling *f = ctx;
    for (uint64_t p = first; p < end; p++) {
        float *out = (float *)f->out->data + p * f->plane;
        const float b = f->bias[p % f->out->dims[1]];
        for (uint64_t i = 0; i < f->plane; i++) out[i] = b;
    }
}

typedef struct {
    fvlm_judge_value *out;
    const fvlm_judge_value *sum;
    const fvlm_activation *act;
} closing;

static void close_range(void *ctx, uint64_t first, uint64_t end)
{
    const closing *k = ctx;
    float *out = k->out->data;
    const float *sum = k->sum ? k->sum->data : NULL;
    for (uint64_t i = first; i < end && sum; i++) out[i] += sum[i];
    fvlm_activation_apply(k->act, out + first, end - first);
}

static fvlm_status run(fvlm_judge_call *c)
{
    const fvlm_judge_value *x = c->in[0], *w = c->in[1], *bias = fvlm_judge_in(c, 2), *sum = fvlm_judge_in(c, 3);
    fvlm_conv v;
    fvlm_activation act;
    uint64_t dims[FVLM_GRAPH_MAX_RANK];
    fvlm_status st = fvlm_judge_want_float(c, 0);
    for (size_t i = 1; i < 4 && !st; i++)
        if (fvlm_judge_in(c, i)) st = fvlm_judge_want_type(c, i, x->type);
    if (!st) st = fvlm_conv_read(&v, c, x, w);
    if (!st) st = fvlm_activation_read(&act, c);
    if (!st && bias) st = fvlm_judge_want_shape(c, 2, 1, &v.filters);
    if (st) return st;
    const unsigned rank = fvlm_window_dims(&v.window, v.batch, v.filters, dims);
    st = fvlm_judge_make(c, 0, x->type, rank, dims);
    if (!st && sum) st = fvlm_judge_want_shape(c, 3, rank, dims);
    if (st || !c->out[0].n) return st;
    if (bias) {
        filling f = {&c->out[0], bias->data, fvlm_window_span(v.window.out)};
        fvlm_judge_ranges(c, v.batch * v.filters, 1, fill_planes, &f);
    }
    st = fvlm_conv_run(&v, c, x->data, w, c->out[0].data, NULL);
    closing k = {&c->out[0], sum, &act};
    if (!st && (sum || act.kind)) fvlm_judge_ranges(c, c->out[0].n, 1 << 15, close_range, &k);
    return st;
}

#define ATTRS "auto_pad dilations group kernel_shape pads strides"
const fvlm_judge_row fvlm_judge_rows_conv[] = {
    {"", "Conv", 1, 2, 3, 1, 2, 0, run, ATTRS},
    {MICROSOFT, "FusedConv", 0, 2, 4, 1, 2, 0, run, ATTRS " activation activation_params"},
    {0},
};
