/* SPDX-License-Identifier: Apache-2.0 */
/* op_attention.c - MultiHeadAttention and Attention of com.microsoft, as onnxruntime's ContribOperators.md and
 * attention_helper.h define them. */
#include <inttypes.h>
#include <math.h>

#include "verify/judge/attend.h"
#include "verify/judge/product.h"

typedef struct {
    uint64_t batch, heads, length, kv_length, past, width, v_width; /* kv_length: new keys */
    fvlm_attend_source source[3];                                   /* queries, keys, values */
    const fvlm_judge_value *past_k, *past_v;
    fvlm_judge_value made[3]; /* [batch, heads, positions, width], caches included */
    fvlm_judge_value mask;    /* additive, made from a mask of integers */
} heads;

static fvlm_status check_divides(const fvlm_judge_call *c, uint64_t hidden, uint64_t n_heads)
{
    if (n_heads && hidden && hidden % n_heads == 0) return FVLM_OK;
    return fvlm_judge_refuse(c, "%" PRIu64 " does not divide into %" PRIu64 " heads", hidden, n_heads);
}

static fvlm_status read_n_heads(heads *h, const fvlm_judge_call *c)
{
    int64_t n;
    fvlm_status st = fvlm_judge_attr_int(c, "num_heads", 0, &n);
    if (!st && (n < 1 || n > 1 << 20)) st = fvlm_judge_refuse(c, "num_heads is %" PRId64, n);
    h->heads = (uint64_t)n;
    return st;
}

/* Elements of a query or key of [batch, length, hidden], or one of the parts of [batch, length, heads, parts, width].
 */
static fvlm_attend_source rows_of(const heads *h, const float *data, uint64_t length, uint64_t width, uint64_t parts)
{
    const uint64_t hidden = h->heads * width * parts;
    return (fvlm_attend_source){data, length * hidden, hidden, width * parts, h->batch, length, h->heads, width, NULL};
}

/* ---- masks ---- */

/* Integers [batch, keys] or [batch, queries, keys], of which 0 masks; or [batch] valid keys. */
static fvlm_status read_mask(heads *h, const fvlm_judge_call *c, size_t input, float masked)
{
    const fvlm_judge_value *v = fvlm_judge_in(c, input);
    const uint64_t total = h->past + h->kv_length;
    char text[192];
    if (!v) return FVLM_OK;
    fvlm_status st = fvlm_judge_want_type(c, input, FVLM_ONNX_I32);
    if (st) return st;
    const bool lengths = v->rank == 1 && v->dims[0] == h->batch;
    const bool keys = v->rank == 2 && v->dims[0] == h->batch && v->dims[1] == total;
    const bool pairs = v->rank == 3 && v->dims[0] == h->batch && v->dims[1] == h->length && v->dims[2] == total;
    if (!lengths && !keys && !pairs)
        return fvlm_judge_unsupported(c, "a mask of %s is not supported", fvlm_judge_shape_text(v, text));
    const uint64_t dims[4] = {h->batch, 1, pairs ? h->length : 1, total};
    st = fvlm_judge_make_temp(c, &h->mask, FVLM_ONNX_F32, 4, dims);
    for (uint64_t i = 0; i < h->mask.n && !st; i++) {
        const bool open =
            lengths ? (int64_t)(i % total) < fvlm_judge_get_i64(v, i / total) : fvlm_judge_get_i64(v, i) != 0;
        ((float *)h->mask.data)[i] = open ? 0 : masked;
    }
    return st;
}

/* Attention over what is made, into output 0 [batch, length, heads * v_width]. */
static fvlm_status attend(heads *h, fvlm_judge_call *c, int32_t type, const fvlm_judge_value *bias)
{
    const uint64_t dims[3] = {h->batch, h->length, h->heads * h->v_width};
    float scale;
    bool causal;
    fvlm_status st = fvlm_judge_attr_float(c, "scale", 0, &scale);
    if (!st) st = fvlm_judge_attr_flag(c, "unidirectional", false, &causal);
    if (!st) st = fvlm_judge_make(c, 0, type, 3, dims);
    if (st) return st;
    fvlm_attend a = {
        .batch = h->batch,
        .heads = h->heads,
        .kv_heads = h->heads,
        .q_len = h->length,
        .kv_len = h->past + h->kv_length,
        .width = h->width,
        .v_width = h->v_width,
        .q = h->made[0].data,
        .k = h->made[1].data,
        .v = h->made[2].data,
        .out = c->out[0].data,
        .scale = scale != 0 ? (double)scale : 1 / sqrt((double)h->width),
        .left = -1,
        .right = causal ? (int64_t)h->past : -1,
    };
    if (causal && h->length != h->kv_length) /* onnxruntime's kernels do not agree with each other there */
        return fvlm_judge_unsupported(c, "unidirectional with %" PRIu64 " queries and %" PRIu64 " new keys", h->length,
                                      h->kv_length);
    if (bias) st = fvlm_attend_bias(&a, 0, c, bias);
    if (!st && h->mask.data) st = fvlm_attend_bias(&a, 1, c, &h->mask);
    return st ? st : fvlm_attend_run(c, &a);
}

static void free_heads(heads *h)
{
    for (size_t i = 0; i < 3; i++) fvlm_judge_value_free(&h->made[i]);
    fvlm_judge_value_free(&h->mask);
}

/* ---- MultiHeadAttention ---- */

enum { QUERY, KEY, VALUE, QKV_BIAS, KEY_MASK, SCORE_BIAS, PAST_KEY, PAST_VALUE };

static fvlm_status read_packed_query(heads *h, const fvlm_judge_call *c)
{
    const fvlm_judge_value *q = c->in[QUERY];
    if (fvlm_judge_in(c, KEY) || fvlm_judge_in(c, VALUE) || q->dims[2] != h->heads || q->dims[3] != 3)
        return fvlm_judge_refuse(c, "a packed query is [batch, length, heads, 3, width], without key and value");
    h->kv_length = h->length;
    h->width = h->v_width = q->dims[4];
    for (size_t i = 0; i < 3; i++)
        h->source[i] = rows_of(h, (const float *)q->data + i * h->width, h->length, h->width, 3);
    return FVLM_OK;
}

static fvlm_status read_keys(heads *h, const fvlm_judge_call *c)
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
            h->source[1 + i] = rows_of(h, (const float *)k->data + i * h->width, h->kv_length, h->width, 2);
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
        const uint64_t n = h->kv_length, w = h->v_width;
        h->source[1] = (fvlm_attend_source){
            k->data, h->heads * n * h->width, h->width, n * h->width, h->batch, n, h->heads, h->width, NULL};
        h->source[2] = (fvlm_attend_source){v->data, h->heads * n * w, w, n * w, h->batch, n, h->heads, w, NULL};
        return st;
    }
    const uint64_t key[] = {h->batch, k->dims[1], hidden}, value[] = {h->batch, k->dims[1], v->dims[2]};
    fvlm_status st = fvlm_judge_want_shape(c, KEY, 3, key);
    if (!st) st = fvlm_judge_want_shape(c, VALUE, 3, value);
    if (!st) st = check_divides(c, v->dims[2], h->heads);
    if (st) return st;
    h->kv_length = k->dims[1];
    h->v_width = v->dims[2] / h->heads;
    h->source[1] = rows_of(h, k->data, h->kv_length, h->width, 1);
    h->source[2] = rows_of(h, v->data, h->kv_length, h->v_width, 1);
    return FVLM_OK;
}

static fvlm_status read_operands(heads *h, const fvlm_judge_call *c)
{
    const fvlm_judge_value *q = c->in[QUERY], *bias = fvlm_judge_in(c, QKV_BIAS);
    fvlm_status st = fvlm_judge_want_float(c, QUERY);
    for (size_t i = KEY; i <= PAST_VALUE && !st; i++)
        if (i != KEY_MASK && fvlm_judge_in(c, i)) st = fvlm_judge_want_type(c, i, q->type);
    if (!st) st = read_n_heads(h, c);
    if (st) return st;
    if ((q->rank != 3 && q->rank != 5) || !q->n) return fvlm_judge_refuse(c, "a query of rank %u", q->rank);
    h->batch = q->dims[0];
    h->length = q->dims[1];
    if (q->rank == 5) {
        st = read_packed_query(h, c);
    } else {
        if (!fvlm_judge_in(c, KEY)) return fvlm_judge_refuse(c, "input %d is missing", KEY);
        st = check_divides(c, q->dims[2], h->heads);
        if (st) return st;
        h->width = q->dims[2] / h->heads;
        h->source[0] = rows_of(h, q->data, h->length, h->width, 1);
        st = read_keys(h, c);
    }
    if (st || !bias) return st;
    const uint64_t hidden = h->heads * h->width, n = 2 * hidden + h->heads * h->v_width;
    st = fvlm_judge_want_shape(c, QKV_BIAS, 1, &n);
    for (size_t i = 0; i < 3; i++) h->source[i].bias = (const float *)bias->data + i * hidden;
    return st;
}

static fvlm_status read_past(heads *h, const fvlm_judge_call *c)
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

static fvlm_status run_multi_head(fvlm_judge_call *c)
{
    heads h = {0};
    float masked;
    fvlm_status st = read_operands(&h, c);
    if (!st) st = read_past(&h, c);
    if (!st) st = fvlm_judge_attr_float(c, "mask_filter_value", -10000, &masked);
    if (!st) st = read_mask(&h, c, KEY_MASK, masked);
    const int32_t type = c->in[QUERY]->type;
    if (!st) st = fvlm_attend_gather(c, &h.made[0], type, NULL, 0, &h.source[0]);
    if (!st) st = fvlm_attend_gather(c, &h.made[1], type, h.past_k, h.past, &h.source[1]);
    if (!st) st = fvlm_attend_gather(c, &h.made[2], type, h.past_v, h.past, &h.source[2]);
    if (!st) st = attend(&h, c, type, fvlm_judge_in(c, SCORE_BIAS));
    for (size_t i = 1; i < 3 && !st; i++)
        if (i < c->n_out) fvlm_judge_value_share(&c->out[i], &h.made[i]);
    free_heads(&h);
    return st;
}

/* ---- Attention: one projection of the input to queries, keys and values ---- */

enum { INPUT, WEIGHTS, BIAS, MASK, PAST, RELATIVE };

/* The widths of queries, keys and values together: equal, unless "qkv_hidden_sizes" lists them. */
static fvlm_status read_widths(heads *h, const fvlm_judge_call *c, uint64_t hidden[3])
{
    const int64_t *sizes;
    size_t n;
    const fvlm_judge_value *w = c->in[WEIGHTS];
    fvlm_status st = fvlm_judge_attr_ints(c, "qkv_hidden_sizes", &sizes, &n);
    if (st) return st;
    if (w->rank != 2 || (n && n != 3)) return fvlm_judge_refuse(c, "weights of rank %u, %zu hidden sizes", w->rank, n);
    uint64_t sum = 0;
    for (size_t i = 0; i < 3; i++) {
        if (n && (sizes[i] < 1 || sizes[i] > INT32_MAX))
            return fvlm_judge_refuse(c, "a hidden size of %" PRId64, sizes[i]);
        hidden[i] = n ? (uint64_t)sizes[i] : w->dims[1] / 3;
        sum += hidden[i];
        st = check_divides(c, hidden[i], h->heads);
        if (st) return st;
    }
    if (sum != w->dims[1] || hidden[0] != hidden[1])
        return fvlm_judge_refuse(c, "hidden sizes that do not fit the weights");
    h->width = hidden[0] / h->heads;
    h->v_width = hidden[2] / h->heads;
    return FVLM_OK;
}

/* [2, batch, heads, positions, width] as two caches, which share its elements. */
static fvlm_status split_past(heads *h, const fvlm_judge_call *c, fvlm_judge_value past[2])
{
    const fvlm_judge_value *v = fvlm_judge_in(c, PAST);
    char text[192];
    if (!v) return FVLM_OK;
    fvlm_status st = fvlm_judge_want_type(c, PAST, c->in[INPUT]->type);
    if (st) return st;
    if (v->rank != 5 || v->dims[0] != 2 || v->dims[1] != h->batch || v->dims[2] != h->heads || v->dims[4] != h->width ||
        h->width != h->v_width)
        return fvlm_judge_refuse(c, "input %d, %s, is not a cache of these heads", PAST,
                                 fvlm_judge_shape_text(v, text));
    h->past = v->dims[3];
    for (size_t i = 0; i < 2; i++) {
        past[i] =
            (fvlm_judge_value){.type = v->type, .rank = 4, .n = v->n / 2, .data = (float *)v->data + i * (v->n / 2)};
        memcpy(past[i].dims, v->dims + 1, 4 * sizeof *v->dims);
    }
    h->past_k = &past[0];
    h->past_v = &past[1];
    return FVLM_OK;
}

static fvlm_status make_present(const heads *h, fvlm_judge_call *c)
{
    if (!fvlm_judge_wants(c, 1)) return FVLM_OK;
    if (h->width != h->v_width) return fvlm_judge_refuse(c, "a cache of keys and values of different widths");
    const uint64_t dims[5] = {2, h->batch, h->heads, h->past + h->kv_length, h->width};
    fvlm_status st = fvlm_judge_make(c, 1, c->in[INPUT]->type, 5, dims);
    for (size_t i = 0; i < 2 && !st; i++)
        memcpy((float *)c->out[1].data + i * h->made[1].n, h->made[1 + i].data, h->made[1].n * sizeof(float));
    return st;
}

static fvlm_status project(const heads *h, const fvlm_judge_call *c, fvlm_judge_value *out)
{
    const fvlm_judge_value *x = c->in[INPUT], *w = c->in[WEIGHTS];
    const uint64_t dims[3] = {h->batch, h->length, w->dims[1]};
    fvlm_product p = {0};
    fvlm_status st = fvlm_product_plan(&p, c, x, w);
    if (!st) st = fvlm_judge_make_temp(c, out, x->type, 3, dims);
    if (!st) st = fvlm_judge_want_work(c, out->n, p.k);
    return st ? st : fvlm_product_run(&p, c, x, w, out->data, NULL);
}

static fvlm_status run_projecting(fvlm_judge_call *c)
{
    heads h = {0};
    const fvlm_judge_value *x = c->in[INPUT], *bias = fvlm_judge_in(c, BIAS);
    fvlm_judge_value packed = {0}, past[2];
    uint64_t hidden[3], at = 0;
    float masked;
    bool rotate, shared;
    fvlm_status st = fvlm_judge_want_float(c, INPUT);
    if (!st) st = fvlm_judge_want_type(c, WEIGHTS, x->type);
    if (!st) st = read_n_heads(&h, c);
    if (!st) st = read_widths(&h, c, hidden);
    if (!st && bias) st = fvlm_judge_want_type(c, BIAS, x->type);
    if (!st && bias) st = fvlm_judge_want_shape(c, BIAS, 1, &c->in[WEIGHTS]->dims[1]);
    if (!st) st = fvlm_judge_attr_flag(c, "do_rotary", false, &rotate);
    if (!st) st = fvlm_judge_attr_flag(c, "past_present_share_buffer", false, &shared);
    if (!st) st = fvlm_judge_attr_float(c, "mask_filter_value", -10000, &masked);
    if (st) return st;
    if (rotate || shared) return fvlm_judge_unsupported(c, "do_rotary and past_present_share_buffer are not supported");
    if (x->rank != 3 || !x->n) return fvlm_judge_refuse(c, "an input of rank %u", x->rank);
    h.batch = x->dims[0];
    h.length = h.kv_length = x->dims[1];
    st = split_past(&h, c, past);
    if (!st) st = read_mask(&h, c, MASK, masked);
    if (!st) st = project(&h, c, &packed);
    for (size_t i = 0; i < 3 && !st; at += hidden[i++]) {
        const uint64_t all = c->in[WEIGHTS]->dims[1];
        const fvlm_attend_source from = {(const float *)packed.data + at,
                                         h.length * all,
                                         all,
                                         hidden[i] / h.heads,
                                         h.batch,
                                         h.length,
                                         h.heads,
                                         hidden[i] / h.heads,
                                         bias ? (const float *)bias->data + at : NULL};
        st = fvlm_attend_gather(c, &h.made[i], x->type,
                                i == 1   ? h.past_k
                                : i == 2 ? h.past_v
                                         : NULL,
                                i ? h.past : 0, &from);
    }
    fvlm_judge_value_free(&packed);
    if (!st && fvlm_judge_in(c, RELATIVE)) st = fvlm_judge_want_type(c, RELATIVE, x->type);
    if (!st) st = attend(&h, c, x->type, fvlm_judge_in(c, RELATIVE));
    if (!st) st = make_present(&h, c);
    free_heads(&h);
    return st;
}

const fvlm_judge_row fvlm_judge_rows_attention[] = {
    {MICROSOFT, "MultiHeadAttention", 0, 1, 8, 3, 0, 0, run_multi_head,
     "num_heads mask_filter_value scale unidirectional"},
    {MICROSOFT, "Attention", 0, 2, 6, 2, 2, 0, run_projecting,
     "num_heads mask_filter_value scale unidirectional qkv_hidden_sizes do_rotary past_present_share_buffer"},
    {0},
};
