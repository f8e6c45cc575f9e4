/* SPDX-License-Identifier: Apache-2.0 */
/* fuse.c - the formula of recipe.h. All in f64; pack.c rounds once, at the end. */
#include "convert/fuse.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "convert/elements.h"

/* BatchNorm as x * g + added: g = gamma / sqrt(var + eps), added = beta - mean * g. */
static fvlm_status fold_bn(const fvlm_batch_norm *bn, const fvlm_source *src, size_t n, double *g, double *added,
                           fvlm_err *err)
{
    double *gamma = NULL, *beta = NULL, *mean = NULL, *var = NULL;
    fvlm_status st = fvlm_elements_read(src, bn->gamma, &gamma, err);
    if (!st) st = fvlm_elements_read(src, bn->beta, &beta, err);
    if (!st) st = fvlm_elements_read(src, bn->mean, &mean, err);
    if (!st) st = fvlm_elements_read(src, bn->var, &var, err);
    for (size_t i = 0; i < n && !st; i++) {
        if (var[i] < 0)
            st = fvlm_fail(err, FVLM_BAD_INPUT, "tensor \"%.200s\": element [%zu] is %g; a variance is 0 or more",
                           bn->var->name, i, var[i]);
        g[i] = gamma[i] / sqrt(var[i] + FVLM_NORM_EPS);
        added[i] = beta[i] - mean[i] * g[i];
    }
    free(gamma);
    free(beta);
    free(mean);
    free(var);
    return st;
}

/* One branch's factor and its term of the bias. */
static fvlm_status prepare_branch(fvlm_fusion *f, unsigned b, const double *scale, const fvlm_source *src,
                                  fvlm_err *err)
{
    const fvlm_branch *branch = &f->m->branch[b];
    size_t n = (size_t)f->m->out;
    double *bias = NULL, *g = f->factor[b] = fvlm_alloc(n, sizeof *g), *added = fvlm_alloc(n, sizeof *added);
    fvlm_status st = g && added ? FVLM_OK : fvlm_fail_nomem(err);
    for (size_t i = 0; i < n && !st; i++) g[i] = 1;
    if (!st && branch->bn.gamma) st = fold_bn(&branch->bn, src, n, g, added, err);
    if (!st) st = fvlm_elements_read(src, branch->bias, &bias, err);
    for (size_t i = 0; i < n && !st; i++) {
        double signed_scale = branch->sign * scale[i];
        f->bias[i] += signed_scale * (added[i] + (bias ? g[i] * bias[i] : 0));
        g[i] *= signed_scale;
    }
    free(bias);
    free(added);
    return st;
}

fvlm_status fvlm_fusion_prepare(fvlm_fusion *f, const fvlm_recipe *m, const fvlm_source *src, fvlm_err *err)
{
    *f = (fvlm_fusion){.m = m};
    size_t n = (size_t)m->out;
    double *scale = NULL;
    f->bias = fvlm_alloc(n, sizeof *f->bias);
    fvlm_status st = f->bias ? FVLM_OK : fvlm_fail_nomem(err);
    if (!st) st = fvlm_elements_read(src, m->layer_scale, &scale, err);
    if (!st && !scale) {
        scale = fvlm_alloc(n, sizeof *scale);
        if (!scale) st = fvlm_fail_nomem(err);
        for (size_t i = 0; i < n && !st; i++) scale[i] = 1;
    }
    for (size_t i = 0; !st && i < m->q_rows; i++) scale[i] *= m->q_scale;
    for (unsigned b = 0; b < m->n_branches && !st; b++) st = prepare_branch(f, b, scale, src, err);
    if (!st) st = fvlm_elements_read(src, m->norm_gain, &f->gain, err);
    if (!st) st = fvlm_elements_read(src, m->norm_shift, &f->shift, err);
    free(scale);
    if (st) fvlm_fusion_free(f);
    return st;
}

void fvlm_fusion_free(fvlm_fusion *f)
{
    for (unsigned b = 0; b < FVLM_MAX_BRANCHES; b++) free(f->factor[b]);
    free(f->bias);
    free(f->gain);
    free(f->shift);
    *f = (fvlm_fusion){0};
}

double fvlm_fusion_row(const fvlm_fusion *f, uint64_t o, double *const *kernels, double *w)
{
    const fvlm_recipe *m = f->m;
    size_t in = (size_t)m->in, side = m->k, centre = side / 2 * side + side / 2;
    size_t own = (size_t)(m->groups == 1 ? o : 0); /* the input channel of the group that row o's identity reads */
    double bias = f->bias[o];
    memset(w, 0, in * side * side * sizeof *w);
    for (unsigned b = 0; b < m->n_branches; b++) {
        double factor = f->factor[b][o];
        size_t k = m->branch[b].k, border = (side - k) / 2;
        if (!m->branch[b].kernel) {
            w[own * side * side + centre] += factor;
            continue;
        }
        if (k == side) { /* the usual case: no padding */
            for (size_t j = 0; j < in * side * side; j++) w[j] += factor * kernels[b][j];
            continue;
        }
        for (size_t i = 0; i < in; i++)
            for (size_t y = 0; y < k; y++)
                for (size_t x = 0; x < k; x++)
                    w[(i * side + y + border) * side + x + border] += factor * kernels[b][(i * k + y) * k + x];
    }
    for (size_t i = 0; f->shift && i < in; i++) { /* linear layers only, so k is 1 */
        bias += w[i] * f->shift[i];
        w[i] *= f->gain[i];
    }
    if (m->residual) w[own * side * side + centre] += 1;
    return bias;
}
