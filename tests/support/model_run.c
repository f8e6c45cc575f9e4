/* SPDX-License-Identifier: Apache-2.0 */
/* model_run.c - see model_run.h. */
#include "tests/support/model_run.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/support.h"

void keep(void *ctx, const char *name, const float *x, size_t rows, size_t cols)
{
    kept *k = ctx;
    if (k->n == sizeof k->blocks / sizeof k->blocks[0]) return;
    kept_block *b = &k->blocks[k->n++];
    snprintf(b->name, sizeof b->name, "%s", name);
    b->rows = rows;
    b->cols = cols;
    b->x = fvlm_alloc(rows * cols, sizeof(float));
    memcpy(b->x, x, rows * cols * sizeof(float));
}

const kept_block *kept_find(const kept *k, const char *name)
{
    for (size_t i = k->n; i-- > 0;)
        if (strcmp(k->blocks[i].name, name) == 0) return &k->blocks[i];
    return NULL;
}

void kept_free(kept *k)
{
    for (size_t i = 0; i < k->n; i++) free(k->blocks[i].x);
    k->n = 0;
}

const char *scratch_path(char out[512], const char *name)
{
    static char folder[256];
    if (!folder[0]) test_folder(folder);
    snprintf(out, 512, "%s/%s", folder, name);
    return out;
}

fvlm_model *open_model(const char *path, const fvlm_model_options *o)
{
    fvlm_model *m;
    fvlm_err err = {0};
    if (fvlm_model_open(&m, path, o, &err) == FVLM_OK) return m;
    fprintf(stderr, "cannot open %s: %s\n", path, err.msg);
    abort();
}

fvlm_pixels random_pixels(uint32_t side, uint64_t seed)
{
    fvlm_pixels p = {.side = side, .values = fvlm_alloc((size_t)side * side * 3, sizeof(float))};
    test_rng rng = {seed};
    double phase[6];
    for (int i = 0; i < 6; i++) phase[i] = (double)test_normal(&rng) * 3;
    for (size_t y = 0; y < side; y++)
        for (size_t x = 0; x < side; x++)
            for (size_t c = 0; c < 3; c++) {
                const double wave = sin((double)x * 0.05 + phase[c]) * cos((double)y * 0.11 + phase[c + 3]);
                const double v = 0.5 + 0.25 * wave + 0.08 * (double)test_normal(&rng);
                p.values[(y * side + x) * 3 + c] = (float)fmin(fmax(v, 0), 1);
            }
    return p;
}

float *random_rows(size_t n, uint64_t seed)
{
    test_rng rng = {seed};
    float *x = fvlm_alloc(n, sizeof *x);
    for (size_t i = 0; i < n; i++) x[i] = test_normal(&rng);
    return x;
}
