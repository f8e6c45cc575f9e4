/* SPDX-License-Identifier: Apache-2.0 */
/* ops_rows.c - operations on one row, or one channel, at a time. */
#include "reference/ops/exec.h"

#define VALUES_PER_TASK 16384 /* enough to be worth handing out */

typedef struct rows_job rows_job;
struct rows_job {
    fvlm_exec *e;
    void (*row)(const rows_job *j, size_t r);
    const float *x, *other;
    float *y;
    size_t m, c, each; /* each: rows per task */
    float eps;
};

static void rows_task(void *ctx, size_t i, unsigned thread)
{
    (void)thread;
    const rows_job *j = ctx;
    for (size_t r = i * j->each; r < fvlm_min_size((i + 1) * j->each, j->m); r++) j->row(j, r);
}

static void run_rows(rows_job *j)
{
    j->each = j->c < VALUES_PER_TASK ? VALUES_PER_TASK / (j->c ? j->c : 1) : 1;
    const size_t n = (j->m + j->each - 1) / j->each;
    fvlm_pool_run(n > 1 ? j->e->pool : NULL, n, rows_task, j);
}

static void layer_norm_row(const rows_job *j, size_t r)
{
    j->e->k->layer_norm(j->x + r * j->c, j->c, j->eps, j->y + r * j->c);
}

void fvlm_op_layer_norm(fvlm_exec *e, const float *x, size_t m, size_t c, float eps, float *y)
{
    run_rows(&(rows_job){.e = e, .row = layer_norm_row, .x = x, .y = y, .m = m, .c = c, .eps = eps});
}

static void rms_norm_row(const rows_job *j, size_t r)
{
    j->e->k->rms_norm(j->x + r * j->c, j->c, j->other, j->eps, j->y + r * j->c);
}

void fvlm_op_rms_norm(fvlm_exec *e, const float *x, size_t m, size_t c, const float *gamma, float eps, float *y)
{
    run_rows(&(rows_job){.e = e, .row = rms_norm_row, .x = x, .other = gamma, .y = y, .m = m, .c = c, .eps = eps});
}

static void gate_gelu_row(const rows_job *j, size_t r)
{
    j->e->k->gate_gelu(j->y + r * j->c, j->other, j->c);
}

void fvlm_op_gate_gelu(fvlm_exec *e, float *x, size_t m, size_t c, const float *gate)
{
    run_rows(&(rows_job){.e = e, .row = gate_gelu_row, .other = gate, .y = x, .m = m, .c = c});
}

/* A row of m values, cut into tasks. */
static void silu_mul_task(void *ctx, size_t i, unsigned thread)
{
    (void)thread;
    const rows_job *j = ctx;
    const size_t at = i * VALUES_PER_TASK, n = fvlm_min_size(VALUES_PER_TASK, j->m - at);
    j->e->k->silu_mul(j->x + at, j->other + at, n, j->y + at);
}

void fvlm_op_silu_mul(fvlm_exec *e, const float *gate, const float *up, size_t n, float *y)
{
    rows_job j = {.e = e, .x = gate, .other = up, .y = y, .m = n};
    const size_t tasks = (n + VALUES_PER_TASK - 1) / VALUES_PER_TASK;
    fvlm_pool_run(tasks > 1 ? e->pool : NULL, tasks, silu_mul_task, &j);
}

static void finite_task(void *ctx, size_t i, unsigned thread)
{
    (void)thread;
    const rows_job *j = ctx;
    const size_t at = i * VALUES_PER_TASK;
    fvlm_exec_note(j->e, j->e->k->all_finite(j->x + at, fvlm_min_size(VALUES_PER_TASK, j->m - at)));
}

void fvlm_op_check_finite(fvlm_exec *e, const float *x, size_t n)
{
    rows_job j = {.e = e, .x = x, .m = n};
    const size_t tasks = (n + VALUES_PER_TASK - 1) / VALUES_PER_TASK;
    fvlm_pool_run(tasks > 1 ? e->pool : NULL, tasks, finite_task, &j);
}

#define CHANNELS_PER_TASK 64

static void channel_mean_task(void *ctx, size_t i, unsigned thread)
{
    (void)thread;
    const rows_job *j = ctx;
    const size_t first = i * CHANNELS_PER_TASK;
    j->e->k->channel_mean(j->x, j->m, j->c, first, fvlm_min_size(first + CHANNELS_PER_TASK, j->c), j->y);
}

void fvlm_op_channel_mean(fvlm_exec *e, const float *x, size_t m, size_t c, float *mean)
{
    rows_job j = {.e = e, .x = x, .y = mean, .m = m, .c = c};
    fvlm_pool_run(e->pool, (c + CHANNELS_PER_TASK - 1) / CHANNELS_PER_TASK, channel_mean_task, &j);
}

void fvlm_op_rope(fvlm_exec *e, float *x, size_t m, size_t heads, size_t head_dim, const float *cos_sin, size_t pos)
{
    /* 0.1 % of a prefill: not worth waking threads for. */
    for (size_t r = 0; r < m; r++)
        for (size_t h = 0; h < heads; h++)
            e->k->rope(x + (r * heads + h) * head_dim, head_dim, cos_sin + (pos + r) * head_dim);
}
