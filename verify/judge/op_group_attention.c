/* SPDX-License-Identifier: Apache-2.0 */
/* op_group_attention.c - GroupQueryAttention of com.microsoft, as onnxruntime's ContribOperators.md and
 * gqa_attention_base.h define it: causal, with a cache whose positions are valid up to seqlens_k. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "verify/judge/attend.h"
#include "verify/judge/rotary.h"

enum { Q, K, V, PAST_K, PAST_V, SEQLENS, TOTAL, COS, SIN, POSITIONS, BIAS };

typedef struct {
    uint64_t batch, heads, kv_heads, length, width, total, present; /* positions: new, longest, of the present cache */
    int64_t *offset, *valid;                                        /* of each batch */
    fvlm_attend_source q, k, v;
    bool rotate;
    fvlm_rotary rotary;
    uint64_t *rows; /* of the tables, [batch, length] */
} group;

static fvlm_status read_heads(group *g, const fvlm_judge_call *c)
{
    const fvlm_judge_value *q = c->in[Q], *k = fvlm_judge_in(c, K), *v = fvlm_judge_in(c, V);
    int64_t heads, kv_heads;
    fvlm_status st = fvlm_judge_attr_int(c, "num_heads", 0, &heads);
    if (!st) st = fvlm_judge_attr_int(c, "kv_num_heads", 0, &kv_heads);
    if (!st) st = fvlm_judge_want_float(c, Q);
    if (st) return st;
    if (!q->n) return fvlm_judge_refuse(c, "a query of no elements");
    if (heads < 1 || kv_heads < 1 || heads % kv_heads || heads > 1 << 20 || q->rank != 3 || !k != !v)
        return fvlm_judge_refuse(c, "%" PRId64 " heads, %" PRId64 " of keys, and a query of rank %u", heads, kv_heads,
                                 q->rank);
    g->batch = q->dims[0];
    g->length = q->dims[1];
    g->heads = (uint64_t)heads;
    g->kv_heads = (uint64_t)kv_heads;
    const uint64_t parts = k ? g->heads : g->heads + 2 * g->kv_heads, hidden = q->dims[2];
    g->width = hidden / parts;
    if (!g->width || hidden % parts)
        return fvlm_judge_refuse(c, "%" PRIu64 " does not divide into %" PRIu64 " heads", hidden, parts);
    const uint64_t dims[] = {g->batch, g->length, g->kv_heads * g->width};
    for (size_t i = K; i <= V && k && !st; i++) {
        st = fvlm_judge_want_type(c, i, q->type);
        if (!st) st = fvlm_judge_want_shape(c, i, 3, dims);
    }
    const uint64_t kv_hidden = k ? dims[2] : hidden;
    const float *packed = q->data;
    g->q = fvlm_attend_source_rows(packed, g->batch, g->length, hidden, g->heads, g->width);
    g->k = fvlm_attend_source_rows(k ? k->data : packed + g->heads * g->width, g->batch, g->length, kv_hidden,
                                   g->kv_heads, g->width);
    g->v = g->k;
    g->v.data = v ? v->data : g->k.data + g->kv_heads * g->width;
    return st;
}

/* seqlens_k: each batch's positions, new ones included, less one. */
static fvlm_status read_lengths(group *g, const fvlm_judge_call *c)
{
    const fvlm_judge_value *lengths = fvlm_judge_in(c, SEQLENS), *total = fvlm_judge_in(c, TOTAL);
    const fvlm_judge_value *past = fvlm_judge_in(c, PAST_K), *past_v = fvlm_judge_in(c, PAST_V);
    fvlm_status st = fvlm_judge_want_type(c, SEQLENS, FVLM_ONNX_I32);
    if (!st) st = fvlm_judge_want_type(c, TOTAL, FVLM_ONNX_I32);
    if (!st) st = fvlm_attend_want_past(c, PAST_K, c->in[Q]->type, g->batch, g->kv_heads, g->width);
    if (!st) st = fvlm_attend_want_past(c, PAST_V, c->in[Q]->type, g->batch, g->kv_heads, g->width);
    if (st) return st;
    if (!past != !past_v || (past && past->dims[2] != past_v->dims[2]))
        return fvlm_judge_refuse(c, "a cache of keys without one of values");
    if (lengths->n != g->batch || total->n != 1)
        return fvlm_judge_refuse(c, "%" PRIu64 " lengths for %" PRIu64 " batches", lengths->n, g->batch);
    const int64_t longest = fvlm_judge_get_i64(total, 0), n_past = past ? (int64_t)past->dims[2] : 0;
    if (longest < 1 || (uint64_t)longest < g->length)
        return fvlm_judge_refuse(c, "total_sequence_length is %" PRId64, longest);
    const bool prompt = (uint64_t)longest == g->length;
    g->total = (uint64_t)longest;
    g->present = (uint64_t)(longest > n_past ? longest : n_past);
    for (uint64_t b = 0; b < g->batch; b++) {
        const int64_t n = fvlm_judge_get_i64(lengths, b) + 1;
        g->valid[b] = n;
        g->offset[b] = prompt ? 0 : n - (int64_t)g->length;
        if (n < 1 || n > longest || g->offset[b] < 0 || g->offset[b] > n_past)
            return fvlm_judge_refuse(c,
                                     "seqlens_k is %" PRId64 " with %" PRIu64 " new positions, %" PRId64 " past ones",
                                     n - 1, g->length, n_past);
    }
    return FVLM_OK;
}

static fvlm_status read_rotation(group *g, const fvlm_judge_call *c)
{
    fvlm_status st = fvlm_judge_attr_flag(c, "do_rotary", false, &g->rotate);
    if (!st) st = fvlm_judge_attr_flag(c, "rotary_interleaved", false, &g->rotary.interleaved);
    if (st || !g->rotate) return st;
    st = fvlm_rotary_read(&g->rotary, c, COS, SIN);
    if (st) return st;
    if (c->in[COS]->rank != 2 || g->rotary.width > g->width)
        return fvlm_judge_refuse(c, "tables for %" PRIu64 " elements of a head of %" PRIu64, g->rotary.width, g->width);
    if (fvlm_judge_in(c, POSITIONS))
        return fvlm_rotary_positions(&g->rotary, c, POSITIONS, g->batch, g->length, &g->rows);
    g->rows = fvlm_alloc((size_t)(g->batch * g->length), sizeof *g->rows);
    if (!g->rows) return fvlm_fail_nomem(c->err);
    for (uint64_t i = 0; i < g->batch * g->length; i++) {
        g->rows[i] = (uint64_t)g->offset[i / g->length] + i % g->length;
        if (g->rows[i] >= g->rotary.rows)
            return fvlm_judge_refuse(c, "position %" PRIu64 " of a table of %" PRIu64, g->rows[i], g->rotary.rows);
    }
    return FVLM_OK;
}

static void turn_all(const group *g, const fvlm_judge_value *v)
{
    const uint64_t heads = v->dims[1];
    for (uint64_t i = 0; i < v->n / g->width && g->rotate; i++) {
        float *x = (float *)v->data + i * g->width;
        fvlm_rotary_turn(&g->rotary, g->rows[i / g->length / heads * g->length + i % g->length], x, x);
    }
}

/* The present cache: what is past, each batch's new positions behind it. */
static void write_cache(const group *g, const fvlm_judge_value *past, const fvlm_judge_value *fresh,
                        fvlm_judge_value *present)
{
    for (uint64_t i = 0; i < g->batch * g->kv_heads; i++) {
        float *to = (float *)present->data + i * g->present * g->width;
        const uint64_t n_past = past ? past->dims[2] : 0, at = (uint64_t)g->offset[i / g->kv_heads];
        if (n_past) memcpy(to, (const float *)past->data + i * n_past * g->width, n_past * g->width * sizeof *to);
        memcpy(to + at * g->width, (const float *)fresh->data + i * g->length * g->width,
               g->length * g->width * sizeof *to);
    }
}

/* The bias covers all positions, and at most the whole cache. */
static fvlm_status read_bias(fvlm_attend *a, const group *g, const fvlm_judge_call *c)
{
    const fvlm_judge_value *bias = fvlm_judge_in(c, BIAS);
    if (!bias) return FVLM_OK;
    fvlm_status st = fvlm_judge_want_type(c, BIAS, c->in[Q]->type);
    if (st) return st;
    if (bias->rank != 4 || bias->dims[3] < g->total || bias->dims[3] > g->present)
        return fvlm_judge_refuse(c, "input %d is not [batch, heads, new positions, all positions]", BIAS);
    a->kv_len = bias->dims[3]; /* the shape that the bias must have */
    st = fvlm_attend_bias(a, 0, c, bias);
    a->kv_len = g->present;
    return st;
}

static fvlm_status attend(group *g, fvlm_judge_call *c, fvlm_judge_value temp[3])
{
    const int32_t type = c->in[Q]->type;
    const uint64_t cache[4] = {g->batch, g->kv_heads, g->present, g->width},
                   out[3] = {g->batch, g->length, g->heads * g->width};
    float scale, softcap;
    int64_t window;
    bool smooth;
    fvlm_status st = fvlm_judge_attr_float(c, "scale", 0, &scale);
    if (!st) st = fvlm_judge_attr_float(c, "softcap", 0, &softcap);
    if (!st) st = fvlm_judge_attr_int(c, "local_window_size", -1, &window);
    if (!st) st = fvlm_judge_attr_flag(c, "smooth_softmax", false, &smooth);
    if (!st && smooth) st = fvlm_judge_unsupported(c, "smooth_softmax is not supported");
    if (!st) st = fvlm_attend_gather(c, &temp[0], type, NULL, 0, &g->q);
    if (!st) st = fvlm_attend_gather(c, &temp[1], type, NULL, 0, &g->k);
    if (!st) st = fvlm_attend_gather(c, &temp[2], type, NULL, 0, &g->v);
    if (!st) st = fvlm_judge_make(c, 0, type, 3, out);
    for (size_t i = 1; i < 3 && !st; i++) /* made even if nobody wants them */
        if (i < c->n_out)
            st = fvlm_judge_make(c, i, type, 4, cache);
        else
            st = fvlm_judge_unsupported(c, "without its caches as outputs");
    if (st) return st;
    turn_all(g, &temp[0]);
    turn_all(g, &temp[1]);
    write_cache(g, fvlm_judge_in(c, PAST_K), &temp[1], &c->out[1]);
    write_cache(g, fvlm_judge_in(c, PAST_V), &temp[2], &c->out[2]);
    fvlm_attend a = {
        .batch = g->batch,
        .heads = g->heads,
        .kv_heads = g->kv_heads,
        .q_len = g->length,
        .kv_len = g->present,
        .width = g->width,
        .v_width = g->width,
        .q = temp[0].data,
        .k = c->out[1].data,
        .v = c->out[2].data,
        .out = c->out[0].data,
        .scale = scale != 0 ? (double)scale : 1 / sqrt((double)g->width),
        .softcap = (double)softcap,
        .offset = g->offset,
        .valid = g->valid,
        .left = window > 0 ? window - 1 : -1,
        .right = 0,
    };
    st = read_bias(&a, g, c);
    return st ? st : fvlm_attend_run(c, &a);
}

static fvlm_status run(fvlm_judge_call *c)
{
    group g = {0};
    fvlm_judge_value temp[3] = {{0}};
    fvlm_status st = read_heads(&g, c);
    if (!st) {
        g.offset = fvlm_alloc((size_t)g.batch, sizeof *g.offset);
        g.valid = fvlm_alloc((size_t)g.batch, sizeof *g.valid);
        st = g.offset && g.valid ? FVLM_OK : fvlm_fail_nomem(c->err);
    }
    if (!st) st = read_lengths(&g, c);
    if (!st) st = read_rotation(&g, c);
    if (!st) st = attend(&g, c, temp);
    for (size_t i = 0; i < 3; i++) fvlm_judge_value_free(&temp[i]);
    free(g.offset);
    free(g.valid);
    free(g.rows);
    return st;
}

const fvlm_judge_row fvlm_judge_rows_group_attention[] = {
    {MICROSOFT, "GroupQueryAttention", 0, 1, 11, 3, 0, 0, run,
     "num_heads kv_num_heads scale do_rotary rotary_interleaved local_window_size softcap smooth_softmax"},
    {0},
};
