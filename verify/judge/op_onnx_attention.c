/* SPDX-License-Identifier: Apache-2.0 */
/* op_onnx_attention.c - Attention of ai.onnx, opsets 23 to 25, as onnx.reference.ops.op_attention defines it. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "verify/judge/attend.h"

enum { Q, K, V, MASK, PAST_K, PAST_V, VALID };

typedef struct {
    bool heads_first; /* operands are [batch, heads, length, width], else [batch, length, hidden] */
    uint64_t batch, heads, kv_heads, length, kv_length, past, width, v_width;
    fvlm_judge_value made[3], mask;
    int64_t *offset, *valid;
} attention;

/* Input i as heads of 'width'. */
static fvlm_attend_source source_of(const attention *a, const fvlm_judge_value *v, uint64_t n_heads, uint64_t length,
                                    uint64_t width)
{
    return a->heads_first ? fvlm_attend_source_heads(v->data, a->batch, n_heads, length, width)
                          : fvlm_attend_source_rows(v->data, a->batch, length, n_heads * width, n_heads, width);
}

static fvlm_status read_shapes(attention *a, const fvlm_judge_call *c)
{
    const fvlm_judge_value *q = c->in[Q], *k = c->in[K], *v = c->in[V];
    int64_t heads, kv_heads;
    fvlm_status st = fvlm_judge_attr_int(c, "q_num_heads", 0, &heads);
    if (!st) st = fvlm_judge_attr_int(c, "kv_num_heads", 0, &kv_heads);
    if (!st) st = fvlm_judge_want_float(c, Q);
    if (!st) st = fvlm_judge_want_type(c, K, q->type);
    if (!st) st = fvlm_judge_want_float(c, V);
    if (st) return st;
    if (q->rank != k->rank || q->rank != v->rank || (q->rank != 3 && q->rank != 4))
        return fvlm_judge_refuse(c, "operands of ranks %u, %u and %u", q->rank, k->rank, v->rank);
    a->heads_first = q->rank == 4;
    if (heads < 0 || kv_heads < 0 || heads > 1 << 20 || kv_heads > 1 << 20)
        return fvlm_judge_refuse(c, "%" PRId64 " heads, %" PRId64 " of keys", heads, kv_heads);
    a->heads = a->heads_first ? q->dims[1] : (uint64_t)heads;
    a->kv_heads = a->heads_first ? k->dims[1] : (uint64_t)kv_heads;
    a->batch = q->dims[0];
    a->length = q->dims[q->rank - 2];
    a->kv_length = k->dims[k->rank - 2];
    const uint64_t parts = a->heads_first ? 1 : a->heads, kv_parts = a->heads_first ? 1 : a->kv_heads;
    if (!a->heads || !a->kv_heads || a->heads % a->kv_heads || q->dims[q->rank - 1] % parts ||
        v->dims[v->rank - 1] % kv_parts)
        return fvlm_judge_refuse(c, "%" PRIu64 " heads, %" PRIu64 " of keys, do not divide the operands", a->heads,
                                 a->kv_heads);
    a->width = q->dims[q->rank - 1] / parts;
    a->v_width = v->dims[v->rank - 1] / kv_parts;
    const uint64_t n = a->kv_length, w = a->width, vw = a->v_width, kv = a->kv_heads;
    const uint64_t key[2][4] = {{a->batch, n, kv * w}, {a->batch, kv, n, w}},
                   value[2][4] = {{a->batch, n, kv * vw}, {a->batch, kv, n, vw}};
    if (!q->n || !k->n || !v->n) return fvlm_judge_refuse(c, "an operand of no elements");
    st = fvlm_judge_want_shape(c, K, k->rank, key[a->heads_first]);
    return st ? st : fvlm_judge_want_shape(c, V, v->rank, value[a->heads_first]);
}

static fvlm_status read_past(attention *a, const fvlm_judge_call *c)
{
    const fvlm_judge_value *k = fvlm_judge_in(c, PAST_K), *v = fvlm_judge_in(c, PAST_V);
    if (!k != !v) return fvlm_judge_refuse(c, "a cache of keys without one of values");
    if (!k) return FVLM_OK;
    fvlm_status st = fvlm_attend_want_past(c, PAST_K, c->in[K]->type, a->batch, a->kv_heads, a->width);
    if (!st) st = fvlm_attend_want_past(c, PAST_V, c->in[V]->type, a->batch, a->kv_heads, a->v_width);
    if (!st && k->dims[2] != v->dims[2]) st = fvlm_judge_refuse(c, "caches of different lengths");
    a->past = k->dims[2];
    return st;
}

/* What precedes the first query: the cache, or what nonpad_kv_seqlen has besides the queries. */
static fvlm_status read_positions(attention *a, const fvlm_judge_call *c)
{
    const fvlm_judge_value *valid = fvlm_judge_in(c, VALID);
    a->offset = fvlm_alloc((size_t)a->batch, sizeof *a->offset);
    a->valid = fvlm_alloc((size_t)a->batch, sizeof *a->valid);
    if (!a->offset || !a->valid) return fvlm_fail_nomem(c->err);
    fvlm_status st = valid ? fvlm_judge_want_type(c, VALID, FVLM_ONNX_I64) : FVLM_OK;
    if (!st && valid) st = fvlm_judge_want_shape(c, VALID, 1, &a->batch);
    if (!st && valid && a->past) st = fvlm_judge_refuse(c, "a cache and nonpad_kv_seqlen");
    for (uint64_t b = 0; b < a->batch && !st; b++) {
        a->valid[b] = valid ? fvlm_judge_get_i64(valid, b) : (int64_t)(a->past + a->kv_length);
        a->offset[b] = valid ? a->valid[b] - (int64_t)a->length : (int64_t)a->past;
        if (a->valid[b] < 0 || a->valid[b] > (int64_t)(a->past + a->kv_length))
            st = fvlm_judge_refuse(c, "nonpad_kv_seqlen is %" PRId64, a->valid[b]);
    }
    return st;
}

/* The mask as floats to add, [..., total], what it lacks of the keys masked. */
static fvlm_status read_mask(attention *a, const fvlm_judge_call *c)
{
    const fvlm_judge_value *m = fvlm_judge_in(c, MASK);
    const uint64_t total = a->past + a->kv_length;
    uint64_t dims[FVLM_GRAPH_MAX_RANK];
    char text[192];
    if (!m) return FVLM_OK;
    if (m->type != FVLM_ONNX_BOOL) {
        fvlm_status st = fvlm_judge_want_float(c, MASK);
        if (st) return st;
    }
    if (m->rank < 1 || m->rank > 4 || m->dims[m->rank - 1] > total || !m->n)
        return fvlm_judge_refuse(c, "a mask of %s does not fit the scores", fvlm_judge_shape_text(m, text));
    const uint64_t given = m->dims[m->rank - 1];
    memcpy(dims, m->dims, sizeof dims);
    dims[m->rank - 1] = total;
    fvlm_status st = fvlm_judge_make_temp(c, &a->mask, FVLM_ONNX_F32, m->rank, dims);
    for (uint64_t i = 0; i < a->mask.n && !st; i++) {
        const uint64_t t = i % total, at = i / total * given + t;
        float *to = (float *)a->mask.data + i;
        *to = -INFINITY;
        if (t < given && m->type == FVLM_ONNX_BOOL)
            *to = ((const uint8_t *)m->data)[at] ? 0 : -INFINITY;
        else if (t < given)
            *to = ((const float *)m->data)[at];
    }
    return st;
}

static fvlm_status read_options(fvlm_attend *f, const attention *a, const fvlm_judge_call *c)
{
    float scale, softcap;
    bool causal;
    int64_t mode, left, right, precision;
    fvlm_status st = fvlm_judge_attr_float(c, "scale", 0, &scale);
    if (!st) st = fvlm_judge_attr_float(c, "softcap", 0, &softcap);
    if (!st) st = fvlm_judge_attr_flag(c, "is_causal", false, &causal);
    if (!st) st = fvlm_judge_attr_int(c, "qk_matmul_output_mode", 0, &mode);
    if (!st) st = fvlm_judge_attr_int(c, "left_window_size", -1, &left);
    if (!st) st = fvlm_judge_attr_int(c, "right_window_size", -1, &right);
    if (!st)
        st = fvlm_judge_attr_int(c, "softmax_precision", FVLM_ONNX_F32, &precision); /* f64 is no coarser than any */
    if (st) return st;
    if (mode < 0 || mode > 3 || left < -1 || right < -1 || left > INT32_MAX || right > INT32_MAX)
        return fvlm_judge_refuse(c, "qk_matmul_output_mode %" PRId64 ", windows %" PRId64 " and %" PRId64, mode, left,
                                 right);
    f->scale = fvlm_graph_attr_find(c->node, "scale") ? (double)scale : 1 / sqrt((double)a->width);
    f->softcap = (double)softcap;
    f->left = left;
    f->right = causal ? 0 : right;
    f->score_mode = (int)mode;
    return FVLM_OK;
}

static fvlm_status attend(attention *a, fvlm_judge_call *c)
{
    const uint64_t total = a->past + a->kv_length;
    const uint64_t wide[4] = {a->batch, a->heads, a->length, a->v_width},
                   flat[3] = {a->batch, a->length, a->heads * a->v_width};
    const uint64_t scores[4] = {a->batch, a->heads, a->length, total};
    fvlm_attend f = {
        .batch = a->batch,
        .heads = a->heads,
        .kv_heads = a->kv_heads,
        .q_len = a->length,
        .kv_len = total,
        .width = a->width,
        .v_width = a->v_width,
        .q = a->made[0].data,
        .k = a->made[1].data,
        .v = a->made[2].data,
        .heads_first = a->heads_first,
        .offset = a->offset,
        .valid = a->valid,
    };
    fvlm_status st = read_options(&f, a, c);
    if (!st && a->mask.data) st = fvlm_attend_bias(&f, 0, c, &a->mask);
    if (!st) st = fvlm_judge_make(c, 0, c->in[Q]->type, a->heads_first ? 4 : 3, a->heads_first ? wide : flat);
    if (!st && fvlm_judge_wants(c, 3)) st = fvlm_judge_make(c, 3, c->in[Q]->type, 4, scores);
    if (st) return st;
    f.out = c->out[0].data;
    f.scores = fvlm_judge_wants(c, 3) ? c->out[3].data : NULL;
    st = fvlm_attend_run(c, &f);
    for (size_t i = 1; i < 3 && !st; i++)
        if (fvlm_judge_wants(c, i)) fvlm_judge_value_share(&c->out[i], &a->made[i]);
    return st;
}

static fvlm_status run(fvlm_judge_call *c)
{
    attention a = {0};
    fvlm_status st = read_shapes(&a, c);
    if (!st) st = read_past(&a, c);
    if (!st) st = read_positions(&a, c);
    if (!st) st = read_mask(&a, c);
    for (size_t i = Q; i <= V && !st; i++) {
        const fvlm_judge_value *past = i ? fvlm_judge_in(c, PAST_K + i - K) : NULL;
        const fvlm_attend_source s =
            source_of(&a, c->in[i], i ? a.kv_heads : a.heads, i ? a.kv_length : a.length, i == V ? a.v_width : a.width);
        st = fvlm_attend_gather(c, &a.made[i], c->in[i]->type, past, i ? a.past : 0, &s);
    }
    if (!st) st = attend(&a, c);
    for (size_t i = 0; i < 3; i++) fvlm_judge_value_free(&a.made[i]);
    fvlm_judge_value_free(&a.mask);
    free(a.offset);
    free(a.valid);
    return st;
}

const fvlm_judge_row fvlm_judge_rows_onnx_attention[] = {
    {"", "Attention", 23, 3, 7, 4, 0, 0, run,
     "is_causal kv_num_heads left_window_size q_num_heads qk_matmul_output_mode right_window_size scale "
     "softcap softmax_precision"},
    {0},
};
