/* SPDX-License-Identifier: Apache-2.0 */
/* ops_attention.c - softmax attention, of the tower (all tokens see all) and of the
 * LLM (causal, several query heads to a key-value head).
 *
 * Keys are laid out in panels of 16 so that scores are matrix products like any
 * other; a block of queries keeps its scores in scratch, takes the softmax of each
 * row in two passes, and multiplies with the values where they lie. The weights are
 * divided by their sum at the end. Blocks are the same on every machine. */
#include "reference/ops/exec.h"

#include <math.h>
#include <string.h>

#define QUERIES 64 /* to a block: 64 x 1024 scores are a quarter of L2 */

static size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}
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

static size_t keys_in_all(const attention_job *j)
{
    return j->causal ? j->pos + j->m : j->m;
}

static float *panels_of_head(const attention_job *j, size_t kv_head)
{
    return j->key_panels + kv_head * panels_of(keys_in_all(j)) * j->head_dim * 16;
}

/* One panel of keys of one key-value head. */
static void pack_task(void *ctx, size_t i, unsigned thread)
{
    (void)thread;
    const attention_job *j = ctx;
    const size_t n = keys_in_all(j), panels = panels_of(n), head = i / panels, panel = i % panels;
    j->e->k->panel(j->keys + panel * 16 * j->kv_stride + head * j->head_dim, j->kv_stride, min_size(16, n - panel * 16),
                   j->head_dim, panels_of_head(j, head) + panel * j->head_dim * 16);
}

typedef struct {
    float *scores, *mixed; /* [QUERIES][stride], [QUERIES][head_dim up to 16s] */
    float *values;         /* [n][16] of the last panel when head_dim is not a multiple of 16 */
    size_t stride;
} attention_room;

static attention_room carve_attention(fvlm_carve *c, const attention_job *j)
{
    const size_t n = keys_in_all(j);
    attention_room r = {.stride = fvlm_exec_row_stride(panels_of(n) * 16)};
    r.scores = fvlm_carve_take(c, QUERIES * r.stride, sizeof(float));
    r.mixed = fvlm_carve_take(c, QUERIES * panels_of(j->head_dim) * 16, sizeof(float));
    if (j->head_dim % 16) r.values = fvlm_carve_take(c, n * 16, sizeof(float));
    return r;
}

/* mixed = scores . values, in whole panels of the head; the rest of a head through a padded copy. */
static void mix_values(const attention_job *j, const attention_room *r, const float *values, size_t rows, size_t n)
{
    const fvlm_kernels *k = j->e->k;
    const size_t whole = j->head_dim / 16, rest = j->head_dim % 16, width = panels_of(j->head_dim) * 16;
    k->matmul(rows, whole, n, r->scores, r->stride, values, 16, j->kv_stride, r->mixed, width);
    if (!rest) return;
    memset(r->values, 0, n * 16 * sizeof(float));
    for (size_t i = 0; i < n; i++)
        memcpy(r->values + i * 16, values + i * j->kv_stride + whole * 16, rest * sizeof(float));
    k->matmul(rows, 1, n, r->scores, r->stride, r->values, 16, 16, r->mixed + whole * 16, width);
}

/* One block of queries of one head. */
static void attention_task(void *ctx, size_t i, unsigned thread)
{
    const attention_job *j = ctx;
    const fvlm_kernels *k = j->e->k;
    fvlm_carve c = {j->e->thread[thread].bytes, 0};
    const attention_room r = carve_attention(&c, j);
    const size_t head = i / j->blocks, kv_head = head / (j->heads / j->kv_heads), first = i % j->blocks * QUERIES;
    const size_t rows = min_size(QUERIES, j->m - first), width = panels_of(j->head_dim) * 16;
    const size_t n = j->causal ? j->pos + first + rows : j->m; /* keys that some query of the block sees */
    k->matmul(rows, panels_of(n), j->head_dim, j->q + first * j->q_stride + head * j->head_dim, j->q_stride,
              panels_of_head(j, kv_head), j->head_dim * 16, 16, r.scores, r.stride);
    float sum[QUERIES];
    for (size_t q = 0; q < rows; q++) {
        const size_t seen = j->causal ? j->pos + first + q + 1 : n;
        float *s = r.scores + q * r.stride;
        sum[q] = k->softmax(s, seen, j->scale);
        for (size_t t = seen; t < n; t++) s[t] = 0.0f;
    }
    mix_values(j, &r, j->values + kv_head * j->head_dim, rows, n);
    for (size_t q = 0; q < rows; q++)
        k->divide(r.mixed + q * width, j->head_dim, sum[q], j->y + (first + q) * j->y_stride + head * j->head_dim);
}

static void run(attention_job *j)
{
    if (j->m == 0) return;
    j->blocks = (j->m + QUERIES - 1) / QUERIES;
    const size_t panels = panels_of(keys_in_all(j));
    fvlm_carve measure = {0};
    (void)carve_attention(&measure, j);
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

void fvlm_op_attention_causal(fvlm_exec *e, const float *q, const float *keys, const float *values, size_t m,
                              size_t pos, size_t heads, size_t kv_heads, size_t head_dim, float *y)
{
    attention_job j = {.e = e,
                       .q = q,
                       .keys = keys,
                       .values = values,
                       .q_stride = heads * head_dim,
                       .kv_stride = kv_heads * head_dim,
                       .y_stride = heads * head_dim,
                       .y = y,
                       .m = m,
                       .pos = pos,
                       .heads = heads,
                       .kv_heads = kv_heads,
                       .head_dim = head_dim,
                       .causal = true,
                       .scale = 1.0f / sqrtf((float)head_dim)};
    run(&j);
}
