/* SPDX-License-Identifier: Apache-2.0 */
/* attend.c - one query a time: scores in f32 dot products, softmax and the weighted sum of values in f64. */
#include "verify/judge/attend.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>

/* Sum of products, eight at a time. */
static float dot(const float *a, const float *b, size_t n)
{
    float sum[8] = {0}, rest = 0;
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (size_t k = 0; k < 8; k++) sum[k] += a[i + k] * b[i + k];
    for (; i < n; i++) rest += a[i] * b[i];
    return ((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7])) + rest;
}

typedef struct {
    const fvlm_attend *a;
    atomic_bool out_of_memory;
} work;

/* Keys [*first, *end) that query s of a batch sees. */
static void visible(const fvlm_attend *a, uint64_t batch, uint64_t s, uint64_t *first, uint64_t *end)
{
    const int64_t at = (a->offset ? a->offset[batch] : 0) + (int64_t)s, n = (int64_t)a->kv_len;
    int64_t low = a->left >= 0 && at > a->left ? at - a->left : 0;
    int64_t high = a->right < 0 || a->right > n || at + a->right + 1 > n ? n : at + a->right + 1;
    if (a->valid && high > a->valid[batch]) high = a->valid[batch];
    if (high < 0) high = 0;
    *end = (uint64_t)high;
    *first = low > high ? *end : (uint64_t)low;
}

static void keep_scores(const fvlm_attend *a, uint64_t row, const double *score, uint64_t first, uint64_t end)
{
    float *out = a->scores + row * a->kv_len;
    for (uint64_t t = 0; t < a->kv_len; t++)
        out[t] = t >= first && t < end ? (float)score[t] : a->score_mode == 3 ? 0 : -INFINITY;
}

/* Scores before the biases, of all keys if those are wanted; a query's own otherwise. */
static void multiply(const fvlm_attend *a, const float *q, const float *k, double *score, uint64_t first, uint64_t end)
{
    for (uint64_t t = first; t < end; t++) {
        score[t] = (double)dot(q, k + t * a->width, a->width) * a->scale;
        if (a->softcap > 0 && a->score_mode) score[t] = tanh(score[t] / a->softcap) * a->softcap;
    }
}

static bool add_biases(const fvlm_attend *a, const uint64_t at[3], double *score, uint64_t first, uint64_t end)
{
    bool open = first < end; /* some key is not masked */
    for (unsigned i = 0; i < FVLM_ATTEND_BIASES; i++) {
        const uint64_t *step = a->bias_step[i];
        const float *bias = a->bias[i];
        if (!bias) continue;
        bias += at[0] * step[0] + at[1] * step[1] + at[2] * step[2];
        bool some = false;
        for (uint64_t t = first; t < end; t++) {
            const double b = (double)bias[t * step[3]];
            some |= b > -INFINITY;
            score[t] = b > -INFINITY ? score[t] + b : -INFINITY;
        }
        open &= some;
    }
    return open;
}

static void soften(double *score, uint64_t first, uint64_t end)
{
    double largest = -INFINITY, sum = 0;
    for (uint64_t t = first; t < end; t++)
        if (score[t] > largest) largest = score[t];
    for (uint64_t t = first; t < end; t++) sum += score[t] = largest > -INFINITY ? exp(score[t] - largest) : 0;
    for (uint64_t t = first; t < end && sum > 0; t++) score[t] /= sum;
}

/* sum: [v_width] */
static void attend_one(const fvlm_attend *a, uint64_t row, double *score, double *sum)
{
    const uint64_t s = row % a->q_len, head = row / a->q_len % a->heads, batch = row / a->q_len / a->heads;
    const uint64_t kv = batch * a->kv_heads + head / (a->heads / a->kv_heads);
    const float *q = a->q + row * a->width, *k = a->k + kv * a->kv_len * a->width,
                *v = a->v + kv * a->kv_len * a->v_width;
    uint64_t first, end;
    visible(a, batch, s, &first, &end);
    if (a->scores && a->score_mode < 2) {
        multiply(a, q, k, score, 0, a->kv_len);
        keep_scores(a, row, score, 0, a->kv_len);
    }
    multiply(a, q, k, score, first, end);
    for (uint64_t t = first; t < end && a->softcap > 0 && !a->score_mode; t++)
        score[t] = tanh(score[t] / a->softcap) * a->softcap;
    const bool open = add_biases(a, (const uint64_t[]){batch, head, s}, score, first, end);
    if (a->scores && a->score_mode == 2) keep_scores(a, row, score, first, end);
    soften(score, first, end);
    for (uint64_t t = first; t < end && !open; t++) score[t] = 0;
    if (a->scores && a->score_mode == 3) keep_scores(a, row, score, first, end);
    memset(sum, 0, a->v_width * sizeof *sum);
    for (uint64_t t = first; t < end; t++)
        for (uint64_t i = 0; i < a->v_width; i++) sum[i] += score[t] * (double)v[t * a->v_width + i];
    float *out = a->out + (a->heads_first ? row : (batch * a->q_len + s) * a->heads + head) * a->v_width;
    for (uint64_t i = 0; i < a->v_width; i++) out[i] = (float)sum[i];
}

static void attend_range(void *ctx, uint64_t first, uint64_t end)
{
    work *w = ctx;
    double *scratch = fvlm_alloc(w->a->kv_len + w->a->v_width, sizeof *scratch);
    if (!scratch) w->out_of_memory = true;
    for (uint64_t row = first; row < end && scratch; row++) attend_one(w->a, row, scratch, scratch + w->a->kv_len);
    free(scratch);
}

fvlm_status fvlm_attend_run(const fvlm_judge_call *c, const fvlm_attend *a)
{
    const uint64_t rows = a->batch * a->heads * a->q_len; /* elements of a value: no wrap */
    if (!rows || !a->width) return FVLM_OK;
    fvlm_status st = fvlm_judge_want_work(c, rows * (a->width + a->v_width), a->kv_len + 1);
    if (st) return st;
    work w = {a, false};
    fvlm_judge_ranges(c, rows, 1 + (1 << 14) / (a->kv_len + 1), attend_range, &w);
    return w.out_of_memory ? fvlm_fail_nomem(c->err) : FVLM_OK;
}

fvlm_status fvlm_attend_bias(fvlm_attend *a, unsigned which, const fvlm_judge_call *c, const fvlm_judge_value *v)
{
    const uint64_t dims[4] = {a->batch, a->heads, a->q_len, a->kv_len};
    char text[192];
    uint64_t step = 1;
    bool fits = v->rank >= 1 && v->rank <= 4;
    for (unsigned i = 0; i < 4; i++) a->bias_step[which][i] = 0;
    for (unsigned i = 4; i-- > 4 - v->rank && fits;) {
        const uint64_t d = v->dims[i + v->rank - 4];
        fits = d == dims[i] || d == 1;
        a->bias_step[which][i] = d == 1 ? 0 : step;
        step *= d;
    }
    if (!fits) return fvlm_judge_refuse(c, "a mask of %s does not fit the scores", fvlm_judge_shape_text(v, text));
    a->bias[which] = v->data;
    return FVLM_OK;
}

/* ---- operands ---- */

fvlm_attend_source fvlm_attend_source_rows(const float *data, uint64_t batch, uint64_t positions, uint64_t hidden,
                                           uint64_t heads, uint64_t width)
{
    return (fvlm_attend_source){.data = data,
                                .batch = positions * hidden,
                                .position = hidden,
                                .head = width,
                                .n_batch = batch,
                                .n_positions = positions,
                                .n_heads = heads,
                                .width = width};
}

fvlm_attend_source fvlm_attend_source_heads(const float *data, uint64_t batch, uint64_t heads, uint64_t positions,
                                            uint64_t width)
{
    fvlm_attend_source s = fvlm_attend_source_rows(data, batch, positions, heads * width, heads, width);
    s.position = width;
    s.head = positions * width;
    return s;
}

typedef struct {
    fvlm_judge_value *out;
    const fvlm_judge_value *past;
    uint64_t n_past;
    const fvlm_attend_source *from;
} gathering;

static void gather_range(void *ctx, uint64_t first, uint64_t end)
{
    const gathering *g = ctx;
    const fvlm_attend_source *f = g->from;
    const uint64_t length = g->n_past + f->n_positions;
    for (uint64_t i = first; i < end; i++) {
        const uint64_t t = i % length, head = i / length % f->n_heads, batch = i / length / f->n_heads;
        float *to = (float *)g->out->data + i * f->width;
        if (t < g->n_past) {
            const uint64_t at = ((batch * f->n_heads + head) * g->past->dims[2] + t) * f->width;
            memcpy(to, (const float *)g->past->data + at, f->width * sizeof *to);
            continue;
        }
        const float *from = f->data + batch * f->batch + (t - g->n_past) * f->position + head * f->head;
        for (uint64_t h = 0; h < f->width; h++) to[h] = from[h] + (f->bias ? f->bias[head * f->width + h] : 0);
    }
}

fvlm_status fvlm_attend_gather(const fvlm_judge_call *c, fvlm_judge_value *out, int32_t type,
                               const fvlm_judge_value *past, uint64_t n_past, const fvlm_attend_source *from)
{
    uint64_t length;
    if (!fvlm_checked_add(n_past, from->n_positions, &length)) return fvlm_judge_refuse(c, "more than 2^64 positions");
    const uint64_t dims[4] = {from->n_batch, from->n_heads, length, from->width};
    fvlm_status st = fvlm_judge_make_temp(c, out, type, 4, dims);
    gathering g = {out, past, n_past, from};
    if (!st && out->n) fvlm_judge_ranges(c, out->n / from->width, 1 << 10, gather_range, &g);
    return st;
}

fvlm_status fvlm_attend_want_past(const fvlm_judge_call *c, size_t input, int32_t type, uint64_t batch, uint64_t heads,
                                  uint64_t width)
{
    const fvlm_judge_value *v = fvlm_judge_in(c, input);
    char text[192];
    if (!v) return FVLM_OK;
    fvlm_status st = fvlm_judge_want_type(c, input, type);
    if (st) return st;
    if (v->rank == 4 && v->dims[0] == batch && v->dims[1] == heads && v->dims[3] == width) return FVLM_OK;
    return fvlm_judge_refuse(c, "input %zu, %s, is not a cache of these heads", input, fvlm_judge_shape_text(v, text));
}
