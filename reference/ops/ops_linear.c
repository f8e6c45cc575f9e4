/* SPDX-License-Identifier: Apache-2.0 */
/* ops_linear.c - matrix products: rows of activations times a weight. */
#include "reference/ops/exec.h"

#define ROWS_AT_ONCE 1024  /* activations quantized together: they stay in the last-level cache */
#define TASKS_PER_THREAD 6 /* enough to even out threads of unequal speed */
#define SMALL (64 * 1024)  /* activations not worth waking threads for */

typedef struct {
    fvlm_exec *e;
    const fvlm_weight *w;
    fvlm_rows a;       /* from the first row on */
    fvlm_epilogue out; /* likewise */
    size_t n_rows;
    size_t row_blocks, panel_blocks, panels_each;
} linear_job;

/* The same activations from row 'row' on. */
static fvlm_rows rows_from(const fvlm_rows *a, size_t row)
{
    fvlm_rows b = *a;
    if (b.x) b.x += row * b.x_stride;
    if (b.q) {
        b.q += row * b.q_stride;
        b.group += row;
    }
    return b;
}

static fvlm_epilogue epilogue_from(const fvlm_epilogue *out, size_t row)
{
    fvlm_epilogue e = *out;
    e.y += row * e.y_stride;
    if (e.residual) e.residual += row * e.residual_stride;
    return e;
}

/* 16 rows. */
static void quantize_task(void *ctx, size_t i, unsigned thread)
{
    (void)thread;
    const linear_job *j = ctx;
    const size_t row = i * 16, n = fvlm_min_size(16, j->n_rows - row);
    const fvlm_rows a = rows_from(&j->a, row);
    j->e->k->quantize(&a, n, j->w);
}

static void linear_task(void *ctx, size_t i, unsigned thread)
{
    const linear_job *j = ctx;
    const size_t row = i / j->panel_blocks * FVLM_ROW_BLOCK, panel = i % j->panel_blocks * j->panels_each;
    const size_t n = fvlm_min_size(FVLM_ROW_BLOCK, j->n_rows - row);
    const size_t end = fvlm_min_size(panel + j->panels_each, j->w->m.n_panels);
    const fvlm_rows a = rows_from(&j->a, row);
    const fvlm_epilogue out = epilogue_from(&j->out, row);
    fvlm_exec_note(j->e, j->e->k->linear(j->w, &a, n, panel, end, &out, (float *)(void *)j->e->thread[thread].bytes));
}

/* Cuts the result into blocks of rows and, when there are few rows, these into blocks of panels. */
static void plan(linear_job *j)
{
    const size_t want = j->e->threads > 1 ? (size_t)j->e->threads * TASKS_PER_THREAD : 1, n_panels = j->w->m.n_panels;
    j->row_blocks = (j->n_rows + FVLM_ROW_BLOCK - 1) / FVLM_ROW_BLOCK;
    const size_t cuts = (want + j->row_blocks - 1) / j->row_blocks;
    /* 6 is a multiple of the width, in panels, of every register tile. */
    j->panels_each = ((n_panels + cuts - 1) / cuts + 5) / 6 * 6;
    j->panel_blocks = (n_panels + j->panels_each - 1) / j->panels_each;
}

static void run_rows(linear_job *j)
{
    fvlm_pool *pool = j->n_rows * j->w->m.k <= SMALL ? NULL : j->e->pool;
    if (j->a.q) fvlm_pool_run(pool, (j->n_rows + 15) / 16, quantize_task, j);
    plan(j);
    fvlm_pool_run(j->e->pool, j->row_blocks * j->panel_blocks, linear_task, j);
}

void fvlm_op_linear(fvlm_exec *e, const float *x, size_t m, const fvlm_weight *w, const float *bias,
                    fvlm_activation act, const float *residual, float *y)
{
    const size_t k = w->m.k, n = w->m.n, most = fvlm_min_size(m, ROWS_AT_ONCE);
    const bool int8 = fvlm_exec_is_int8(e, w);
    fvlm_arena measure = {0};
    if (int8) (void)fvlm_arena_take_rows(&measure, most, w);
    if (!fvlm_exec_reserve(e, measure.used, FVLM_LINEAR_SCRATCH * sizeof(float))) return;
    for (size_t row = 0; row < m; row += most) {
        linear_job j = {.e = e, .w = w, .n_rows = fvlm_min_size(most, m - row)};
        fvlm_arena arena = {.base = e->shared.bytes};
        if (int8) j.a = fvlm_arena_take_rows(&arena, most, w);
        j.a.x = x + row * k;
        j.a.x_stride = k;
        j.out = (fvlm_epilogue){.bias = bias,
                                .residual = residual ? residual + row * n : NULL,
                                .residual_stride = n,
                                .y = y + row * n,
                                .y_stride = n,
                                .act = act};
        run_rows(&j);
    }
}
