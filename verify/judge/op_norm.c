/* SPDX-License-Identifier: Apache-2.0 */
/* op_norm.c - normalizations. Means and variances are sums in f64, and so is each element until it is stored. Formulas:
 * ONNX operators; SimplifiedLayerNormalization and the Skip forms: onnxruntime's ContribOperators.md. */
#include <inttypes.h>
#include <math.h>

#include "verify/judge/call.h"

/* ---- over the last dimensions ---- */

typedef struct {
    const float *x, *skip, *bias_in; /* added up first; NULL if absent. skip repeats after n_skip, bias_in every row */
    uint64_t n_skip, n;              /* elements; of a row */
    const float *scale, *bias;       /* [n]; NULL if absent */
    double epsilon;
    bool simple;                     /* RMS: no mean */
    float *y, *mean, *inverse, *sum; /* NULL if not wanted */
} rows;

static void norm_rows(void *ctx, uint64_t first, uint64_t end)
{
    const rows *r = ctx;
    for (uint64_t row = first; row < end; row++) {
        const uint64_t at = row * r->n;
        float *y = r->y + at;
        double mean = 0, variance = 0;
        for (uint64_t i = 0; i < r->n; i++) {
            float v = r->x[at + i];
            if (r->skip) v += r->skip[(at + i) % r->n_skip];
            if (r->bias_in) v += r->bias_in[i];
            y[i] = v;
            mean += (double)v;
        }
        if (r->sum) memcpy(r->sum + at, y, (size_t)r->n * sizeof *y);
        mean = r->simple ? 0 : mean / (double)r->n;
        for (uint64_t i = 0; i < r->n; i++) variance += ((double)y[i] - mean) * ((double)y[i] - mean);
        const double inverse = 1 / sqrt(variance / (double)r->n + r->epsilon);
        for (uint64_t i = 0; i < r->n; i++) {
            double v = ((double)y[i] - mean) * inverse;
            if (r->scale) v *= (double)r->scale[i];
            if (r->bias) v += (double)r->bias[i];
            y[i] = (float)v;
        }
        if (r->mean) r->mean[row] = (float)mean;
        if (r->inverse) r->inverse[row] = (float)inverse;
    }
}

static fvlm_status run_rows(fvlm_judge_call *c, rows *r)
{
    const uint64_t n_rows = c->in[0]->n / r->n;
    fvlm_judge_ranges(c, n_rows, 1 + (1 << 14) / r->n, norm_rows, r);
    return FVLM_OK;
}

/* The elements of an optional input that repeats over the rows. */
static fvlm_status row_input(const fvlm_judge_call *c, size_t i, unsigned axis, const float **out)
{
    const fvlm_judge_value *x = c->in[0], *v = fvlm_judge_in(c, i);
    *out = v ? v->data : NULL;
    if (!v) return FVLM_OK;
    char text[192];
    fvlm_status st = fvlm_judge_want_float(c, i);
    if (st) return st;
    fvlm_judge_value tail = {.rank = x->rank - axis};
    memcpy(tail.dims, x->dims + axis, tail.rank * sizeof *tail.dims);
    fvlm_judge_value given = *v;
    while (given.rank > tail.rank && given.dims[0] == 1) /* leading ones do not matter */
        memmove(given.dims, given.dims + 1, --given.rank * sizeof *given.dims);
    if (fvlm_judge_same_shape(&given, &tail)) return FVLM_OK;
    return fvlm_judge_refuse(c, "input %zu is %s, expected the dimensions that are normalized", i,
                             fvlm_judge_shape_text(v, text));
}

/* The mean and the inverse deviation of each row: dimensions from axis on are 1. */
static fvlm_status make_statistic(fvlm_judge_call *c, size_t output, unsigned axis, float **out)
{
    uint64_t dims[FVLM_GRAPH_MAX_RANK];
    *out = NULL;
    if (!fvlm_judge_wants(c, output)) return FVLM_OK;
    for (unsigned d = 0; d < c->in[0]->rank; d++) dims[d] = d < axis ? c->in[0]->dims[d] : 1;
    fvlm_status st = fvlm_judge_make(c, output, FVLM_ONNX_F32, c->in[0]->rank, dims);
    if (!st) *out = c->out[output].data;
    return st;
}

/* LayerNormalization, SimplifiedLayerNormalization, RMSNormalization: the first has a bias and a mean. */
static fvlm_status run_layer(fvlm_judge_call *c)
{
    const fvlm_judge_value *x = c->in[0];
    rows r = {.simple = c->row->kind, .x = x->data};
    float epsilon;
    int64_t attr, stash;
    unsigned axis;
    fvlm_status st = fvlm_judge_attr_float(c, "epsilon", 1e-5F, &epsilon);
    if (!st) st = fvlm_judge_attr_int(c, "axis", -1, &attr);
    if (!st) st = fvlm_judge_attr_int(c, "stash_type", 1, &stash);
    if (!st) st = fvlm_judge_axis(c, attr, x->rank, &axis);
    if (!st) st = fvlm_judge_want_float(c, 0);
    if (!st) st = row_input(c, 1, axis, &r.scale);
    if (!st) st = row_input(c, 2, axis, &r.bias);
    if (!st) st = fvlm_judge_make_like(c, 0, x->type, x);
    if (!st) st = make_statistic(c, 1, axis, r.simple ? &r.inverse : &r.mean);
    if (!st) st = make_statistic(c, 2, axis, &r.inverse);
    if (!st && stash != 1) st = fvlm_judge_unsupported(c, "stash_type %" PRId64 " is not supported", stash);
    if (st || !x->n) return st;
    r.epsilon = (double)epsilon;
    r.n = fvlm_judge_span(x, axis, x->rank);
    r.y = c->out[0].data;
    return run_rows(c, &r);
}

/* Inputs: x, skip, gamma, then beta unless simple, then a bias that is added to x and skip. Outputs: y, mean, inverse,
 * and the sum. */
static fvlm_status run_skip(fvlm_judge_call *c)
{
    const fvlm_judge_value *x = c->in[0], *skip = c->in[1];
    rows r = {.simple = c->row->kind, .x = x->data};
    float epsilon;
    char a[192], b[192];
    fvlm_status st = fvlm_judge_attr_float(c, "epsilon", 1e-5F, &epsilon);
    if (!st) st = fvlm_judge_want_float(c, 0);
    if (!st) st = fvlm_judge_want_type(c, 1, x->type);
    if (st) return st;
    const unsigned axis = x->rank - 1;
    bool fits = x->rank >= 2 && skip->rank >= 2 && skip->rank <= x->rank;
    for (unsigned d = 0; d < skip->rank && fits; d++) {
        const uint64_t of_x = x->dims[x->rank - skip->rank + d];
        fits = skip->dims[d] == of_x || (d == 0 && skip->rank == x->rank && skip->dims[d] == 1);
    }
    if (!fits)
        return fvlm_judge_refuse(c, "shapes %s and %s cannot be added", fvlm_judge_shape_text(x, a),
                                 fvlm_judge_shape_text(skip, b));
    st = row_input(c, 2, axis, &r.scale);
    if (!st && !r.simple) st = row_input(c, 3, axis, &r.bias);
    if (!st) st = row_input(c, r.simple ? 3 : 4, axis, &r.bias_in);
    if (!st) st = fvlm_judge_make_like(c, 0, x->type, x);
    if (!st) st = make_statistic(c, 1, axis, &r.mean);
    if (!st) st = make_statistic(c, 2, axis, &r.inverse);
    if (!st && fvlm_judge_wants(c, 3)) st = fvlm_judge_make_like(c, 3, x->type, x);
    if (st || !x->n) return st;
    r.sum = fvlm_judge_wants(c, 3) ? c->out[3].data : NULL;
    r.skip = skip->data;
    r.n_skip = skip->n;
    r.epsilon = (double)epsilon;
    r.n = x->dims[axis];
    r.y = c->out[0].data;
    return run_rows(c, &r);
}

/* ---- by channels: [N, C, ...] ---- */

typedef struct {
    const fvlm_judge_value *x;
    float *y;
    const float *scale, *bias, *mean, *variance; /* [C]; mean and variance NULL: of each group itself */
    uint64_t groups, per_channel;                /* of an image; scale and bias are [groups] if !per_channel */
    double epsilon;
} channels;

/* Group g of all images. */
static void norm_groups(void *ctx, uint64_t first, uint64_t end)
{
    const channels *k = ctx;
    const uint64_t n_channels = k->x->dims[1], plane = fvlm_judge_span(k->x, 2, k->x->rank);
    const uint64_t width = n_channels / k->groups, n = width * plane;
    for (uint64_t g = first; g < end; g++) {
        const float *x = (const float *)k->x->data + g * n;
        double mean = 0, variance = 0;
        for (uint64_t i = 0; i < n && !k->mean; i++) mean += (double)x[i];
        mean = k->mean ? (double)k->mean[g % k->groups] : mean / (double)n;
        for (uint64_t i = 0; i < n && !k->mean; i++) variance += ((double)x[i] - mean) * ((double)x[i] - mean);
        variance = k->mean ? (double)k->variance[g % k->groups] : variance / (double)n;
        const double inverse = 1 / sqrt(variance + k->epsilon);
        for (uint64_t i = 0; i < n; i++) {
            const uint64_t at = k->per_channel ? g % k->groups * width + i / plane : g % k->groups;
            k->y[g * n + i] = (float)(((double)x[i] - mean) * inverse * (double)k->scale[at] + (double)k->bias[at]);
        }
    }
}

static fvlm_status run_channels(fvlm_judge_call *c)
{
    enum { BATCH, INSTANCE, GROUP };
    const int what = c->row->kind;
    const fvlm_judge_value *x = c->in[0];
    channels k = {.x = x, .per_channel = true};
    float epsilon;
    bool training, spatial;
    int64_t n_groups = 0, stash;
    fvlm_status st = fvlm_judge_attr_float(c, "epsilon", 1e-5F, &epsilon);
    if (!st) st = fvlm_judge_attr_flag(c, "training_mode", false, &training);
    if (!st) st = fvlm_judge_attr_flag(c, "spatial", true, &spatial);
    if (!st) st = fvlm_judge_attr_int(c, "stash_type", 1, &stash);
    if (!st && what == GROUP) st = fvlm_judge_attr_int(c, "num_groups", 0, &n_groups);
    if (!st) st = fvlm_judge_want_float(c, 0);
    if (st) return st;
    if (training || !spatial || stash != 1)
        return fvlm_judge_unsupported(c, "training_mode, spatial 0 and stash_type other than 1 are not supported");
    if (x->rank < 2) return fvlm_judge_refuse(c, "input 0 has rank %u, expected [N, C, ...]", x->rank);
    const uint64_t n_channels = x->dims[1];
    k.groups = what == GROUP ? (uint64_t)n_groups : n_channels;
    if (what == GROUP && (n_groups < 1 || n_channels % k.groups))
        return fvlm_judge_refuse(c, "%" PRIu64 " channels in %" PRId64 " groups", n_channels, n_groups);
    k.per_channel = what != GROUP || c->opset >= 21;
    for (size_t i = 1; i < c->n_in && !st; i++) {
        st = fvlm_judge_want_float(c, i);
        if (!st) st = fvlm_judge_want_shape(c, i, 1, k.per_channel ? &n_channels : &k.groups);
    }
    if (!st) st = fvlm_judge_make_like(c, 0, x->type, x);
    if (st || !x->n) return st;
    k.y = c->out[0].data;
    k.scale = c->in[1]->data;
    k.bias = c->in[2]->data;
    k.mean = what == BATCH ? c->in[3]->data : NULL;
    k.variance = what == BATCH ? c->in[4]->data : NULL;
    k.epsilon = (double)epsilon;
    fvlm_judge_ranges(c, x->dims[0] * k.groups, 1, norm_groups, &k);
    return FVLM_OK;
}

#define LAYER "axis epsilon stash_type"
const fvlm_judge_row fvlm_judge_rows_norm[] = {
    {"", "LayerNormalization", 1, 2, 3, 3, 0, 0, run_layer, LAYER},
    {"", "RMSNormalization", 23, 2, 2, 1, 0, 1, run_layer, LAYER},
    {"", "SimplifiedLayerNormalization", 1, 2, 2, 2, 0, 1, run_layer, LAYER},
    {MICROSOFT, "SimplifiedLayerNormalization", 0, 2, 2, 2, 0, 1, run_layer, LAYER},
    {MICROSOFT, "SkipLayerNormalization", 0, 3, 5, 4, 0, 0, run_skip, "epsilon"},
    {MICROSOFT, "SkipSimplifiedLayerNormalization", 0, 3, 4, 4, 0, 1, run_skip, "epsilon"},
    {"", "BatchNormalization", 7, 5, 5, 1, 0, 0, run_channels, "epsilon momentum spatial training_mode"},
    {"", "InstanceNormalization", 6, 3, 3, 1, 0, 1, run_channels, "epsilon"},
    {"", "GroupNormalization", 18, 3, 3, 1, 0, 2, run_channels, "epsilon num_groups stash_type"},
    {0},
};
