/* SPDX-License-Identifier: Apache-2.0 */
/* ops_attention.c - softmax attention: of the tower (every token to every token) and of the LLM (causal, several query
 * heads per key-value head).
 *
 * Keys are laid out in panels of 16, so that scores are matrix products like any other. A task takes a block of queries
 * of one head, keeps their scores in scratch, takes the softmax of each row in two passes, and multiplies with the
 * values in place; the results are divided by the sum of the weights at the end. Blocks are the same on every machine,
 * whatever its threads. */
#include "reference/ops/exec.h"

#include <math.h>
#include <string.h>

#define QUERIES 64 /* per block: 64 x 1024 scores are a quarter of L2 */

static size_t panels_of(size_t n)
{
    return (n + 15) / 16;
}

typedef struct {
    fvlm_exec *e;
    const float *q, *keys, *values; /* rows of all heads */
    size_t q_stride, kv_stride, y_stride;
    float *y, *key_panels; /* [kv_heads][panels][head_dim][16] */
    size_t m, pos, heads, kv_heads, head_dim, blocks;
    bool causal;
    float scale;
} attention_job;

static size_t key_count(const attention_job *j)
{
    return j->causal ? j->pos + j->m : j->m;
}

static float *panels_of_head(const attention_job *j, size_t kv_head)
{
    return j->key_panels + kv_head * panels_of(key_count(j)) * j->head_dim * 16;
}

/* One panel of keys of one key-value head. */
static void pack_task(void *ctx, size_t i, unsigned thread)
{
    (void)thread;
    const attention_job *j = ctx;
    const size_t n = key_count(j), panels = panels_of(n), head = i / panels, panel = i % panels;
    j->e->k->panel(j->keys + panel * 16 * j->kv_stride + head * j->head_dim, j->kv_stride,
                   fvlm_min_size(16, n - panel * 16), j->head_dim, panels_of_head(j, head) + panel * j->head_dim * 16);
}

typedef struct {
    float *scores, *mixed; /* [QUERIES][stride], [QUERIES][head_dim rounded up to 16] */
    float *values;         /* [n][16]: the last panel when head_dim is not a multiple of 16 */
    size_t stride;
} attention_scratch;

static attention_scratch take_attention(fvlm_arena *a, const attention_job *j)
{
    const size_t n = key_count(j);
    attention_scratch s = {.stride = fvlm_exec_row_stride(panels_of(n) * 16)};
    s.scores = fvlm_arena_take(a, QUERIES * s.stride, sizeof(float));
    s.mixed = fvlm_arena_take(a, QUERIES * panels_of(j->head_dim) * 16, sizeof(float));
    if (j->head_dim % 16) s.values = fvlm_arena_take(a, n * 16, sizeof(float));
    return s;
}

/* mixed = scores . values, in whole panels of the head; the rest of the head through a padded copy. */
static void mix_values(const attention_job *j, const attention_scratch *s, const float *values, size_t rows, size_t n)
{
    const size_t whole = j->head_dim / 16, rest = j->head_dim % 16;
    fvlm_product t = {.a = s->scores,
                      .a_stride = s->stride,
                      .b = values,
                      .panel_stride = 16,
                      .b_stride = j->kv_stride,
                      .c = s->mixed,
                      .c_stride = panels_of(j->head_dim) * 16,
                      .k = n};
    j->e->k->matmul(&t, rows, whole);
    if (!rest) return;
    memset(s->values, 0, n * 16 * sizeof(float));
    for (size_t i = 0; i < n; i++)
        memcpy(s->values + i * 16, values + i * j->kv_stride + whole * 16, rest * sizeof(float));
    t.b = s->values;
    t.b_stride = 16;
    t.c += whole * 16;
    j->e->k->matmul(&t, rows, 1);
}

/* One block of queries of one head. */
static void attention_task(void *ctx, size_t i, unsigned thread)
{
    const attention_job *j = ctx;
    const fvlm_kernels *k = j->e->k;
    fvlm_arena arena = {.base = j->e->thread[thread].bytes};
    const attention_scratch s = take_attention(&arena, j);
    const size_t head = i / j->blocks, kv_head = head / (j->heads / j->kv_heads), first = i % j->blocks * QUERIES;
    const size_t rows = fvlm_min_size(QUERIES, j->m - first), width = panels_of(j->head_dim) * 16;
    const size_t n = j->causal ? j->pos + first + rows : j->m; /* keys that some query of the block sees */
    const fvlm_product qk = {.a = j->q + first * j->q_stride + head * j->head_dim,
                             .a_stride = j->q_stride,
                             .b = panels_of_head(j, kv_head),
                             .panel_stride = j->head_dim * 16,
                             .b_stride = 16,
                             .c = s.scores,
                             .c_stride = s.stride,
                             .k = j->head_dim};
    k->matmul(&qk, rows, panels_of(n));
    float sum[QUERIES];
    for (size_t q = 0; q < rows; q++) {
        const size_t seen = j->causal ? j->pos + first + q + 1 : n;
        float *row = s.scores + q * s.stride;
        sum[q] = k->softmax(row, seen, j->scale);
        for (size_t t = seen; t < n; t++) row[t] = 0.0f;
    }
    mix_values(j, &s, j->values + kv_head * j->head_dim, rows, n);
    for (size_t q = 0; q < rows; q++)
        k->divide(s.mixed + q * width, j->head_dim, sum[q], j->y + (first + q) * j->y_stride + head * j->head_dim);
}

static void run(attention_job *j)
{
    if (j->m == 0) return;
    j->blocks = (j->m + QUERIES - 1) / QUERIES;
    const size_t panels = panels_of(key_count(j));
    fvlm_arena measure = {0};
    (void)take_attention(&measure, j);
    if (!fvlm_exec_reserve(j->e, j->kv_heads * panels * j->head_dim * 16 * sizeof(float), measure.used)) return;
    j->key_panels = (float *)(void *)j->e->shared.bytes;
    fvlm_pool_run(j->e->pool, j->kv_heads * panels, pack_task, j);
    fvlm_pool_run(j->e->pool, j->heads * j->blocks, attention_task, j);
}

void fvlm_op_attention(fvlm_exec *e, const float *qkv, size_t t, size_t heads, size_t head_dim, float *y)
{
    const size_t c = heads * head_dim;
    attention_job j = {.e = e,
                       .q = qkv,
                       .keys = qkv + c,
                       .values = qkv + 2 * c,
                       .q_stride = 3 * c,
                       .kv_stride = 3 * c,
                       .y_stride = c,
                       .y = y,
                       .m = t,
                       .heads = heads,
                       .kv_heads = heads,
                       .head_dim = head_dim,
                       .scale = 1.0f};
    run(&j);
}

void fvlm_op_attention_causal(fvlm_exec *e, const fvlm_causal_attention *a, float *y)
{
    attention_job j = {.e = e,
                       .q = a->q,
                       .keys = a->keys,
                       .values = a->values,
                       .q_stride = a->heads * a->head_dim,
                       .kv_stride = a->kv_heads * a->head_dim,
                       .y_stride = a->heads * a->head_dim,
                       .y = y,
                       .m = a->m,
                       .pos = a->pos,
                       .heads = a->heads,
                       .kv_heads = a->kv_heads,
                       .head_dim = a->head_dim,
                       .causal = true,
                       .scale = 1.0f / sqrtf((float)a->head_dim)};
    run(&j);
}
