/* SPDX-License-Identifier: Apache-2.0 */
/* match_decoder.c - a Qwen2 decoder, from its logits back to its inputs: what the logits depend on is matched whole,
 * and nothing else matters. The graph is evaluated for different lengths, so that no coincidence of sizes and no
 * special treatment of short inputs can hide a difference. */
#include "convert/graph/match_decoder.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/grow.h"

typedef fvlm_decoder decoder;
typedef fvlm_decoder_layer layer;

/* ---- the residual stream ---- */

/* v, or what its last tokens are taken from: [.., n_new, width]. */
static fvlm_status whole_stream(fvlm_net_value **out, decoder *d, fvlm_net_value *v)
{
    fvlm_origins o = {0};
    v = fvlm_net_skip_reshapes(v);
    *out = v;
    if (v->is_const || !v->producer || (strcmp(v->producer->op, "Slice") && strcmp(v->producer->op, "Gather")))
        return FVLM_OK;
    fvlm_status st = fvlm_origins_trace_moves(&o, d->frame.net, v, d->err);
    if (st) return st;
    fvlm_net_value *from = (fvlm_net_value *)o.source[0];
    bool ok = o.n_sources == 1 && o.n_elems > 0 && o.n_elems <= from->n_elems && from->rank && v->rank &&
              from->dims[from->rank - 1] == v->dims[v->rank - 1];
    for (uint64_t i = 0; i < o.n_elems && ok; i++)
        ok = o.elems[i].n == 1 && o.elems[i].factor[0] == 1 && o.elems[i].index[0] == from->n_elems - o.n_elems + i;
    fvlm_origins_free(&o);
    if (!ok) return fvlm_match_expected(d->frame.net, v, NULL, d->err, "all tokens, or the last ones");
    *out = from;
    return FVLM_OK;
}

/* The Add that joins a branch to the stream: the branch ends in a projection. */
static fvlm_status split_residual(fvlm_projection *branch, fvlm_net_value **residual, decoder *d, fvlm_net_value *v,
                                  const char *what)
{
    v = fvlm_net_skip_reshapes(v);
    if (fvlm_net_is(v, "Add")) {
        for (int k = 1; k >= 0; k--) {
            fvlm_net_value *other = v->producer->inputs[1 - k];
            if (other->is_const || other->n_elems != v->n_elems || v->producer->inputs[k]->n_elems != v->n_elems)
                continue;
            if (!fvlm_projection_find(branch, v->producer->inputs[k])) continue;
            *residual = fvlm_net_skip_reshapes(other);
            return FVLM_OK;
        }
    }
    return fvlm_match_expected(d->frame.net, v, fvlm_net_is(v, "Add") ? "another sum" : NULL, d->err, "%s", what);
}

static fvlm_status find_norm(fvlm_rms_norm *norm, decoder *d, fvlm_net_value *v, const fvlm_net_value *residual,
                             const char *what)
{
    fvlm_status st = fvlm_rms_norm_find(norm, d->frame.net, v, d->err);
    if (!st && fvlm_net_skip_reshapes(norm->in) != residual)
        st = fvlm_match_expected(d->frame.net, v, "another input", d->err, "the norm of the stream that %s is added to",
                                 what);
    return st;
}

/* *v is the stream after the layer, then before it. */
static fvlm_status find_layer(layer *l, decoder *d, fvlm_net_value **v)
{
    fvlm_net_value *middle = NULL, *before = NULL;
    const fvlm_net *net = d->frame.net;
    fvlm_status st = split_residual(&l->down, &middle, d, *v,
                                    "the decoder's input, or x + FFN(norm(x)), which ends in a MatMul by a constant");
    if (!st) st = fvlm_gate_find(&l->gate, &l->up, net, l->down.in, d->err);
    if (!st) st = find_norm(&l->ffn_norm, d, l->gate.of.in, middle, "the FFN");
    if (!st)
        st = split_residual(&l->o, &before, d, middle, "x + attention(norm(x)), which ends in a MatMul by a constant");
    if (!st) st = fvlm_attention_find(&l->attention, &d->frame, l->o.in, d->err);
    if (!st) st = find_norm(&l->attn_norm, d, l->attention.q.of.in, before, "the attention");
    *v = before;
    return st;
}

/* ---- layers agree ---- */

/* "past_key_values.12.key" is 12; -1 if there is no number. */
static long last_number(const char *s)
{
    long x = -1;
    for (; *s; s++)
        if (*s >= '0' && *s <= '9' && strlen(s) < 256) {
            char *end;
            x = strtol(s, &end, 10);
            s = end - 1;
        }
    return x;
}

/* Where a word occurs last; NULL: nowhere. */
static const char *last_word(const char *s, const char *word)
{
    const char *at = NULL;
    for (s = strstr(s, word); s; s = strstr(s + 1, word)) at = s;
    return at;
}

/* Names say what they are for, "past_key_values.12.key", or nothing. */
static fvlm_status check_cache_name(decoder *d, const fvlm_net_value *cache, size_t index, bool for_keys)
{
    if (!cache) return FVLM_OK;
    const long number = last_number(cache->name);
    const char *key = last_word(cache->name, "key"), *value = last_word(cache->name, "value");
    if ((number < 0 || (size_t)number == index) && ((!key && !value) || (key > value) == for_keys)) return FVLM_OK;
    return fvlm_fail(d->err, FVLM_UNSUPPORTED,
                     "input \"%.200s\": expected what its name says, found the cache of the %s of "
                     "layer %zu",
                     cache->name, for_keys ? "keys" : "values", index);
}

static fvlm_status check_layer(decoder *d, size_t index)
{
    const layer *l = &d->layers[d->n - 1 - index], *first = &d->layers[d->n - 1];
    const fvlm_decoder_attention *a = &l->attention, *b = &first->attention;
    const fvlm_net_value *out = l->down.out;
    const uint64_t hidden = d->norm.width;
    fvlm_status st = check_cache_name(d, a->key_cache, index, true);
    if (!st) st = check_cache_name(d, a->value_cache, index, false);
    if (st) return st;
    if (a->heads != b->heads || a->kv_heads != b->kv_heads || a->dim != b->dim || l->gate.n != first->gate.n)
        return fvlm_match_expected(d->frame.net, out, "other ones", d->err,
                                   "layer %zu to have the heads and the FFN of layer 0", index);
    if (a->heads * a->dim != hidden)
        return fvlm_match_expected(d->frame.net, out, "others", d->err, "heads of %" PRIu64 " channels in all", hidden);
    if (l->attn_norm.width != hidden || l->ffn_norm.width != hidden || l->o.n_in != hidden || l->o.n_out != hidden ||
        l->down.n_out != hidden || l->down.n_in != l->gate.n || a->q.of.n_in != hidden || a->k.of.n_in != hidden ||
        a->v.of.n_in != hidden || l->gate.of.n_in != hidden || l->up.of.n_in != hidden)
        return fvlm_match_expected(d->frame.net, out, "others", d->err, "layer %zu to have %" PRIu64 " channels", index,
                                   hidden);
    if (l->attn_norm.eps != d->norm.eps || l->ffn_norm.eps != d->norm.eps)
        return fvlm_match_expected(d->frame.net, out, "different ones", d->err, "one epsilon, %g, in all norms",
                                   d->norm.eps);
    return FVLM_OK;
}

/* A cache belongs to one layer. */
static fvlm_status check_caches(decoder *d)
{
    for (size_t i = 0; i < d->n; i++)
        for (size_t k = 0; k < i; k++) {
            const fvlm_decoder_attention *a = &d->layers[i].attention, *b = &d->layers[k].attention;
            const fvlm_net_value *x = a->key_cache;
            if (x && (x == b->key_cache || x == b->value_cache || a->value_cache == b->value_cache))
                return fvlm_fail(d->err, FVLM_UNSUPPORTED, "input \"%.200s\": two layers use this cache", x->name);
        }
    return FVLM_OK;
}

/* ---- the whole ---- */

static fvlm_net_value *find_logits(const fvlm_graph *g, const fvlm_net *net)
{
    fvlm_net_value *v = fvlm_net_output_value(net, "logits"), *only = NULL;
    for (size_t i = 0; !v && i < fvlm_graph_n_outputs(g); i++) {
        const fvlm_graph_value *out = fvlm_graph_value_at(g, fvlm_graph_output_at(g, i));
        fvlm_net_value *x = fvlm_net_output_value(net, out->name);
        if (x && x->rank == 4) continue; /* a cache */
        if (only) return NULL;
        only = x;
    }
    return v ? v : only;
}

static fvlm_status find_head(decoder *d, const fvlm_graph *g, fvlm_net_value **stream)
{
    const fvlm_net *net = d->frame.net;
    fvlm_net_value *logits = find_logits(g, net), *v = NULL;
    if (!logits) return fvlm_fail(d->err, FVLM_UNSUPPORTED, "decoder: it has no output \"logits\"");
    fvlm_status st = whole_stream(&v, d, logits);
    if (!st && !fvlm_projection_find(&d->head, v))
        st = fvlm_match_expected(net, v, NULL, d->err, "the logits by a MatMul by a constant, the head");
    if (!st) st = whole_stream(&v, d, d->head.in);
    if (!st) st = fvlm_rms_norm_find(&d->norm, net, v, d->err);
    if (!st && d->norm.width != d->head.n_in)
        st = fvlm_match_expected(net, v, "another width", d->err, "the norm of the head's %" PRIu64 " inputs",
                                 d->head.n_in);
    if (!st) st = whole_stream(stream, d, d->norm.in);
    return st;
}

static fvlm_status find_layers(decoder *d, fvlm_net_value *v)
{
    fvlm_status st = FVLM_OK;
    const fvlm_net_value *embeds = d->inputs.embeds ? fvlm_net_input_value(d->frame.net, d->inputs.embeds) : NULL;
    const fvlm_net_value *ids = d->inputs.ids ? fvlm_net_input_value(d->frame.net, d->inputs.ids) : NULL;
    while (!st) {
        v = fvlm_net_skip_reshapes(v);
        if (v == embeds) break;
        if (ids && fvlm_embedding_find(&d->embedding, v, ids)) break;
        if (d->n == FVLM_MAX_DEPTH)
            return fvlm_fail(d->err, FVLM_LIMIT, "decoder: more than %d layers", FVLM_MAX_DEPTH);
        if (!fvlm_grow(&d->layers, &d->capacity, d->n + 1, sizeof *d->layers)) return fvlm_fail_nomem(d->err);
        st = find_layer(&d->layers[d->n++], d, &v);
    }
    if (!st && !d->n) st = fvlm_match_expected(d->frame.net, d->norm.in, NULL, d->err, "a decoder layer");
    return st;
}

/* Matches the graph as evaluated for these lengths. */
static fvlm_status find(decoder *d, fvlm_net **net, const fvlm_graph *g, uint64_t n_past, uint64_t n_new)
{
    fvlm_net_value *stream = NULL;
    fvlm_status st = fvlm_decoder_inputs_choose(&d->inputs, g, n_past, n_new, d->err);
    if (!st) st = fvlm_net_create(net, g, d->inputs.inputs, d->inputs.n, d->err);
    if (st) return st;
    d->frame.net = *net;
    d->frame.n_past = d->inputs.n_past;
    d->frame.n_new = d->inputs.n_new;
    st = find_head(d, g, &stream);
    if (!st && stream->n_elems != d->frame.n_new * d->norm.width)
        st = fvlm_match_expected(*net, stream, "others", d->err, "%" PRIu64 " tokens of %" PRIu64 " channels",
                                 d->frame.n_new, d->norm.width);
    if (!st) st = find_layers(d, stream);
    for (size_t i = 0; i < d->n && !st && !d->frame.long_past; i++) st = check_layer(d, i);
    return st ? st : check_caches(d);
}

/* ---- several times ---- */

typedef struct {
    uint64_t n_past, n_new;
} lengths;

static void end(decoder *d, fvlm_net **net)
{
    free(d->layers);
    fvlm_decoder_inputs_free(&d->inputs);
    fvlm_net_destroy(net);
}

/* Evaluates for these lengths and adds to m. *known: what is known of the decoder so far. */
static fvlm_status match_once(fvlm_match *m, const fvlm_graph *g, lengths l, decoder *known, fvlm_err *err)
{
    decoder d = {.err = err, .frame.rope.theta = known->frame.rope.theta};
    fvlm_net *net = NULL;
    fvlm_status st = find(&d, &net, g, l.n_past, l.n_new);
    if (!st) st = fvlm_decoder_add(m, &d);
    if (!st) m->n_narrowed = fvlm_net_n_narrowed(net, &m->narrowed);
    known->frame.rope.theta = d.frame.rope.theta;
    known->inputs.is_dynamic = d.inputs.is_dynamic;
    known->inputs.has_caches = d.inputs.has_caches;
    end(&d, &net);
    return st;
}

/* A window of attention shows only when it is full. The largest lengths are taken for which the file can be evaluated:
 * it may have tables of fewer positions. Other rotations far out than near are refused, too. Whatever else is wrong
 * then was seen before. */
static fvlm_status check_long_past(const fvlm_graph *g, const decoder *known, fvlm_err *err)
{
    static const lengths cached[] = {
        {8191, 1}, {4095, 1}, {2047, 1}, {1023, 1}, {511, 1}}; /* 8192 is FastVLM's context */
    static const lengths whole[] = {
        {0, 250}, {0, 200}, {0, 150}, {0, 100}, {0, 80}}; /* 250 x 250 is a small constant */
    for (size_t i = 0; i < sizeof whole / sizeof whole[0]; i++) {
        const lengths l = known->inputs.has_caches ? cached[i] : whole[i];
        decoder d = {.err = err, .frame.rope.theta = known->frame.rope.theta, .frame.long_past = true};
        fvlm_net *net = NULL;
        const fvlm_status st = find(&d, &net, g, l.n_past, l.n_new);
        end(&d, &net);
        if (!st) return FVLM_OK;
        if (d.frame.not_causal || d.frame.rope.refuted || st == FVLM_NOMEM) return st;
    }
    return FVLM_OK;
}

fvlm_status fvlm_match_decoder(fvlm_match *m, const fvlm_graph *g, fvlm_err *err)
{
    static const lengths first = {2, 3}, second = {61, 4}, without_past = {0, 65};
    const uint32_t hidden = m->config.llm.hidden;
    const size_t from = m->n;
    decoder known = {0};
    fvlm_match again = {0};
    fvlm_status st = match_once(m, g, first, &known, err);
    if (!st && known.inputs.is_dynamic) {
        st = match_once(&again, g, known.inputs.has_caches ? second : without_past, &known, err);
        if (!st) st = fvlm_decoder_check_same(m, from, &again, err);
        if (!st) st = check_long_past(g, &known, err);
    }
    fvlm_match_free(&again);
    if (!st && hidden && hidden != m->config.llm.hidden)
        st = fvlm_fail(err, FVLM_UNSUPPORTED, "decoder: its %u channels are not the %u of the embedding",
                       m->config.llm.hidden, hidden);
    return st;
}
