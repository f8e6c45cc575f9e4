/* SPDX-License-Identifier: Apache-2.0 */
/* op_multi_head.c - MultiHeadAttention of com.microsoft, as onnxruntime's ContribOperators.md and attention_helper.h
 * define it. */
#include "verify/judge/attend_heads.h"

enum { QUERY, KEY, VALUE, QKV_BIAS, KEY_MASK, SCORE_BIAS, PAST_KEY, PAST_VALUE };

static fvlm_status read_packed_query(fvlm_attend_heads *h, const fvlm_judge_call *c)
{
    const fvlm_judge_value *q = c->in[QUERY];
    if (fvlm_judge_in(c, KEY) || fvlm_judge_in(c, VALUE) || q->dims[2] != h->heads || q->dims[3] != 3)
        return fvlm_judge_refuse(c, "a packed query is [batch, length, heads, 3, width], without key and value");
    h->kv_length = h->length;
    h->width = h->v_width = q->dims[4];
    for (size_t i = 0; i < 3; i++)
        h->source[i] = fvlm_attend_heads_rows(h, (const float *)q->data + i * h->width, h->length, h->width, 3);
    return FVLM_OK;
}

static fvlm_status read_keys(fvlm_attend_heads *h, const fvlm_judge_call *c)
{
    const fvlm_judge_value *k = c->in[KEY], *v = fvlm_judge_in(c, VALUE);
    const uint64_t hidden = h->heads * h->width;
    if (k->rank == 5) { /* [batch, length, heads, 2, width] */
        const uint64_t dims[] = {h->batch, k->dims[1], h->heads, 2, h->width};
        fvlm_status st = fvlm_judge_want_shape(c, KEY, 5, dims);
        if (!st && v) st = fvlm_judge_refuse(c, "packed keys and a value");
        h->kv_length = k->dims[1];
        h->v_width = h->width;
        for (size_t i = 0; i < 2; i++)
            h->source[1 + i] =
                fvlm_attend_heads_rows(h, (const float *)k->data + i * h->width, h->kv_length, h->width, 2);
        return st;
    }
    if (!v || k->rank != v->rank || (k->rank != 3 && k->rank != 4)) return fvlm_judge_refuse(c, "keys without values");
    if (k->rank == 4) { /* [batch, heads, length, width] */
        const uint64_t key[] = {h->batch, h->heads, k->dims[2], h->width},
                       value[] = {h->batch, h->heads, k->dims[2], v->dims[3]};
        fvlm_status st = fvlm_judge_want_shape(c, KEY, 4, key);
        if (!st) st = fvlm_judge_want_shape(c, VALUE, 4, value);
        h->kv_length = k->dims[2];
        h->v_width = v->dims[3];
        h->source[1] = fvlm_attend_source_heads(k->data, h->batch, h->heads, h->kv_length, h->width);
        h->source[2] = fvlm_attend_source_heads(v->data, h->batch, h->heads, h->kv_length, h->v_width);
        return st;
    }
    const uint64_t key[] = {h->batch, k->dims[1], hidden}, value[] = {h->batch, k->dims[1], v->dims[2]};
    fvlm_status st = fvlm_judge_want_shape(c, KEY, 3, key);
    if (!st) st = fvlm_judge_want_shape(c, VALUE, 3, value);
    if (!st) st = fvlm_attend_heads_check_width(c, v->dims[2], h->heads);
    if (st) return st;
    h->kv_length = k->dims[1];
    h->v_width = v->dims[2] / h->heads;
    h->source[1] = fvlm_attend_heads_rows(h, k->data, h->kv_length, h->width, 1);
    h->source[2] = fvlm_attend_heads_rows(h, v->data, h->kv_length, h->v_width, 1);
    return FVLM_OK;
}

static fvlm_status read_operands(fvlm_attend_heads *h, const fvlm_judge_call *c)
{
    const fvlm_judge_value *q = c->in[QUERY], *bias = fvlm_judge_in(c, QKV_BIAS);
    fvlm_status st = fvlm_judge_want_float(c, QUERY);
    for (size_t i = KEY; i <= PAST_VALUE && !st; i++)
        if (i != KEY_MASK && fvlm_judge_in(c, i)) st = fvlm_judge_want_type(c, i, q->type);
    if (!st) st = fvlm_attend_heads_read_number(h, c);
    if (st) return st;
    if ((q->rank != 3 && q->rank != 5) || !q->n) return fvlm_judge_refuse(c, "a query of rank %u", q->rank);
    h->batch = q->dims[0];
    h->length = q->dims[1];
    if (q->rank == 5) {
        st = read_packed_query(h, c);
    } else {
        if (!fvlm_judge_in(c, KEY)) return fvlm_judge_refuse(c, "input %d is missing", KEY);
        st = fvlm_attend_heads_check_width(c, q->dims[2], h->heads);
        if (st) return st;
        h->width = q->dims[2] / h->heads;
        h->source[0] = fvlm_attend_heads_rows(h, q->data, h->length, h->width, 1);
        st = read_keys(h, c);
    }
    if (st || !bias) return st;
    const uint64_t hidden = h->heads * h->width, n = 2 * hidden + h->heads * h->v_width;
    st = fvlm_judge_want_shape(c, QKV_BIAS, 1, &n);
    for (size_t i = 0; i < 3; i++) h->source[i].bias = (const float *)bias->data + i * hidden;
    return st;
}

static fvlm_status read_past(fvlm_attend_heads *h, const fvlm_judge_call *c)
{
    h->past_k = fvlm_judge_in(c, PAST_KEY);
    h->past_v = fvlm_judge_in(c, PAST_VALUE);
    if (!h->past_k != !h->past_v) return fvlm_judge_refuse(c, "a cache of keys without one of values");
    if (!h->past_k) return FVLM_OK;
    fvlm_status st = fvlm_attend_want_past(c, PAST_KEY, c->in[QUERY]->type, h->batch, h->heads, h->width);
    if (!st) st = fvlm_attend_want_past(c, PAST_VALUE, c->in[QUERY]->type, h->batch, h->heads, h->v_width);
    if (!st && h->past_k->dims[2] != h->past_v->dims[2]) st = fvlm_judge_refuse(c, "caches of different lengths");
    h->past = h->past_k->dims[2];
    return st;
}

static fvlm_status run(fvlm_judge_call *c)
{
    fvlm_attend_heads h = {0};
    float masked;
    fvlm_status st = read_operands(&h, c);
    if (!st) st = read_past(&h, c);
    if (!st) st = fvlm_judge_attr_float(c, "mask_filter_value", -10000, &masked);
    if (!st) st = fvlm_attend_heads_read_mask(&h, c, KEY_MASK, masked);
    const int32_t type = c->in[QUERY]->type;
    if (!st) st = fvlm_attend_gather(c, &h.made[0], type, NULL, 0, &h.source[0]);
    if (!st) st = fvlm_attend_gather(c, &h.made[1], type, h.past_k, h.past, &h.source[1]);
    if (!st) st = fvlm_attend_gather(c, &h.made[2], type, h.past_v, h.past, &h.source[2]);
    if (!st) st = fvlm_attend_heads_run(&h, c, type, fvlm_judge_in(c, SCORE_BIAS));
    for (size_t i = 1; i < 3 && !st; i++)
        if (i < c->n_out) fvlm_judge_value_share(&c->out[i], &h.made[i]);
    fvlm_attend_heads_free(&h);
    return st;
}

const fvlm_judge_row fvlm_judge_rows_multi_head[] = {
    {MICROSOFT, "MultiHeadAttention", 0, 1, 8, 3, 0, 0, run, "num_heads mask_filter_value scale unidirectional"},
    {0},
};
