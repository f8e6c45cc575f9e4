/* SPDX-License-Identifier: Apache-2.0 */
/* attention_bias.c - see attention_bias.h. All in f64. Where the weights are as convert made them, all three parts have
 * the same n: conjugate gradients on the normal equations find it. Otherwise Gaussian elimination with partial pivoting
 * solves q's part. */
#include "convert/export/attention_bias.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "convert/export/values.h"

#define MAX_ERROR 1e-5    /* of q's bias; measured on trained and random towers: 3e-7 at most */
#define MAX_ROUNDING 3e-7 /* of the whole bias, if W n = b but for roundings to f32 */
#define MAX_STEPS 500

typedef struct {
    fvlm_export_values qkv, proj;
    float *bias, *proj_bias; /* [3 dim], [dim] */
    float *w, *row;          /* [3 dim][dim]: qkv's weight; [dim] */
    double *a, *x;           /* [dim][dim], also scratch; [dim]: the right side, then the solution */
    size_t dim;
} solver;

static fvlm_status open_solver(solver *s, const fvlm_reader *r, const char *block, fvlm_err *err)
{
    char name[96];
    snprintf(name, sizeof name, "%s.attn.qkv.weight", block);
    fvlm_status st = fvlm_export_values_open(&s->qkv, r, name, err);
    snprintf(name, sizeof name, "%s.attn.qkv.bias", block);
    if (!st) st = fvlm_export_values_vector(&s->bias, r, name, err);
    snprintf(name, sizeof name, "%s.attn.proj.weight", block);
    if (!st) st = fvlm_export_values_open(&s->proj, r, name, err);
    snprintf(name, sizeof name, "%s.attn.proj.bias", block);
    if (!st) st = fvlm_export_values_vector(&s->proj_bias, r, name, err);
    if (st) return st;
    s->dim = s->qkv.cols;
    s->w = fvlm_alloc(3 * s->dim * s->dim, sizeof *s->w);
    s->row = fvlm_alloc(s->dim, sizeof *s->row);
    s->a = fvlm_alloc(s->dim * s->dim + 8 * s->dim, sizeof *s->a);
    s->x = fvlm_alloc(s->dim, sizeof *s->x);
    if (!s->w || !s->row || !s->a || !s->x) return fvlm_fail_nomem(err);
    for (size_t i = 0; i < 3 * s->dim; i++) fvlm_export_values_row(&s->qkv, i, s->w + i * s->dim, NULL);
    return FVLM_OK;
}

static double dot(const float *row, const double *x, size_t n)
{
    double sum = 0;
    for (size_t k = 0; k < n; k++) sum += (double)row[k] * x[k];
    return sum;
}

/* Rows first to first + n - 1 of qkv's weight times x. */
static void multiply(const solver *s, size_t first, size_t n, const double *x, double *out)
{
    for (size_t i = 0; i < n; i++) out[i] = dot(s->w + (first + i) * s->dim, x, s->dim);
}

/* ---- all three parts at once ---- */

static double square(const double *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += x[i] * x[i];
    return sum;
}

/* The transposed weight times r; returns the square of its length. */
static double multiply_transposed(const solver *s, const double *r, double *out)
{
    const size_t n = s->dim;
    for (size_t k = 0; k < n; k++) out[k] = 0;
    for (size_t i = 0; i < 3 * n; i++)
        for (size_t k = 0; k < n; k++) out[k] += s->w[i * n + k] * r[i];
    return square(out, n);
}

/* CGLS (Bjoerck, Numerical Methods for Least Squares Problems, 7.4.1). Whether W n = b then, but for roundings. */
static fvlm_status solve_all(solver *s, const fvlm_stop *stop, bool *solved, fvlm_err *err)
{
    const size_t n = s->dim;
    double *r = s->a, *q = r + 3 * n, *g = q + 3 * n, *p = g + n;
    for (size_t i = 0; i < n; i++) s->x[i] = 0;
    for (size_t i = 0; i < 3 * n; i++) r[i] = s->bias[i];
    const double all = square(r, 3 * n), goal = 1e-20 * all;
    double gg = multiply_transposed(s, r, g);
    for (size_t k = 0; k < n; k++) p[k] = g[k];
    for (int step = 0; step < MAX_STEPS && gg > 0 && square(r, 3 * n) > goal; step++) {
        multiply(s, 0, 3 * n, p, q);
        const double alpha = gg / square(q, 3 * n), before = gg;
        for (size_t k = 0; k < n; k++) s->x[k] += alpha * p[k];
        for (size_t i = 0; i < 3 * n; i++) r[i] -= alpha * q[i];
        gg = multiply_transposed(s, r, g);
        for (size_t k = 0; k < n; k++) p[k] = g[k] + gg / before * p[k];
        fvlm_status st = fvlm_stop_check(stop, err);
        if (st) return st;
        if (gg < 1e-24 * all) break;
    }
    *solved = square(r, 3 * n) <= MAX_ROUNDING * MAX_ROUNDING * all;
    return FVLM_OK;
}

/* ---- q alone ---- */

/* Wq x = bq. Not regular: a pivot is 0. */
static fvlm_status solve_q(solver *s, const fvlm_stop *stop, bool *regular, fvlm_err *err)
{
    const size_t n = s->dim;
    *regular = true;
    for (size_t i = 0; i < n; i++) s->x[i] = s->bias[i];
    for (size_t i = 0; i < n * n; i++) s->a[i] = s->w[i];
    for (size_t c = 0; c < n; c++) {
        size_t best = c;
        for (size_t i = c + 1; i < n; i++)
            if (fabs(s->a[i * n + c]) > fabs(s->a[best * n + c])) best = i;
        double *top = &s->a[c * n], *pivot = &s->a[best * n];
        if (pivot[c] == 0) {
            *regular = false;
            return FVLM_OK;
        }
        for (size_t k = 0; best != c && k < n; k++) {
            const double kept = top[k];
            top[k] = pivot[k];
            pivot[k] = kept;
        }
        const double kept = s->x[c];
        s->x[c] = s->x[best];
        s->x[best] = kept;
        for (size_t i = c + 1; i < n; i++) {
            double *row = &s->a[i * n];
            const double f = row[c] / top[c];
            for (size_t k = c + 1; k < n; k++) row[k] -= f * top[k];
            s->x[i] -= f * s->x[c];
        }
        fvlm_status st = fvlm_stop_check(stop, err);
        if (st) return st;
    }
    for (size_t c = n; c-- > 0;) {
        for (size_t k = c + 1; k < n; k++) s->x[c] -= s->a[c * n + k] * s->x[k];
        s->x[c] /= s->a[c * n + c];
    }
    return FVLM_OK;
}

/* n rounded to f32, and how far Wq n then is from bq. */
static double round_shift(solver *s, float *shift)
{
    const size_t n = s->dim;
    double *found = s->a, changed = 0, all = 0;
    for (size_t i = 0; i < n; i++) s->x[i] = shift[i] = (float)s->x[i];
    multiply(s, 0, n, s->x, found);
    for (size_t i = 0; i < n; i++) {
        changed += (found[i] - s->bias[i]) * (found[i] - s->bias[i]);
        all += (double)s->bias[i] * s->bias[i];
    }
    return all > 0 ? sqrt(changed / all) : sqrt(changed);
}

/* proj.bias + Wproj (bv - Wv n), for the rounded n. */
static void pass_through(solver *s, float *out)
{
    const size_t n = s->dim;
    double *v = s->a, *p = s->a + n;
    multiply(s, 2 * n, n, s->x, v);
    for (size_t i = 0; i < n; i++) v[i] = s->bias[2 * n + i] - v[i];
    for (size_t i = 0; i < n; i++) {
        fvlm_export_values_row(&s->proj, i, s->row, NULL);
        p[i] = s->proj_bias[i] + dot(s->row, v, n);
    }
    for (size_t i = 0; i < n; i++) out[i] = (float)p[i];
}

static fvlm_status find(fvlm_attention_bias *out, solver *s, const char *block, const fvlm_stop *stop, fvlm_err *err)
{
    const size_t n = s->dim;
    bool solved = false, regular = true;
    out->dim = n;
    out->shift = fvlm_alloc(n, sizeof *out->shift);
    out->proj_bias = fvlm_alloc(n, sizeof *out->proj_bias);
    if (!out->shift || !out->proj_bias) return fvlm_fail_nomem(err);
    fvlm_status st = s->qkv.tensor->type.kind == FVLM_INT ? FVLM_OK : solve_all(s, stop, &solved, err);
    if (!st && !solved) st = solve_q(s, stop, &regular, err);
    if (st) return st;
    out->error = regular ? round_shift(s, out->shift) : INFINITY;
    if (!(out->error <= MAX_ERROR))
        return fvlm_fail(
            err, FVLM_UNSUPPORTED,
            "tensor \"%s.attn.qkv.bias\": upstream's attention has no bias, and the query matrix is too near "
            "singular to write it as the shift of the LayerNorm",
            block);
    if (solved)
        memcpy(out->proj_bias, s->proj_bias, n * sizeof *out->proj_bias);
    else
        pass_through(s, out->proj_bias);
    return FVLM_OK;
}

fvlm_status fvlm_attention_bias_find(fvlm_attention_bias *out, const fvlm_reader *r, const char *block,
                                     const fvlm_stop *stop, fvlm_err *err)
{
    solver s = {.dim = 0};
    *out = (fvlm_attention_bias){0};
    fvlm_status st = open_solver(&s, r, block, err);
    if (!st) st = find(out, &s, block, stop, err);
    free(s.bias);
    free(s.proj_bias);
    free(s.w);
    free(s.row);
    free(s.a);
    free(s.x);
    if (st) fvlm_attention_bias_free(out);
    return st;
}

void fvlm_attention_bias_free(fvlm_attention_bias *b)
{
    free(b->shift);
    free(b->proj_bias);
    *b = (fvlm_attention_bias){0};
}
