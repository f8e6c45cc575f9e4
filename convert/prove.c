/* SPDX-License-Identifier: Apache-2.0 */
/* prove.c - see prove.h. Shares no arithmetic with fuse.c: BatchNorm is applied to outputs, not to kernels; identities
 * add the input; layer scale, LayerNorm's affine part and the attention scale are separate steps. */
#include "convert/prove.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "convert/elements.h"

#define MAX_OUTPUTS (FVLM_MAX_DW_KERNEL * FVLM_MAX_DW_KERNEL)

enum { BIAS, GAMMA, BETA, MEAN, VAR, N_VECTORS }; /* of a branch */

struct fvlm_proof {
    const fvlm_recipe *m;
    size_t side, n_in;                            /* side of the input map; side * side */
    size_t out_side, n;                           /* outputs of a row */
    double *x;                                    /* [channels][side * side] */
    double *normed;                               /* x after LayerNorm's affine part; x itself without one */
    double *vector[FVLM_MAX_BRANCHES][N_VECTORS]; /* [out] or NULL */
    double *layer_scale, *gain, *shift;
    double error;
};

/* SplitMix64 of the index, as -1 .. 1: the same input in every run. */
static double random_at(uint64_t i)
{
    uint64_t z = (i + 1) * 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    return (double)(z >> 11) * 0x1p-52 - 1;
}

static fvlm_status read_vectors(fvlm_proof *p, const fvlm_source *src, fvlm_err *err)
{
    const fvlm_recipe *m = p->m;
    fvlm_status st = fvlm_elements_read(src, m->layer_scale, &p->layer_scale, err);
    if (!st) st = fvlm_elements_read(src, m->norm_gain, &p->gain, err);
    if (!st) st = fvlm_elements_read(src, m->norm_shift, &p->shift, err);
    for (unsigned b = 0; b < m->n_branches && !st; b++) {
        const fvlm_branch *branch = &m->branch[b];
        const fvlm_source_tensor *from[] = {branch->bias, branch->bn.gamma, branch->bn.beta, branch->bn.mean,
                                            branch->bn.var};
        for (unsigned v = 0; v < N_VECTORS && !st; v++) st = fvlm_elements_read(src, from[v], &p->vector[b][v], err);
    }
    return st;
}

fvlm_status fvlm_proof_create(fvlm_proof **out, const fvlm_recipe *m, const fvlm_source *src, fvlm_err *err)
{
    fvlm_proof *p = *out = fvlm_alloc(1, sizeof *p);
    if (!p) return fvlm_fail_nomem(err);
    p->m = m;
    p->side = m->k == 1 ? 2 : m->k < 5 ? 5 : m->k; /* a 1x1 kernel sees four independent positions */
    p->n_in = p->side * p->side;
    p->out_side = (p->side + m->stride - 1) / m->stride;
    p->n = p->out_side * p->out_side;
    size_t channels = (size_t)(m->in * m->groups);
    p->x = fvlm_alloc(channels * p->n_in, sizeof *p->x);
    p->normed = m->norm_gain ? fvlm_alloc(channels * p->n_in, sizeof *p->x) : p->x;
    fvlm_status st = p->x && p->normed ? read_vectors(p, src, err) : fvlm_fail_nomem(err);
    for (size_t i = 0; i < channels * p->n_in && !st; i++) p->x[i] = random_at(i);
    for (size_t i = 0; p->gain && i < channels * p->n_in && !st; i++)
        p->normed[i] = p->x[i] * p->gain[i / p->n_in] + p->shift[i / p->n_in];
    if (st) fvlm_proof_free(out);
    return st;
}

void fvlm_proof_free(fvlm_proof **proof)
{
    fvlm_proof *p = *proof;
    *proof = NULL;
    if (!p) return;
    for (unsigned b = 0; b < FVLM_MAX_BRANCHES; b++)
        for (unsigned v = 0; v < N_VECTORS; v++) free(p->vector[b][v]);
    free(p->layer_scale);
    free(p->gain);
    free(p->shift);
    if (p->normed != p->x) free(p->normed);
    free(p->x);
    free(p);
}

/* Four positions at once: y[j] = sum over i of row[i] * x[i][j], two chains each to hide the latency of additions. */
static void linear(const double *row, size_t in, const double *x, double *y)
{
    double even[4] = {0}, odd[4] = {0};
    size_t i = 0;
    for (; i + 2 <= in; i += 2)
        for (size_t j = 0; j < 4; j++) {
            even[j] += row[i] * x[4 * i + j];
            odd[j] += row[i + 1] * x[4 * i + 4 + j];
        }
    for (size_t j = 0; j < 4; j++) y[j] = even[j] + odd[j] + (i < in ? row[i] * x[4 * i + j] : 0);
}

/* Direct convolution of x, [in][side][side], with kernel, [in][k][k], and zero padding k / 2. */
static void convolve(const fvlm_proof *p, const double *kernel, size_t k, const double *x, double *y)
{
    size_t in = (size_t)p->m->in, pad = k / 2, stride = p->m->stride;
    if (p->m->k == 1) {
        linear(kernel, in, x, y);
        return;
    }
    for (size_t oy = 0; oy < p->out_side; oy++)
        for (size_t ox = 0; ox < p->out_side; ox++) {
            double sum = 0;
            for (size_t i = 0; i < in; i++)
                for (size_t ky = 0; ky < k; ky++)
                    for (size_t kx = 0; kx < k; kx++) {
                        size_t iy = oy * stride + ky, ix = ox * stride + kx; /* plus the padding */
                        if (iy < pad || ix < pad || iy - pad >= p->side || ix - pad >= p->side) continue;
                        sum += kernel[(i * k + ky) * k + kx] * x[i * p->n_in + (iy - pad) * p->side + ix - pad];
                    }
            y[oy * p->out_side + ox] = sum;
        }
}

/* The input of an identity at output j. */
static double input_at(const fvlm_proof *p, const double *channel, size_t j)
{
    size_t stride = p->m->stride;
    return p->m->k == 1 ? channel[j] : channel[j / p->out_side * stride * p->side + j % p->out_side * stride];
}

/* As in training: each branch with its BatchNorm, then their sum, the scales, the residual. magnitude[j] is the sum of
 * the magnitudes of the terms of y[j]. */
static void run_parts(const fvlm_proof *p, uint64_t o, double *const *kernels, const double *x, const double *own,
                      double *y, double *magnitude)
{
    const fvlm_recipe *m = p->m;
    double part[MAX_OUTPUTS];
    double after = (p->layer_scale ? p->layer_scale[o] : 1) * (o < m->q_rows ? m->q_scale : 1);
    memset(y, 0, p->n * sizeof *y);
    memset(magnitude, 0, p->n * sizeof *magnitude);
    for (unsigned b = 0; b < m->n_branches; b++) {
        double *const *v = p->vector[b], bias = v[BIAS] ? v[BIAS][o] : 0;
        if (m->branch[b].kernel)
            convolve(p, kernels[b], m->branch[b].k, x, part);
        else
            for (size_t j = 0; j < p->n; j++) part[j] = input_at(p, own, j);
        for (size_t j = 0; j < p->n; j++) {
            double sum = part[j] + bias, size = fabs(part[j]) + fabs(bias);
            if (v[GAMMA]) {
                double s = sqrt(v[VAR][o] + FVLM_NORM_EPS);
                sum = (sum - v[MEAN][o]) / s * v[GAMMA][o] + v[BETA][o];
                size = (size + fabs(v[MEAN][o])) / s * fabs(v[GAMMA][o]) + fabs(v[BETA][o]);
            }
            y[j] += m->branch[b].sign * sum;
            magnitude[j] += size;
        }
    }
    for (size_t j = 0; j < p->n; j++) {
        y[j] *= after;
        magnitude[j] *= fabs(after);
        if (!m->residual) continue;
        y[j] += input_at(p, own, j);
        magnitude[j] += fabs(input_at(p, own, j));
    }
}

void fvlm_proof_row(fvlm_proof *p, uint64_t o, double *const *kernels, const double *w, double bias)
{
    const fvlm_recipe *m = p->m;
    double before[MAX_OUTPUTS], after[MAX_OUTPUTS], magnitude[MAX_OUTPUTS], worst = 0, scale = 0;
    size_t group = (size_t)(m->groups == 1 ? 0 : o / (m->out / m->groups));
    const double *x = p->x + group * (size_t)m->in * p->n_in,
                 *own = m->groups == 1 && o < m->in ? x + (size_t)o * p->n_in : x;
    run_parts(p, o, kernels, p->normed + (x - p->x), own, before, magnitude);
    convolve(p, w, m->k, x, after);
    for (size_t j = 0; j < p->n; j++) {
        double difference = fabs(before[j] - (after[j] + bias));
        if (!(difference <= worst)) worst = isfinite(difference) ? difference : INFINITY;
        if (magnitude[j] > scale) scale = magnitude[j];
    }
    double error = worst == 0 ? 0 : worst / scale;
    if (!(error <= p->error)) p->error = error;
}

double fvlm_proof_error(const fvlm_proof *p)
{
    return p->error;
}
