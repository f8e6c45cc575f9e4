/* SPDX-License-Identifier: Apache-2.0 */
/* match_inputs.c - see match_inputs.h. What an input is, is decided by its type and rank; its name decides between
 * inputs that look alike. Dimensions that the file fixes are kept. */
#include "convert/graph/match_inputs.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_NEW 4096 /* of a decoder whose number of tokens is fixed */
#define MAX_PAST 16384

typedef enum {
    EMBEDS,
    IDS,
    MASK,
    POSITIONS,
    CACHE,
    WHOLE_MASK, /* floats for each query and key, as the caller makes them; the last one with a batch in front */
    CACHE_POSITIONS,
    LOGITS_KEPT,
    PAST_LENGTH,
    TOTAL_LENGTH,
    LAST_KEY,
    UNKNOWN
} kind;

static kind kind_of(const fvlm_graph_value *v)
{
    static const struct {
        const char *part;
        unsigned rank;
        kind is;
    } ints[] = {
        {"num_logits_to_keep", 0, LOGITS_KEPT},
        {"logits_to_keep", 1, LOGITS_KEPT},
        {"seqlens_k", 1, LAST_KEY},
        {"past_seq", 0, PAST_LENGTH},
        {"past_length", 0, PAST_LENGTH},
        {"total_seq", 0, TOTAL_LENGTH},
        {"cache_position", 1, CACHE_POSITIONS},
        {"attention_mask", 2, MASK},
        {"position_ids", 2, POSITIONS},
        {"ids", 2, IDS},
        {"tokens", 2, IDS},
    };
    if (fvlm_match_is_float(v->type) && v->rank == 3) return EMBEDS;
    if (fvlm_match_is_float(v->type) && v->rank == 4) return strstr(v->name, "mask") ? WHOLE_MASK : CACHE;
    if (v->type == FVLM_ONNX_BOOL && v->rank == 2 && strstr(v->name, "mask")) return MASK;
    if (!fvlm_match_is_int(v->type)) return UNKNOWN;
    for (size_t i = 0; i < sizeof ints / sizeof ints[0]; i++)
        if (strstr(v->name, ints[i].part) && (v->rank == ints[i].rank || (v->rank <= 1 && ints[i].rank <= 1)))
            return ints[i].is;
    return UNKNOWN;
}

/* A declared size, or the chosen one. */
static uint64_t size_or(int64_t declared, uint64_t chosen)
{
    return declared >= 0 ? (uint64_t)declared : chosen;
}

static const fvlm_graph_value *value_at(const fvlm_graph *g, size_t i)
{
    return fvlm_graph_value_at(g, fvlm_graph_input_at(g, i));
}

/* Heads of the cache and their size, where the file leaves them open: an attention node has them as attributes. */
static void find_heads(uint64_t *kv_heads, uint64_t *dim, const fvlm_graph *g, uint64_t hidden)
{
    for (size_t i = 0; i < fvlm_graph_n_nodes(g); i++) {
        const fvlm_graph_node *n = fvlm_graph_node_at(g, i);
        const fvlm_graph_attr *heads = fvlm_graph_attr_find(n, "num_heads"),
                              *kv = fvlm_graph_attr_find(n, "kv_num_heads");
        if (!heads || !kv || heads->kind != FVLM_ATTR_INT || kv->kind != FVLM_ATTR_INT) continue;
        if (heads->i < 1 || kv->i < 1 || hidden % (uint64_t)heads->i) return;
        *kv_heads = (uint64_t)kv->i;
        *dim = hidden / (uint64_t)heads->i;
        return;
    }
}

/* Which sizes the file fixes. */
static fvlm_status fix_sizes(fvlm_decoder_inputs *in, const fvlm_graph *g, fvlm_err *err)
{
    bool has_cache = false, has_mask = false;
    int64_t total = -1, past = -1, new = -1;
    for (size_t i = 0; i < fvlm_graph_n_inputs(g); i++) {
        const fvlm_graph_value *v = value_at(g, i);
        if (!v->has_shape)
            return fvlm_fail(err, FVLM_UNSUPPORTED,
                             "input \"%.200s\": it has no declared shape; export the decoder again", v->name);
        const kind k = kind_of(v);
        if ((k == EMBEDS || k == IDS || k == POSITIONS) && v->dims[1] >= 0) new = v->dims[1];
        if (k == MASK && v->dims[1] >= 0) total = v->dims[1];
        if (k == CACHE_POSITIONS && v->rank && v->dims[0] >= 0) new = v->dims[0];
        if (k == CACHE && v->dims[2] >= 0) past = v->dims[2];
        if (k == EMBEDS && v->dims[2] > 0) find_heads(&in->kv_heads, &in->head_dim, g, (uint64_t)v->dims[2]);
        if (k == WHOLE_MASK && v->dims[2] >= 0) new = v->dims[2];
        if (k == WHOLE_MASK && v->dims[3] >= 0) total = v->dims[3];
        has_cache = has_cache || k == CACHE;
        has_mask = has_mask || k == WHOLE_MASK;
    }
    if (!has_cache) past = 0;
    if (total >= 0 && new < 0 && past >= 0) new = total - past;
    if (total >= 0 && new >= 0 && past < 0) past = total - new;
    in->is_dynamic = new < 0 || past < 0;
    in->has_caches = has_cache;
    in->has_mask = has_mask;
    in->n_new = size_or(new, in->n_new);
    in->n_past = size_or(past, in->n_past);
    if (in->n_new < 1 || in->n_new > MAX_NEW || in->n_past > MAX_PAST || new == 0 || (total >= 0 && new < -1) ||
        (has_mask && in->n_new * (in->n_past + in->n_new) > FVLM_NET_COMPUTED))
        return fvlm_fail(err, FVLM_UNSUPPORTED,
                         "decoder: its inputs have %" PRId64 " tokens after %" PRId64
                         "; up to %d are supported, or dynamic sizes",
                         new, past, MAX_NEW);
    return FVLM_OK;
}

/* The shape that an input of this kind must have, and its contents. */
static void expect(fvlm_net_input *x, const fvlm_decoder_inputs *in, const fvlm_graph_value *v, kind k)
{
    const uint64_t total = in->n_past + in->n_new;
    const double *positions = in->numbers + total, *scalars = positions + total; /* 1, past, total, total - 1 */
    const struct {
        uint64_t dims[4];
        const double *numbers;
    } wanted[] = {
        [EMBEDS] = {{1, in->n_new, size_or(v->dims[2], 0)}, NULL},
        [IDS] = {{1, in->n_new}, NULL},
        [MASK] = {{1, total}, in->numbers},
        [POSITIONS] = {{1, in->n_new}, positions},
        [CACHE] = {{1, size_or(v->dims[1], in->kv_heads), in->n_past, size_or(v->dims[3], in->head_dim)}, NULL},
        [WHOLE_MASK] = {{1, 1, in->n_new, total}, in->mask},
        [CACHE_POSITIONS] = {{in->n_new}, positions},
        [LOGITS_KEPT] = {{1}, scalars},
        [PAST_LENGTH] = {{1}, scalars + 1},
        [TOTAL_LENGTH] = {{1}, scalars + 2},
        [LAST_KEY] = {{1}, scalars + 3},
    };
    *x = (fvlm_net_input){.name = v->name, .rank = v->rank, .numbers = wanted[k].numbers};
    for (unsigned i = 0; i < v->rank; i++) x->dims[i] = wanted[k].dims[i];
}

static fvlm_status choose(fvlm_decoder_inputs *in, fvlm_net_input *x, const fvlm_graph_value *v, fvlm_err *err)
{
    const kind k = kind_of(v);
    if (k == UNKNOWN)
        return fvlm_fail(
            err, FVLM_UNSUPPORTED,
            "input \"%.200s\": expected input_ids or inputs_embeds, attention_mask, position_ids and caches "
            "[batch, heads, positions, size], found %s of rank %u",
            v->name, fvlm_onnx_type_name(v->type), v->rank);
    expect(x, in, v, k);
    if (k <= WHOLE_MASK && v->dims[0] >= 0 && v->dims[0] != 1)
        return fvlm_fail(err, FVLM_UNSUPPORTED,
                         "input \"%.200s\": its batch is %" PRId64 "; expected 1 or a dynamic one", v->name,
                         v->dims[0]);
    if (k == EMBEDS && !x->dims[2])
        return fvlm_fail(err, FVLM_UNSUPPORTED, "input \"%.200s\": its last dimension, the hidden size, is not fixed",
                         v->name);
    if (k == CACHE && (!x->dims[1] || !x->dims[3]))
        return fvlm_fail(err, FVLM_UNSUPPORTED,
                         "input \"%.200s\": expected a cache [batch, heads, positions, size] of fixed heads and size",
                         v->name);
    for (unsigned i = 0; i < v->rank; i++)
        if (v->dims[i] >= 0 && (uint64_t)v->dims[i] != x->dims[i])
            return fvlm_fail(err, FVLM_UNSUPPORTED, "input \"%.200s\": dimension %u is %" PRId64 ", expected %" PRIu64,
                             v->name, i, v->dims[i], x->dims[i]);
    if (k == EMBEDS) in->embeds = v->name;
    if (k == IDS) in->ids = v->name;
    return FVLM_OK;
}

fvlm_status fvlm_decoder_inputs_choose(fvlm_decoder_inputs *out, const fvlm_graph *g, uint64_t n_past, uint64_t n_new,
                                       fvlm_err *err)
{
    *out = (fvlm_decoder_inputs){.n_past = n_past, .n_new = n_new};
    fvlm_status st = fix_sizes(out, g, err);
    if (st) return st;
    const uint64_t total = out->n_past + out->n_new;
    out->n = fvlm_graph_n_inputs(g);
    out->inputs = fvlm_alloc(out->n, sizeof *out->inputs);
    out->numbers = fvlm_alloc(2 * total + 4, sizeof *out->numbers);
    const uint64_t n_mask = out->has_mask ? out->n_new * total : 0;
    out->mask = fvlm_alloc(n_mask, sizeof *out->mask);
    if (!out->inputs || !out->numbers || !out->mask) return fvlm_fail_nomem(err);
    for (uint64_t i = 0; i < total; i++) {
        out->numbers[i] = 1;
        out->numbers[total + i] = (double)(out->n_past + i);
    }
    for (uint64_t i = 0; i < n_mask; i++)
        if (i % total > out->n_past + i / total) out->mask[i] = -INFINITY;
    const double scalars[] = {1, (double)out->n_past, (double)total, (double)total - 1};
    memcpy(out->numbers + 2 * total, scalars, sizeof scalars);
    for (size_t i = 0; i < out->n && !st; i++) st = choose(out, &out->inputs[i], value_at(g, i), err);
    if (!st && !out->embeds == !out->ids)
        st = fvlm_fail(err, FVLM_UNSUPPORTED, "decoder: expected either inputs_embeds or input_ids, found %s",
                       out->ids ? "both" : "neither");
    return st;
}

void fvlm_decoder_inputs_free(fvlm_decoder_inputs *in)
{
    free(in->inputs);
    free(in->numbers);
    free(in->mask);
    *in = (fvlm_decoder_inputs){0};
}
