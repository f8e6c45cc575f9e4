/* SPDX-License-Identifier: Apache-2.0 */
/* llm.c - Qwen2 and Llama: RMSNorm, grouped-query attention with rotary positions and a KV cache, SiLU-gated FFN.
 * Prefill and decode are one function: a row's values depend only on the rows before it, so any split of a text into
 * calls gives the same bits. */
#include "reference/model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_CONTEXT 8192
#define MAX_ROWS 512 /* rows of a longer text that go through the layers together */

/* ---- memory ---- */

static void free_cache(fvlm_llm_memory *l)
{
    free(l->keys);
    free(l->values);
    free(l->cos_sin);
    l->keys = l->values = l->cos_sin = NULL;
    l->capacity = l->n_cache = 0;
}

static void free_rows(fvlm_llm_memory *l)
{
    free(l->x);
    free(l->narrow);
    free(l->q);
    free(l->gate);
    free(l->up);
    l->x = l->narrow = l->q = l->gate = l->up = NULL;
    l->rows = l->n_rows = 0;
}

void fvlm_llm_memory_free(fvlm_llm_memory *l)
{
    free_cache(l);
    free_rows(l);
    l->position = 0;
}

size_t fvlm_model_context(const fvlm_model *m)
{
    return m->config->llm.context < MAX_CONTEXT ? m->config->llm.context : MAX_CONTEXT;
}

/* Cosines and sines of every position's angles. The angle is computed in f32, as transformers does (at position 300
 * its rounding error exceeds all others in the model); its cosine and sine are computed in f64 and rounded once. */
static void fill_rotary(float *cos_sin, size_t positions, const fvlm_config *c)
{
    const size_t head_dim = c->llm.head_dim;
    for (size_t i = 0; i < head_dim / 2; i++) {
        const float frequency = fvlm_config_rope_frequency(c, i);
        for (size_t p = 0; p < positions; p++) {
            const float angle = (float)p * frequency;
            cos_sin[p * head_dim + i] = (float)cos((double)angle);
            cos_sin[p * head_dim + head_dim / 2 + i] = (float)sin((double)angle);
        }
    }
}

/* Copies the filled positions of every layer to a cache of another capacity. */
static void copy_cache(float *to, size_t to_capacity, const float *from, const fvlm_llm_memory *l, size_t layers,
                       size_t kv)
{
    for (size_t i = 0; i < layers && l->position; i++)
        memcpy(to + i * to_capacity * kv, from + i * l->capacity * kv, l->position * kv * sizeof(float));
}

static fvlm_status reserve_cache(fvlm_model *m, size_t positions, fvlm_err *err)
{
    fvlm_llm_memory *l = &m->llm_memory;
    const fvlm_config *c = m->config;
    const size_t kv = (size_t)c->llm.kv_heads * c->llm.head_dim, layers = c->llm.layers;
    const size_t n_keys = layers * positions * kv, n_angles = positions * c->llm.head_dim;
    if (positions <= l->capacity) return FVLM_OK;
    float *keys = fvlm_alloc(n_keys, sizeof(float)), *values = fvlm_alloc(n_keys, sizeof(float));
    float *cos_sin = fvlm_alloc(n_angles, sizeof(float));
    if (!keys || !values || !cos_sin) {
        free(keys);
        free(values);
        free(cos_sin);
        return fvlm_fail(err, FVLM_NOMEM, "out of memory for a context of %zu positions", positions);
    }
    fill_rotary(cos_sin, positions, c);
    copy_cache(keys, positions, l->keys, l, layers, kv);
    copy_cache(values, positions, l->values, l, layers, kv);
    free_cache(l);
    l->keys = keys;
    l->values = values;
    l->cos_sin = cos_sin;
    l->capacity = positions;
    l->n_cache = 2 * n_keys + n_angles;
    return FVLM_OK;
}

static fvlm_status reserve_rows(fvlm_model *m, size_t rows, fvlm_err *err)
{
    fvlm_llm_memory *l = &m->llm_memory;
    const fvlm_config *c = m->config;
    const size_t q = (size_t)c->llm.heads * c->llm.head_dim;
    if (rows <= l->rows) return FVLM_OK;
    float **const buffers[] = {&l->x, &l->narrow, &l->q, &l->gate, &l->up};
    const size_t widths[] = {c->llm.hidden, q > c->llm.hidden ? q : c->llm.hidden, q, c->llm.intermediate,
                             c->llm.intermediate};
    free_rows(l);
    bool ok = true;
    for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++) {
        *buffers[i] = fvlm_alloc(rows * widths[i], sizeof(float));
        l->n_rows += rows * widths[i];
        ok = ok && *buffers[i];
    }
    if (ok) {
        l->rows = rows;
        return FVLM_OK;
    }
    free_rows(l);
    return fvlm_fail(err, FVLM_NOMEM, "out of memory for a text of %zu positions", rows);
}

/* Long texts go through the layers in chunks, unless an observer wants whole blocks. */
static size_t rows_at_once(const fvlm_model *m, size_t n)
{
    const bool whole = m->options.observer && !m->options.observe_chunks;
    return n > MAX_ROWS && !whole ? MAX_ROWS : n;
}

fvlm_status fvlm_model_reserve(fvlm_model *m, size_t prompt, size_t positions, fvlm_err *err)
{
    fvlm_status st = fvlm_model_require_llm(m, err);
    if (st) return st;
    if (positions > fvlm_model_context(m))
        return fvlm_fail(err, FVLM_LIMIT, "the text takes %zu positions, the context holds %zu", positions,
                         fvlm_model_context(m));
    st = reserve_cache(m, positions, err);
    return st ? st : reserve_rows(m, rows_at_once(m, prompt), err);
}

/* ---- layers ---- */

static void attention(fvlm_model *m, const fvlm_llm_layer *y, size_t layer, size_t n)
{
    const fvlm_config *c = m->config;
    fvlm_llm_memory *l = &m->llm_memory;
    fvlm_exec *e = m->exec;
    const size_t heads = c->llm.heads, kv_heads = c->llm.kv_heads, dim = c->llm.head_dim, kv = kv_heads * dim;
    float *keys = l->keys + layer * l->capacity * kv, *values = l->values + layer * l->capacity * kv;
    float *new_keys = keys + l->position * kv, *new_values = values + l->position * kv;
    fvlm_op_rms_norm(e, l->x, n, c->llm.hidden, y->attn_norm, (float)c->llm.norm_eps, l->narrow);
    fvlm_op_linear(e, l->narrow, n, &y->q.weight, y->q.bias, FVLM_NONE, NULL, l->q);
    fvlm_op_linear(e, l->narrow, n, &y->k.weight, y->k.bias, FVLM_NONE, NULL, new_keys);
    fvlm_op_linear(e, l->narrow, n, &y->v.weight, y->v.bias, FVLM_NONE, NULL, new_values);
    fvlm_op_rope(e, l->q, n, heads, dim, l->cos_sin, l->position);
    fvlm_op_rope(e, new_keys, n, kv_heads, dim, l->cos_sin, l->position);
    const fvlm_causal_attention a = {.q = l->q,
                                     .keys = keys,
                                     .values = values,
                                     .m = n,
                                     .pos = l->position,
                                     .heads = heads,
                                     .kv_heads = kv_heads,
                                     .head_dim = dim};
    fvlm_op_attention_causal(e, &a, l->narrow);
    fvlm_op_linear(e, l->narrow, n, &y->o.weight, y->o.bias, FVLM_NONE, l->x, l->x);
}

static void feed_forward(fvlm_model *m, const fvlm_llm_layer *y, size_t n)
{
    const fvlm_config *c = m->config;
    fvlm_llm_memory *l = &m->llm_memory;
    fvlm_exec *e = m->exec;
    fvlm_op_rms_norm(e, l->x, n, c->llm.hidden, y->ffn_norm, (float)c->llm.norm_eps, l->narrow);
    fvlm_op_linear(e, l->narrow, n, &y->gate.weight, NULL, FVLM_NONE, NULL, l->gate);
    fvlm_op_linear(e, l->narrow, n, &y->up.weight, NULL, FVLM_NONE, NULL, l->up);
    fvlm_op_silu_mul(e, l->gate, l->up, n * c->llm.intermediate, l->gate);
    fvlm_op_linear(e, l->gate, n, &y->down.weight, NULL, FVLM_NONE, l->x, l->x);
}

/* Final norm and head for the last rows of the n in x. */
static fvlm_status head(fvlm_model *m, size_t n, size_t rows, float *logits, fvlm_err *err)
{
    const fvlm_config *c = m->config;
    fvlm_llm_memory *l = &m->llm_memory;
    const float *last = l->x + (n - rows) * c->llm.hidden;
    fvlm_op_rms_norm(m->exec, last, rows, c->llm.hidden, m->weights.llm.norm, (float)c->llm.norm_eps, l->narrow);
    const fvlm_status st = fvlm_model_observe_checked(m, "llm.norm", l->narrow, rows, c->llm.hidden, err);
    if (st) return st;
    fvlm_op_linear(m->exec, l->narrow, rows, &m->weights.llm.head.weight, NULL, FVLM_NONE, NULL, logits);
    return fvlm_model_observe(m, "logits", logits, rows, c->llm.vocab, err);
}

/* n rows, at most l->rows of them, through all layers; the cache grows by n. */
static fvlm_status layers(fvlm_model *m, const float *embeddings, size_t n, fvlm_err *err)
{
    const fvlm_config *c = m->config;
    fvlm_llm_memory *l = &m->llm_memory;
    char name[48];
    memcpy(l->x, embeddings, n * c->llm.hidden * sizeof(float));
    fvlm_status st = fvlm_model_observe_checked(m, "llm.embed", l->x, n, c->llm.hidden, err);
    for (size_t i = 0; i < c->llm.layers && !st; i++) {
        attention(m, &m->weights.llm.layers[i], i, n);
        feed_forward(m, &m->weights.llm.layers[i], n);
        snprintf(name, sizeof name, "llm.layer%zu", i);
        st = fvlm_model_observe(m, name, l->x, n, c->llm.hidden, err);
    }
    if (!st) l->position += n;
    return st;
}

/* ---- the pass ---- */

void fvlm_model_reset(fvlm_model *m)
{
    fvlm_model_rewind(m, 0);
}

void fvlm_model_rewind(fvlm_model *m, size_t positions)
{
    if (positions < m->llm_memory.position) m->llm_memory.position = positions;
}

fvlm_status fvlm_model_embed(fvlm_model *m, const uint32_t *ids, size_t n, float *embeddings, fvlm_err *err)
{
    fvlm_status st = fvlm_model_require_llm(m, err);
    for (size_t i = 0; i < n && !st; i++) {
        if (ids[i] >= m->config->llm.vocab)
            return fvlm_fail(err, FVLM_BAD_INPUT, "token %u has no row in the embedding of %u", ids[i],
                             m->config->llm.vocab);
        float *row = embeddings + i * m->config->llm.hidden;
        fvlm_weight_row(&m->weights.llm.embed.weight, ids[i], row);
        st = fvlm_model_check_embedding(m, ids[i], row, err);
    }
    return st;
}

fvlm_status fvlm_model_forward(fvlm_model *m, const float *embeddings, size_t n, bool all_logits, float *logits,
                               fvlm_err *err)
{
    const fvlm_config *c = m->config;
    const size_t positions = m->llm_memory.position + n, most = fvlm_model_context(m);
    size_t capacity = positions;
    if (positions > m->llm_memory.capacity && positions <= most) /* grow by half, so that copies stay rare */
        capacity = positions + positions / 2 < most ? positions + positions / 2 : most;
    fvlm_status st = fvlm_model_reserve(m, n, capacity, err);
    const size_t step = rows_at_once(m, n);
    for (size_t done = 0; done < n && !st; done += step) {
        const size_t rows = n - done < step ? n - done : step;
        st = layers(m, embeddings + done * c->llm.hidden, rows, err);
        if (!st && all_logits)
            st = head(m, rows, rows, logits + done * c->llm.vocab, err);
        else if (!st && done + rows == n)
            st = head(m, rows, 1, logits, err);
    }
    return st;
}
