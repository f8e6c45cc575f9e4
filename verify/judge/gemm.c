/* SPDX-License-Identifier: Apache-2.0 */
/* gemm.c - C += A B, a tile of C a task: panels of A and B are packed so that the innermost loop runs over consecutive
 * floats, and sums of BLOCK_K products are added to C. A block of products of integers up to 255 is below 2^24: exact.
 */
#include "verify/judge/gemm.h"

#include <stdlib.h>

enum { MR = 4, NR = 12, TILE_M = 128, TILE_N = 384, BLOCK_K = 256 };

typedef float quad __attribute__((vector_size(16)));

/* a: [k][MR], b: [k][NR], c: [MR][NR]. */
static void micro(size_t k, const float *a, const float *b, float *c)
{
    quad sum[MR][NR / 4] = {{{0}}};
    for (size_t i = 0; i < k; i++, a += MR, b += NR) {
        quad y[NR / 4];
        memcpy(y, b, sizeof y);
        for (size_t r = 0; r < MR; r++) {
            const quad x = {a[r], a[r], a[r], a[r]};
            for (size_t q = 0; q < NR / 4; q++) sum[r][q] += x * y[q];
        }
    }
    memcpy(c, sum, sizeof sum);
}

static float element(const fvlm_gemm_matrix *x, uint64_t i)
{
    if (x->data) return x->data[i];
    float f;
    fvlm_judge_decode(&f, x->stored, i, 1);
    return f;
}

/* Rows [i0, i0 + rows) and columns [j0, j0 + columns) in strips of 'width' rows, zeros where there are none. Packs a
 * matrix by its columns when row and column are exchanged. */
static void pack(const fvlm_gemm_matrix *x, size_t i0, size_t rows, size_t j0, size_t columns, size_t width, float *out)
{
    for (size_t strip = 0; strip < rows; strip += width, out += width * columns) {
        const size_t n = rows - strip < width ? rows - strip : width;
        const uint64_t first = x->first + (i0 + strip) * x->row + j0 * x->column;
        if (n < width) memset(out, 0, width * columns * sizeof *out);
        if (x->row == 1) {
            for (size_t j = 0; j < columns; j++) {
                const uint64_t at = first + j * x->column;
                if (x->data)
                    memcpy(out + j * width, x->data + at, n * sizeof *out);
                else
                    fvlm_judge_decode(out + j * width, x->stored, at, n);
            }
            continue;
        }
        for (size_t r = 0; r < n; r++) {
            float line[BLOCK_K];
            const uint64_t at = first + r * x->row;
            const float *from = x->data ? x->data + at : line;
            if (x->column == 1) {
                if (!x->data) fvlm_judge_decode(line, x->stored, at, columns);
                for (size_t j = 0; j < columns; j++) out[j * width + r] = from[j];
            } else {
                for (size_t j = 0; j < columns; j++) out[j * width + r] = element(x, at + j * x->column);
            }
        }
    }
}

typedef struct {
    const fvlm_gemm *products;
    size_t tiles_n, tiles; /* of one product: all have the same m and n */
    float *scratch;        /* of each thread */
} work;

enum { SCRATCH = BLOCK_K * (TILE_M + TILE_N) };

static void add_block(const fvlm_gemm *g, size_t i, size_t j, const float *block)
{
    const size_t rows = g->m - i < MR ? g->m - i : MR, columns = g->n - j < NR ? g->n - j : NR;
    for (size_t r = 0; r < rows; r++)
        for (size_t s = 0; s < columns; s++) {
            const size_t at = (i + r) * g->ldc + j + s;
            if (g->c)
                g->c[at] += block[r * NR + s];
            else
                g->integers[at] = (int32_t)((uint32_t)g->integers[at] + (uint32_t)(int32_t)block[r * NR + s]);
        }
}

static void run_tile(void *ctx, size_t task, unsigned thread)
{
    const work *w = ctx;
    const fvlm_gemm *g = &w->products[task / w->tiles];
    const size_t tile = task % w->tiles, i0 = tile / w->tiles_n * TILE_M, j0 = tile % w->tiles_n * TILE_N;
    const size_t m = g->m - i0 < TILE_M ? g->m - i0 : TILE_M, n = g->n - j0 < TILE_N ? g->n - j0 : TILE_N;
    const fvlm_gemm_matrix b_columns = {g->b.data, g->b.stored, g->b.first, g->b.column, g->b.row};
    float *a = w->scratch + (size_t)thread * SCRATCH, *b = a + BLOCK_K * TILE_M;
    for (size_t k0 = 0; k0 < g->k; k0 += BLOCK_K) {
        const size_t k = g->k - k0 < BLOCK_K ? g->k - k0 : BLOCK_K;
        pack(&g->a, i0, m, k0, k, MR, a);
        pack(&b_columns, j0, n, k0, k, NR, b);
        for (size_t j = 0; j < n; j += NR)
            for (size_t i = 0; i < m; i += MR) {
                float block[MR * NR];
                micro(k, a + i * k, b + j * k, block);
                add_block(g, i0 + i, j0 + j, block);
            }
    }
}

fvlm_gemm_matrix fvlm_gemm_matrix_of(const fvlm_judge_value *v, uint64_t first, uint64_t row, uint64_t column)
{
    return (fvlm_gemm_matrix){v->data, v->stored, first, row, column};
}

fvlm_status fvlm_gemm_run(const fvlm_judge_call *call, const fvlm_gemm *products, size_t n)
{
    if (!n || !products->m || !products->n || !products->k) return FVLM_OK;
    const size_t tiles_n = (products->n + TILE_N - 1) / TILE_N, tiles_m = (products->m + TILE_M - 1) / TILE_M;
    work w = {products, tiles_n, tiles_n * tiles_m, NULL};
    w.scratch = fvlm_alloc(fvlm_pool_threads(call->pool), SCRATCH * sizeof *w.scratch);
    if (!w.scratch) return fvlm_fail_nomem(call->err);
    fvlm_pool_run(call->pool, n * w.tiles, run_tile, &w);
    free(w.scratch);
    return FVLM_OK;
}
