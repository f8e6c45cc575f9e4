/* SPDX-License-Identifier: Apache-2.0 */
/* op_attention.c - Attention of com.microsoft, one projection of the input to queries, keys and values, as
 * onnxruntime's ContribOperators.md and attention_helper.h define it. */
#include <inttypes.h>

#include "verify/judge/attend_heads.h"
#include "verify/judge/product.h"

enum { INPUT, WEIGHTS, BIAS, MASK, PAST, RELATIVE };

/* The widths of queries, keys and values together: equal, unless "qkv_hidden_sizes" lists them. */
static fvlm_status read_widths(fvlm_attend_heads *h, const fvlm_judge_call *c, uint64_t hidden[3])
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
        st = fvlm_attend_heads_check_width(c, hidden[i], h->heads);
        if (st) return st;
    }
    if (sum != w->dims[1] || hidden[0] != hidden[1])
        return fvlm_judge_refuse(c, "hidden sizes that do not fit the weights");
    h->width = hidden[0] / h->heads;
    h->v_width = hidden[2] / h->heads;
    return FVLM_OK;
}

/* [2, batch, heads, positions, width] as two caches, which share its elements. */
static fvlm_status split_past(fvlm_attend_heads *h, const fvlm_judge_call *c, fvlm_judge_value past[2])
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

static fvlm_status make_present(const fvlm_attend_heads *h, fvlm_judge_call *c)
{
    if (!fvlm_judge_wants(c, 1)) return FVLM_OK;
    if (h->width != h->v_width) return fvlm_judge_refuse(c, "a cache of keys and values of different widths");
    const uint64_t dims[5] = {2, h->batch, h->heads, h->past + h->kv_length, h->width};
    fvlm_status st = fvlm_judge_make(c, 1, c->in[INPUT]->type, 5, dims);
    for (size_t i = 0; i < 2 && !st; i++)
        memcpy((float *)c->out[1].data + i * h->made[1].n, h->made[1 + i].data, h->made[1].n * sizeof(float));
    return st;
}

static fvlm_status project(const fvlm_attend_heads *h, const fvlm_judge_call *c, fvlm_judge_value *out)
{
    const fvlm_judge_value *x = c->in[INPUT], *w = c->in[WEIGHTS];
    const uint64_t dims[3] = {h->batch, h->length, w->dims[1]};
    fvlm_product p = {0};
    fvlm_status st = fvlm_product_plan(&p, c, x, w);
    if (!st) st = fvlm_judge_make_temp(c, out, x->type, 3, dims);
    if (!st) st = fvlm_judge_want_work(c, out->n, p.k);
    return st ? st : fvlm_product_run(&p, c, x, w, out->data, NULL);
}

static fvlm_status run(fvlm_judge_call *c)
{
    fvlm_attend_heads h = {0};
    const fvlm_judge_value *x = c->in[INPUT], *bias = fvlm_judge_in(c, BIAS);
    fvlm_judge_value packed = {0}, past[2];
    uint64_t hidden[3], at = 0;
    float masked;
    bool rotate, shared;
    fvlm_status st = fvlm_judge_want_float(c, INPUT);
    if (!st) st = fvlm_judge_want_type(c, WEIGHTS, x->type);
    if (!st) st = fvlm_attend_heads_read_number(&h, c);
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
    if (!st) st = fvlm_attend_heads_read_mask(&h, c, MASK, masked);
    if (!st) st = project(&h, c, &packed);
    for (size_t i = 0; i < 3 && !st; at += hidden[i++]) {
        fvlm_attend_source from =
            fvlm_attend_source_rows((const float *)packed.data + at, h.batch, h.length, c->in[WEIGHTS]->dims[1],
                                    h.heads, hidden[i] / h.heads);
        from.bias = bias ? (const float *)bias->data + at : NULL;
        st = fvlm_attend_gather(c, &h.made[i], x->type,
                                i == 1   ? h.past_k
                                : i == 2 ? h.past_v
                                         : NULL,
                                i ? h.past : 0, &from);
    }
    fvlm_judge_value_free(&packed);
    if (!st && fvlm_judge_in(c, RELATIVE)) st = fvlm_judge_want_type(c, RELATIVE, x->type);
    if (!st) st = fvlm_attend_heads_run(&h, c, x->type, fvlm_judge_in(c, RELATIVE));
    if (!st) st = make_present(&h, c);
    fvlm_attend_heads_free(&h);
    return st;
}

const fvlm_judge_row fvlm_judge_rows_attention[] = {
    {MICROSOFT, "Attention", 0, 2, 6, 2, 2, 0, run,
     "num_heads mask_filter_value scale unidirectional qkv_hidden_sizes do_rotary past_present_share_buffer"},
    {0},
};
