/* SPDX-License-Identifier: Apache-2.0 */
/* match_attention.c - the attention of a decoder layer, from the input of the output projection back to the projections
 * of queries, keys and values. The spellings differ in how operands are found; what they must be is checked here, by
 * where each element comes from. */
#include "convert/graph/match_attention.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void free_operands(fvlm_attention_operands *o)
{
    fvlm_heads_free(&o->q);
    fvlm_heads_free(&o->k);
    fvlm_heads_free(&o->v);
    fvlm_heads_free(&o->past_k);
    fvlm_heads_free(&o->past_v);
}

static fvlm_status trace_operand(fvlm_heads *out, const fvlm_attention_frame *f, const fvlm_net_value *operand,
                                 const fvlm_net_node *matmul, bool turned, uint64_t start, fvlm_err *err)
{
    fvlm_heads_layout *l = fvlm_alloc(1, sizeof *l);
    if (!l) return fvlm_fail_nomem(err);
    fvlm_status st;
    if (!fvlm_heads_lay_operand(l, operand, matmul->outputs[0], turned))
        st = fvlm_match_expected(f->net, matmul->outputs[0], "another shape", err,
                                 "a product for each of at most %d heads", FVLM_MAX_HEADS);
    else {
        l->start = start;
        st = fvlm_heads_trace(out, f->net, operand, l, err);
    }
    free(l);
    return st;
}

static fvlm_status read_matmul(fvlm_attention_operands *out, fvlm_attention_frame *f, const fvlm_net_node *n,
                               fvlm_err *err)
{
    const fvlm_net_node *scores = NULL;
    out->joined = true;
    fvlm_status st = fvlm_scores_find(&scores, &out->scale, f, n->inputs[0], err);
    if (!st) st = trace_operand(&out->q, f, scores->inputs[0], scores, false, f->n_past, err);
    if (st || f->long_past) return st;
    st = trace_operand(&out->k, f, scores->inputs[1], scores, true, 0, err);
    if (!st) st = trace_operand(&out->v, f, n->inputs[1], n, false, 0, err);
    return st;
}

/* ---- what all spellings must be ---- */

/* Finds the node that mixes values: v is its output with the heads side by side. */
static fvlm_status find_core(fvlm_origins *o, const fvlm_net *net, const fvlm_net_value *v, fvlm_err *err)
{
    fvlm_status st = fvlm_origins_trace(o, net, v, err);
    if (st) return st;
    if (o->n_sources != 1 || o->source[0]->is_const || !o->source[0]->producer)
        return fvlm_match_expected(net, v, NULL, err, "the output of an attention");
    return FVLM_OK;
}

static fvlm_status check_output(const fvlm_origins *o, const fvlm_attention_operands *p, const fvlm_attention_frame *f,
                                const fvlm_net_value *v, fvlm_err *err)
{
    const uint64_t heads = p->q.heads, dim = p->q.dim, width = heads * dim;
    bool ok = o->n_elems == f->n_new * width && v->rank && v->dims[v->rank - 1] == width;
    for (uint64_t i = 0; i < o->n_elems && ok; i++) {
        const uint64_t s = i / width, h = i % width / dim, d = i % dim;
        const uint64_t want = p->heads_last ? i : (h * f->n_new + s) * dim + d;
        ok = o->elems[i].n == 1 && o->elems[i].factor[0] == 1 && o->elems[i].index[0] == want;
    }
    if (ok) return FVLM_OK;
    return fvlm_match_expected(f->net, v, "another order", err, "the outputs of %" PRIu64 " heads side by side", heads);
}

static fvlm_status find_projection(fvlm_projection_rows *out, const fvlm_heads_columns *c, uint64_t n,
                                   const fvlm_net *net, const char *what, fvlm_err *err)
{
    fvlm_net_value *source = (fvlm_net_value *)c->source;
    if (!fvlm_projection_find(&out->of, source) || out->of.out != source)
        return fvlm_match_expected(net, c->source, NULL, err, "the %s projection, a MatMul by a constant", what);
    out->first = c->first;
    out->n = n;
    if (c->first > out->of.n_out || n > out->of.n_out - c->first)
        return fvlm_match_expected(net, c->source, "fewer", err, "%" PRIu64 " outputs of the %s projection", n, what);
    return FVLM_OK;
}

static fvlm_status check_scale(const fvlm_attention_frame *f, const fvlm_attention_operands *p, double scale,
                               const fvlm_heads_columns *q, fvlm_err *err)
{
    const double want = 1 / sqrt((double)p->q.dim);
    const int32_t type = q->source->type;
    const bool coarse = p->q.origins.coarse || type == FVLM_ONNX_F16 || type == FVLM_ONNX_BF16;
    if (fabs(scale - want) <= (coarse ? 2e-3 : 2e-6) * want) return FVLM_OK;
    char found[32];
    snprintf(found, sizeof found, "%g", scale);
    return fvlm_match_expected(f->net, p->out, found, err, "scores scaled by 1 / sqrt(%" PRIu64 ") = %g", p->q.dim,
                               want);
}

/* The past: in front of keys and values, or apart. */
static fvlm_status check_caches(fvlm_decoder_attention *out, const fvlm_attention_frame *f,
                                const fvlm_attention_operands *p, const fvlm_heads_columns *k,
                                const fvlm_heads_columns *v, fvlm_err *err)
{
    const fvlm_heads_columns apart = {.group = 1, .scale = 1};
    if (!f->n_past) return FVLM_OK;
    fvlm_status st = fvlm_heads_check_cache(&out->key_cache, p->joined ? &p->k : &p->past_k, f->net, f->n_past,
                                            p->joined ? k : &apart, "key", err);
    if (!st)
        st = fvlm_heads_check_cache(&out->value_cache, p->joined ? &p->v : &p->past_v, f->net, f->n_past,
                                    p->joined ? v : &apart, "value", err);
    if (!st && out->key_cache == out->value_cache)
        st = fvlm_match_expected(f->net, p->out, "one", err, "a cache of keys and another of values");
    return st;
}

static fvlm_status check_shapes(const fvlm_attention_frame *f, const fvlm_attention_operands *p, fvlm_err *err)
{
    const uint64_t positions = p->joined ? f->n_past + f->n_new : f->n_new;
    if (p->q.positions == f->n_new && p->k.positions == positions && p->v.positions == positions &&
        p->k.dim == p->q.dim && p->v.dim == p->q.dim && p->k.heads && p->v.heads == p->k.heads &&
        p->q.heads % p->k.heads == 0)
        return FVLM_OK;
    return fvlm_match_expected(f->net, p->out, "other shapes", err,
                               "%" PRIu64 " queries and %" PRIu64 " keys and values of one size", f->n_new, positions);
}

static fvlm_status check_queries(fvlm_decoder_attention *out, fvlm_heads_columns *q, fvlm_attention_frame *f,
                                 const fvlm_attention_operands *p, fvlm_err *err)
{
    out->dim = p->q.dim;
    out->heads = p->q.heads;
    fvlm_status st = fvlm_heads_check_columns(q, &p->q, f->net, 0, p->rotates ? NULL : &f->rope, "query", err);
    if (!st && q->group != 1 && p->q.heads > 1)
        st = fvlm_match_expected(f->net, p->q.value, "repeated ones", err, "queries of %" PRIu64 " heads", p->q.heads);
    return st ? st : find_projection(&out->q, q, out->heads * out->dim, f->net, "query", err);
}

static fvlm_status check_keys_and_values(fvlm_decoder_attention *out, const fvlm_heads_columns *q,
                                         fvlm_attention_frame *f, const fvlm_attention_operands *p, fvlm_err *err)
{
    const fvlm_net *net = f->net;
    const uint64_t from = p->joined ? f->n_past : 0;
    fvlm_heads_columns k, v;
    fvlm_status st = fvlm_heads_check_columns(&k, &p->k, net, from, p->rotates ? NULL : &f->rope, "key", err);
    if (!st) st = fvlm_heads_check_columns(&v, &p->v, net, from, NULL, "value", err);
    if (!st && (v.group != k.group || v.scale != 1))
        st = fvlm_match_expected(net, p->v.value, "others", err, "unscaled values, repeated as often as the keys");
    if (!st) st = check_scale(f, p, p->scale * q->scale * k.scale, q, err);
    if (!st) st = check_caches(out, f, p, &k, &v, err);
    if (st) return st;
    out->kv_heads = p->k.heads / k.group;
    st = find_projection(&out->k, &k, out->kv_heads * out->dim, net, "key", err);
    if (!st) st = find_projection(&out->v, &v, out->kv_heads * out->dim, net, "value", err);
    if (st) return st;
    const fvlm_net_value *in = fvlm_net_skip_reshapes(out->q.of.in);
    if (fvlm_net_skip_reshapes(out->k.of.in) != in || fvlm_net_skip_reshapes(out->v.of.in) != in)
        return fvlm_match_expected(net, p->out, "different ones", err, "queries, keys and values of one input");
    return FVLM_OK;
}

static fvlm_status check_operands(fvlm_decoder_attention *out, fvlm_attention_frame *f,
                                  const fvlm_attention_operands *p, fvlm_err *err)
{
    fvlm_heads_columns q;
    fvlm_status st = f->long_past ? FVLM_OK : check_shapes(f, p, err);
    if (!st) st = check_queries(out, &q, f, p, err);
    return st || f->long_past ? st : check_keys_and_values(out, &q, f, p, err);
}

/* The tables that RotaryEmbedding nodes read are checked in full, not only at the positions of this evaluation. */
static fvlm_status check_tables(fvlm_attention_frame *f, const fvlm_heads *h, fvlm_err *err)
{
    const fvlm_net_node *n = h->origins.rotary;
    if (!n || f->rope.theta <= 0) return FVLM_OK;
    const size_t cosines = strcmp(n->node->domain, "com.microsoft") ? 1 : 2;
    if (n->inputs[cosines]->rank != 2) return FVLM_OK; /* tables of these positions only */
    return fvlm_rope_check_tables(&f->rope, f->net, n, n->inputs[cosines], n->inputs[cosines + 1], err);
}

fvlm_status fvlm_attention_find(fvlm_decoder_attention *out, fvlm_attention_frame *f, fvlm_net_value *v, fvlm_err *err)
{
    fvlm_origins o = {0};
    fvlm_attention_operands p = {0};
    *out = (fvlm_decoder_attention){0};
    fvlm_status st = find_core(&o, f->net, v, err);
    const fvlm_net_node *n = st ? NULL : o.source[0]->producer;
    p.out = st ? NULL : o.source[0];
    if (st) goto done;
    if (p.out != n->outputs[0])
        st = fvlm_match_expected(f->net, p.out, "another output", err, "an attention's output");
    else if (!strcmp(n->op, "MatMul"))
        st = read_matmul(&p, f, n, err);
    else if (!strcmp(n->op, "Attention") && !n->node->domain[0])
        st = fvlm_attention_read_onnx(&p, f, n, err);
    else if (!strcmp(n->op, "GroupQueryAttention"))
        st = fvlm_attention_read_grouped(&p, f, n, err);
    else
        st = fvlm_match_expected(f->net, p.out, NULL, err,
                                 "a causal attention: softmax(q k) v, Attention or "
                                 "GroupQueryAttention");
    if (!st) st = check_operands(out, f, &p, err);
    if (!st) st = check_output(&o, &p, f, v, err);
    if (!st) st = check_tables(f, &p.q, err);
    if (!st) st = check_tables(f, &p.k, err);
done:
    free_operands(&p);
    fvlm_origins_free(&o);
    return st;
}
