/* SPDX-License-Identifier: Apache-2.0 */
/* match_attention_ops.c - attention as one node: com.microsoft.GroupQueryAttention and ai.onnx Attention. Attributes
 * that change what is computed must have the values of a plain causal attention. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "convert/graph/match_attention.h"

static const fvlm_net_value *input(const fvlm_net_node *n, size_t i)
{
    return i < n->n_inputs ? n->inputs[i] : NULL;
}

/* Attributes of integers, each with its default and the only value that is accepted. */
typedef struct {
    const char *name;
    int64_t absent, wanted;
} plain_attr;

static fvlm_status check_ints(const fvlm_net *net, const fvlm_net_node *n, const plain_attr *a, size_t count,
                              fvlm_err *err)
{
    fvlm_status st = FVLM_OK;
    for (size_t i = 0; i < count && !st; i++) {
        int64_t x = 0;
        char found[32];
        st = fvlm_graph_attr_int(&x, n->node, a[i].name, a[i].absent, err);
        snprintf(found, sizeof found, "%" PRId64, x);
        if (!st && x != a[i].wanted)
            st = fvlm_match_expected(net, n->outputs[0], found, err, "%s %" PRId64, a[i].name, a[i].wanted);
    }
    return st;
}

static fvlm_status check_no_softcap(const fvlm_net *net, const fvlm_net_node *n, fvlm_err *err)
{
    float softcap = 0;
    fvlm_status st = fvlm_graph_attr_float(&softcap, n->node, "softcap", 0, err);
    if (!st && softcap != 0) st = fvlm_match_expected(net, n->outputs[0], "one", err, "no softcap");
    return st;
}

static fvlm_status read_scale(double *out, const fvlm_net_node *n, uint64_t dim, fvlm_err *err)
{
    float scale = 0;
    fvlm_status st = fvlm_graph_attr_float(&scale, n->node, "scale", 0, err);
    *out = scale != 0 ? (double)scale : 1 / sqrt((double)dim);
    return st;
}

/* Traces one operand; laid: it fits the layout. */
static fvlm_status trace(fvlm_heads *out, const fvlm_attention_frame *f, const fvlm_net_node *n,
                         const fvlm_net_value *v, fvlm_heads_layout *l, bool laid, uint64_t start, fvlm_err *err)
{
    if (!laid)
        return fvlm_match_expected(f->net, n->outputs[0], "another shape", err, "whole heads of one sequence in \"%s\"",
                                   v->name);
    l->start = start;
    return fvlm_heads_trace(out, f->net, v, l, err);
}

/* Caches that are inputs of the node: [1, heads, past, dim]. */
static fvlm_status trace_past(fvlm_attention_operands *out, const fvlm_attention_frame *f, const fvlm_net_node *n,
                              size_t at, fvlm_heads_layout *l, fvlm_err *err)
{
    const fvlm_net_value *k = input(n, at), *v = input(n, at + 1);
    if (!f->n_past) return FVLM_OK;
    if (!k || !v || k->rank != 4 || v->rank != 4)
        return fvlm_match_expected(f->net, n->outputs[0], "none", err, "past keys and values");
    fvlm_status st = trace(&out->past_k, f, n, k, l, fvlm_heads_lay_apart(l, k), 0, err);
    if (!st) st = trace(&out->past_v, f, n, v, l, fvlm_heads_lay_apart(l, v), 0, err);
    if (!st &&
        (out->past_k.heads != out->k.heads || out->past_v.heads != out->k.heads || out->past_k.positions != f->n_past ||
         out->past_v.positions != f->n_past || out->past_k.dim != out->k.dim || out->past_v.dim != out->k.dim))
        st = fvlm_match_expected(f->net, n->outputs[0], "another shape", err,
                                 "past keys and values of %" PRIu64 " heads", out->k.heads);
    return st;
}

/* ---- GroupQueryAttention: query, key, value, past_key, past_value, seqlens_k, total_sequence_length, cos_cache,
 * sin_cache, position_ids, attention_bias, head_sink, k_scale, v_scale ---- */

static fvlm_status check_lengths(fvlm_attention_frame *f, const fvlm_net_node *n, fvlm_err *err)
{
    const fvlm_net_value *last = input(n, 5), *total = input(n, 6), *positions = input(n, 9);
    const double keys = (double)(f->n_past + f->n_new);
    if (!last || !last->is_const || last->n_elems != 1 || !fvlm_net_all(last, keys - 1))
        return fvlm_match_expected(f->net, n->outputs[0], "another", err,
                                   "seqlens_k %g, the past and new tokens less one", keys - 1);
    if (!total || !total->is_const || total->n_elems != 1 || !fvlm_net_all(total, keys))
        return fvlm_match_expected(f->net, n->outputs[0], "another", err, "total_sequence_length %g", keys);
    for (uint64_t i = 0; positions && i < f->n_new; i++)
        if (!positions->numbers || positions->n_elems != f->n_new || positions->numbers[i] != (double)(f->n_past + i))
            return fvlm_match_expected(f->net, n->outputs[0], "others", err, "position_ids from %" PRIu64 " on",
                                       f->n_past);
    if (input(n, 11)) return fvlm_match_expected(f->net, n->outputs[0], "one", err, "no head_sink");
    if (input(n, 12) || input(n, 13))
        return fvlm_match_expected(f->net, n->outputs[0], "them", err, "no quantized caches");
    if (!input(n, 10)) return FVLM_OK;
    return fvlm_scores_check_mask(f, input(n, 10), true, n->outputs[0], err);
}

/* do_rotary: the node rotates by its tables. */
static fvlm_status check_rotary(fvlm_attention_frame *f, const fvlm_net_node *n, uint64_t dim, fvlm_err *err)
{
    const fvlm_net_value *cosines = input(n, 7), *sines = input(n, 8);
    const plain_attr plain[] = {{"rotary_interleaved", 0, 0}};
    fvlm_status st = check_ints(f->net, n, plain, 1, err);
    if (st) return st;
    if (!cosines || !sines || cosines->rank != 2 || cosines->dims[1] != dim / 2 || dim < 4 ||
        cosines->dims[0] < f->n_past + f->n_new)
        return fvlm_match_expected(f->net, n->outputs[0], "others", err,
                                   "cos_cache and sin_cache [positions, %" PRIu64 "]", dim / 2);
    return fvlm_rope_check_tables(&f->rope, f->net, n, cosines, sines, err);
}

static fvlm_status read_grouped_heads(uint64_t *heads, uint64_t *kv, uint64_t *dim, const fvlm_net *net,
                                      const fvlm_net_node *n, fvlm_err *err)
{
    int64_t h = 0, k = 0;
    const fvlm_net_value *q = n->inputs[0];
    fvlm_status st = fvlm_graph_attr_int(&h, n->node, "num_heads", 0, err);
    if (!st) st = fvlm_graph_attr_int(&k, n->node, "kv_num_heads", 0, err);
    if (st) return st;
    const bool packed = !input(n, 1) && !input(n, 2);
    if (h < 1 || k < 1 || h > FVLM_MAX_HEADS || k > h || h % k || !q || q->rank != 3 || !input(n, 1) != !input(n, 2) ||
        q->dims[2] % (uint64_t)(packed ? h + 2 * k : h))
        return fvlm_match_expected(net, n->outputs[0], "others", err,
                                   "num_heads, a multiple of kv_num_heads, and whole heads "
                                   "in the query");
    *heads = (uint64_t)h;
    *kv = (uint64_t)k;
    *dim = q->dims[2] / (uint64_t)(packed ? h + 2 * k : h);
    return FVLM_OK;
}

/* A window that is never full changes nothing: whether this one is wider than the context, config.json tells. */
static fvlm_status check_window(fvlm_attention_frame *f, const fvlm_net_node *n, fvlm_err *err)
{
    int64_t window = 0;
    char found[24];
    fvlm_status st = fvlm_graph_attr_int(&window, n->node, "local_window_size", -1, err);
    if (st || window == -1) return st;
    if (window > 0 && (uint64_t)window >= f->n_past + f->n_new) {
        if (!f->window || (uint64_t)window < f->window) f->window = (uint64_t)window;
        return FVLM_OK;
    }
    f->not_causal = true;
    snprintf(found, sizeof found, "%" PRId64, window);
    return fvlm_match_expected(f->net, n->outputs[0], found, err,
                               "local_window_size -1, or at least the positions of the context");
}

fvlm_status fvlm_attention_read_grouped(fvlm_attention_operands *out, fvlm_attention_frame *f, const fvlm_net_node *n,
                                        fvlm_err *err)
{
    static const plain_attr plain[] = {{"qk_output", 0, 0}, {"kv_cache_bit_width", 0, 0}};
    static const char *const known[] = {"num_heads",
                                        "kv_num_heads",
                                        "scale",
                                        "do_rotary",
                                        "softcap",
                                        "smooth_softmax",
                                        "k_quant_type",
                                        "rotary_interleaved",
                                        "v_quant_type",
                                        "qk_output",
                                        "local_window_size",
                                        "kv_cache_bit_width",
                                        NULL};
    uint64_t heads = 0, kv = 0, dim = 0;
    int64_t rotary = 0, smooth = 0;
    fvlm_status st = fvlm_match_known_attrs(f->net, n, known, err);
    if (!st) st = check_ints(f->net, n, plain, sizeof plain / sizeof plain[0], err);
    if (!st) st = check_window(f, n, err);
    if (!st) st = check_no_softcap(f->net, n, err);
    if (!st) st = fvlm_graph_attr_int(&smooth, n->node, "smooth_softmax", 0, err);
    if (!st && smooth > 0) st = fvlm_match_expected(f->net, n->outputs[0], "1", err, "smooth_softmax 0");
    if (!st) st = fvlm_graph_attr_int(&rotary, n->node, "do_rotary", 0, err);
    if (!st) st = read_grouped_heads(&heads, &kv, &dim, f->net, n, err);
    if (!st) st = read_scale(&out->scale, n, dim, err);
    if (!st) st = check_lengths(f, n, err);
    if (!st && rotary) st = check_rotary(f, n, dim, err);
    fvlm_heads_layout *l = st ? NULL : fvlm_alloc(1, sizeof *l);
    if (!st && !l) st = fvlm_fail_nomem(err);
    if (st) return st;
    const fvlm_net_value *q = n->inputs[0], *k = input(n, 1), *v = input(n, 2);
    const bool packed = !k;
    if (packed) k = v = q;
    out->heads_last = true;
    out->rotates = rotary != 0;
    st = trace(&out->q, f, n, q, l, fvlm_heads_lay_columns(l, q, 0, heads, dim), f->n_past, err);
    if (!st && !f->long_past)
        st =
            trace(&out->k, f, n, k, l, fvlm_heads_lay_columns(l, k, packed ? heads * dim : 0, kv, dim), f->n_past, err);
    if (!st && !f->long_past)
        st = trace(&out->v, f, n, v, l, fvlm_heads_lay_columns(l, v, packed ? (heads + kv) * dim : 0, kv, dim),
                   f->n_past, err);
    if (!st && !f->long_past) st = trace_past(out, f, n, 3, l, err);
    free(l);
    return st;
}

/* ---- Attention: Q, K, V, attn_mask, past_key, past_value, nonpad_kv_seqlen ---- */

static fvlm_status check_causality(fvlm_attention_frame *f, const fvlm_net_node *n, bool past_apart, fvlm_err *err)
{
    int64_t causal = 0;
    const fvlm_net_value *mask = input(n, 3);
    fvlm_status st = fvlm_graph_attr_int(&causal, n->node, "is_causal", 0, err);
    if (st) return st;
    if (causal && f->n_past && !past_apart) /* query i would see keys 0 .. i only */
        return fvlm_match_expected(f->net, n->outputs[0], "is_causal without past_key", err,
                                   "a mask that lets new tokens see "
                                   "the past");
    if (input(n, 6)) return fvlm_match_expected(f->net, n->outputs[0], "one", err, "no nonpad_kv_seqlen");
    if (mask) return fvlm_scores_check_mask(f, mask, causal != 0, n->outputs[0], err);
    return causal ? FVLM_OK : fvlm_match_expected(f->net, n->outputs[0], "none", err, "a causal mask");
}

/* [1, heads, positions, dim], or [1, positions, heads * dim] with heads by the attribute. */
static fvlm_status lay_heads(fvlm_heads *out, const fvlm_attention_frame *f, const fvlm_net_node *n, size_t at,
                             uint64_t start, fvlm_err *err)
{
    const fvlm_net_value *v = input(n, at);
    int64_t heads = 0;
    fvlm_status st = fvlm_graph_attr_int(&heads, n->node, at ? "kv_num_heads" : "q_num_heads", 0, err);
    if (!st && !v) st = fvlm_match_expected(f->net, n->outputs[0], "fewer", err, "queries, keys and values");
    fvlm_heads_layout *l = st ? NULL : fvlm_alloc(1, sizeof *l);
    if (!st && !l) st = fvlm_fail_nomem(err);
    if (st) return st;
    bool laid;
    if (v->rank == 3)
        laid = heads > 0 && v->dims[2] % (uint64_t)heads == 0 &&
               fvlm_heads_lay_columns(l, v, 0, (uint64_t)heads, v->dims[2] / (uint64_t)heads);
    else
        laid = v->rank == 4 && fvlm_heads_lay_apart(l, v);
    st = trace(out, f, n, v, l, laid, start, err);
    free(l);
    return st;
}

fvlm_status fvlm_attention_read_onnx(fvlm_attention_operands *out, fvlm_attention_frame *f, const fvlm_net_node *n,
                                     fvlm_err *err)
{
    static const plain_attr plain[] = {{"left_window_size", -1, -1}, {"right_window_size", -1, -1}};
    static const char *const known[] = {
        "is_causal", "kv_num_heads",      "q_num_heads",      "qk_matmul_output_mode", "scale",
        "softcap",   "softmax_precision", "left_window_size", "right_window_size",     NULL};
    const bool past_apart = input(n, 4) != NULL;
    out->joined = f->n_past && !past_apart;
    out->heads_last = n->outputs[0]->rank == 3;
    fvlm_status st = fvlm_match_known_attrs(f->net, n, known, err);
    if (!st) st = check_ints(f->net, n, plain, sizeof plain / sizeof plain[0], err);
    if (!st) st = check_no_softcap(f->net, n, err);
    if (!st) st = check_causality(f, n, past_apart, err);
    const uint64_t start = out->joined ? 0 : f->n_past;
    if (!st) st = lay_heads(&out->q, f, n, 0, f->n_past, err);
    if (!st) st = read_scale(&out->scale, n, out->q.dim, err);
    if (st || f->long_past) return st;
    st = lay_heads(&out->k, f, n, 1, start, err);
    if (!st) st = lay_heads(&out->v, f, n, 2, start, err);
    if (st || out->joined) return st;
    fvlm_heads_layout *l = fvlm_alloc(1, sizeof *l);
    if (!l) return fvlm_fail_nomem(err);
    st = trace_past(out, f, n, 4, l, err);
    free(l);
    return st;
}
