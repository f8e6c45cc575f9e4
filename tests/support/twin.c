/* SPDX-License-Identifier: Apache-2.0 */
/* twin.c - see twin.h. Pictures here are channels first, as in the papers and in PyTorch. */
#include "tests/support/twin.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- weights in logical order ---- */

/* [dims...] of the tensor as f64, row-major, whatever way it is stored. */
static double *weights(const twin *t, const char *fmt, ...)
{
    char name[96];
    va_list args;
    va_start(args, fmt);
    vsnprintf(name, sizeof name, fmt, args);
    va_end(args);
    const fvlm_tensor *w = fvlm_reader_find(t->r, name);
    if (!w || w->type.kind != FVLM_F32) {
        fprintf(stderr, "twin: no f32 tensor \"%s\"\n", name);
        abort();
    }
    const uint8_t *bytes = fvlm_reader_bytes(t->r, w);
    size_t d[4] = {1, 1, 1, 1};
    for (unsigned i = 0; i < w->rank; i++) d[i] = (size_t)w->dims[i];
    fvlm_matrix m;
    fvlm_err err;
    if (w->layout == FVLM_PANELS && fvlm_matrix_layout(&m, w->type, d[0], d[1] * d[2] * d[3], &err)) abort();
    double *out = fvlm_alloc(d[0] * d[1] * d[2] * d[3], sizeof *out), *to = out;
    for (size_t o = 0; o < d[0]; o++)
        for (size_t i = 0; i < d[1]; i++)
            for (size_t y = 0; y < d[2]; y++)
                for (size_t x = 0; x < d[3]; x++) {
                    size_t at = ((o * d[1] + i) * d[2] + y) * d[3] + x;
                    if (w->layout == FVLM_PANELS) at = fvlm_matrix_float_at(&m, o, (y * d[3] + x) * d[1] + i);
                    if (w->layout == FVLM_TAPS) at = (y * d[3] + x) * d[0] + o;
                    float value;
                    memcpy(&value, bytes + 4 * at, 4);
                    *to++ = value;
                }
    return out;
}

static double gelu(double x)
{
    return 0.5 * x * (1 + erf(x / sqrt(2)));
}

static void each(double *x, size_t n, double (*f)(double))
{
    for (size_t i = 0; i < n; i++) x[i] = f(x[i]);
}

/* ---- pictures: [channels, side, side] ---- */

typedef struct {
    double *x;
    size_t c, side;
} map;

/* Replaces in by its convolution; name.weight is [out, in / groups, k, k]. */
static void conv(const twin *t, map *in, size_t stride, size_t groups, const char *name)
{
    char full[96];
    snprintf(full, sizeof full, "%s.weight", name);
    const fvlm_tensor *wt = fvlm_reader_find(t->r, full);
    const size_t out_c = (size_t)wt->dims[0], k = wt->rank == 4 ? (size_t)wt->dims[2] : 1, pad = k / 2;
    const size_t per = in->c / groups, side = (in->side + stride - 1) / stride, in_side = in->side;
    double *w = weights(t, "%s.weight", name), *b = weights(t, "%s.bias", name);
    double *y = fvlm_alloc(out_c * side * side, sizeof *y);
    for (size_t o = 0; o < out_c; o++)
        for (size_t oy = 0; oy < side; oy++)
            for (size_t ox = 0; ox < side; ox++) {
                double sum = b[o];
                for (size_t i = 0; i < per; i++)
                    for (size_t ky = 0; ky < k; ky++)
                        for (size_t kx = 0; kx < k; kx++) {
                            const size_t iy = oy * stride + ky - pad, ix = ox * stride + kx - pad; /* wraps below 0 */
                            if (iy >= in_side || ix >= in_side) continue;
                            const size_t channel = o / (out_c / groups) * per + i;
                            sum +=
                                w[((o * per + i) * k + ky) * k + kx] * in->x[(channel * in_side + iy) * in_side + ix];
                        }
                y[(o * side + oy) * side + ox] = sum;
            }
    free(w);
    free(b);
    free(in->x);
    *in = (map){y, out_c, side};
}

static map copy(const map *m)
{
    map c = {fvlm_alloc(m->c * m->side * m->side, sizeof(double)), m->c, m->side};
    memcpy(c.x, m->x, m->c * m->side * m->side * sizeof(double));
    return c;
}

static void add(map *to, map *from)
{
    for (size_t i = 0; i < to->c * to->side * to->side; i++) to->x[i] += from->x[i];
    free(from->x);
}

static double *record(twin *t, size_t rows, size_t cols, const char *name)
{
    twin_block *b = &t->blocks[t->n++];
    snprintf(b->name, sizeof b->name, "%s", name);
    b->rows = rows;
    b->cols = cols;
    b->x = fvlm_alloc(rows * cols, sizeof(double));
    return b->x;
}

static void record_map(twin *t, const map *m, const char *name)
{
    const size_t pixels = m->side * m->side;
    double *x = record(t, pixels, m->c, name);
    for (size_t c = 0; c < m->c; c++)
        for (size_t p = 0; p < pixels; p++) x[p * m->c + c] = m->x[c * pixels + p];
}

static void conv_ffn(const twin *t, map *m, const char *block)
{
    char n[96];
    map h = copy(m);
    snprintf(n, sizeof n, "%s.ffn.dw", block);
    conv(t, &h, 1, h.c, n);
    snprintf(n, sizeof n, "%s.ffn.fc1", block);
    conv(t, &h, 1, 1, n);
    each(h.x, h.c * h.side * h.side, gelu);
    snprintf(n, sizeof n, "%s.ffn.fc2", block);
    conv(t, &h, 1, 1, n);
    add(m, &h);
}

/* Every pixel's channels to mean 0 and variance 1. */
static void layer_norm(map *m, double eps)
{
    const size_t pixels = m->side * m->side;
    for (size_t p = 0; p < pixels; p++) {
        double mean = 0, var = 0;
        for (size_t c = 0; c < m->c; c++) mean += m->x[c * pixels + p] / (double)m->c;
        for (size_t c = 0; c < m->c; c++) var += pow(m->x[c * pixels + p] - mean, 2) / (double)m->c;
        for (size_t c = 0; c < m->c; c++) m->x[c * pixels + p] = (m->x[c * pixels + p] - mean) / sqrt(var + eps);
    }
}

/* One head: q, k, v are [dim, tokens]; y likewise. */
static void attend(const double *q, const double *k, const double *v, size_t dim, size_t tokens, double *y)
{
    double *p = fvlm_alloc(tokens, sizeof *p);
    for (size_t i = 0; i < tokens; i++) {
        double most = -INFINITY, total = 0;
        for (size_t j = 0; j < tokens; j++) {
            p[j] = 0;
            for (size_t d = 0; d < dim; d++) p[j] += q[d * tokens + i] * k[d * tokens + j];
            most = fmax(most, p[j]);
        }
        for (size_t j = 0; j < tokens; j++) total += p[j] = exp(p[j] - most);
        for (size_t d = 0; d < dim; d++) {
            double sum = 0;
            for (size_t j = 0; j < tokens; j++) sum += p[j] / total * v[d * tokens + j];
            y[d * tokens + i] = sum;
        }
    }
    free(p);
}

static void attention(const twin *t, map *m, size_t heads, const char *block)
{
    char n[96];
    const size_t tokens = m->side * m->side, dim = m->c / heads, all = m->c * tokens;
    map h = copy(m);
    layer_norm(&h, fvlm_reader_config(t->r)->vision.norm_eps);
    snprintf(n, sizeof n, "%s.attn.qkv", block);
    conv(t, &h, 1, 1, n);
    map y = copy(m);
    for (size_t i = 0; i < heads; i++) {
        const size_t at = i * dim * tokens;
        attend(h.x + at, h.x + all + at, h.x + 2 * all + at, dim, tokens, y.x + at);
    }
    free(h.x);
    snprintf(n, sizeof n, "%s.attn.proj", block);
    conv(t, &y, 1, 1, n);
    add(m, &y);
}

static void squeeze_excite(const twin *t, map *m)
{
    const size_t pixels = m->side * m->side;
    map s = {fvlm_alloc(m->c, sizeof(double)), m->c, 1};
    for (size_t c = 0; c < m->c; c++)
        for (size_t p = 0; p < pixels; p++) s.x[c] += m->x[c * pixels + p] / (double)pixels;
    conv(t, &s, 1, 1, "vision.final.se.reduce");
    for (size_t c = 0; c < s.c; c++) s.x[c] = fmax(s.x[c], 0);
    conv(t, &s, 1, 1, "vision.final.se.expand");
    for (size_t c = 0; c < m->c; c++)
        for (size_t p = 0; p < pixels; p++) m->x[c * pixels + p] /= 1 + exp(-s.x[c]);
    free(s.x);
}

static void stage(twin *t, map *m, unsigned i)
{
    const fvlm_stage *s = &fvlm_reader_config(t->r)->vision.stage[i];
    char n[48], part[96];
    if (i > 0) {
        snprintf(n, sizeof n, "vision.stage%u.downsample", i);
        snprintf(part, sizeof part, "%s.dw", n);
        conv(t, m, 2, m->c, part);
        each(m->x, m->c * m->side * m->side, gelu);
        snprintf(part, sizeof part, "%s.pw", n);
        conv(t, m, 1, 1, part);
        each(m->x, m->c * m->side * m->side, gelu);
        record_map(t, m, n);
    }
    if (s->pos) {
        snprintf(n, sizeof n, "vision.stage%u.pos", i);
        conv(t, m, 1, m->c, n);
        record_map(t, m, n);
    }
    for (unsigned k = 0; k < s->depth; k++) {
        snprintf(n, sizeof n, "vision.stage%u.block%u", i, k);
        snprintf(part, sizeof part, "%s.mixer", n);
        if (s->mixer == FVLM_ATTENTION)
            attention(t, m, s->heads, n);
        else
            conv(t, m, 1, m->c, part);
        conv_ffn(t, m, n);
        record_map(t, m, n);
    }
}

void twin_tower(twin *t, const float *pixels, size_t side)
{
    const fvlm_config *c = fvlm_reader_config(t->r);
    map m = {fvlm_alloc(3 * side * side, sizeof(double)), 3, side};
    for (size_t p = 0; p < side * side; p++)
        for (size_t i = 0; i < 3; i++) m.x[i * side * side + p] = pixels[p * 3 + i];
    for (unsigned i = 0; i < 3; i++) {
        char n[32];
        snprintf(n, sizeof n, "vision.stem.%u", i);
        conv(t, &m, i < 2 ? 2 : 1, i == 1 ? m.c : 1, n);
        each(m.x, m.c * m.side * m.side, gelu);
    }
    record_map(t, &m, "vision.stem");
    for (unsigned i = 0; i < c->vision.n_stages; i++) stage(t, &m, i);
    conv(t, &m, 1, m.c, "vision.final.dw");
    squeeze_excite(t, &m);
    each(m.x, m.c * m.side * m.side, gelu);
    record_map(t, &m, "vision.final");
    free(m.x);
}

/* ---- texts: [rows, cols] ---- */

/* y = x w^T (+ bias); malloc'd. */
static double *linear(const twin *t, const double *x, size_t rows, size_t k, size_t n, bool bias, const char *name)
{
    double *w = weights(t, "%s.weight", name), *b = bias ? weights(t, "%s.bias", name) : NULL;
    double *y = fvlm_alloc(rows * n, sizeof *y);
    for (size_t r = 0; r < rows; r++)
        for (size_t o = 0; o < n; o++) {
            double sum = b ? b[o] : 0;
            for (size_t i = 0; i < k; i++) sum += x[r * k + i] * w[o * k + i];
            y[r * n + o] = sum;
        }
    free(w);
    free(b);
    return y;
}

void twin_project(twin *t, const double *features, size_t tokens)
{
    const fvlm_config *c = fvlm_reader_config(t->r);
    double *h = linear(t, features, tokens, c->projector.in, c->projector.hidden, true, "projector.0");
    each(h, tokens * c->projector.hidden, gelu);
    double *y = linear(t, h, tokens, c->projector.hidden, c->projector.out, true, "projector.2");
    memcpy(record(t, tokens, c->projector.out, "projector"), y, tokens * c->projector.out * sizeof *y);
    free(h);
    free(y);
}

static double *rms_norm(const twin *t, const double *x, size_t rows, size_t n, double eps, const char *name)
{
    double *gamma = weights(t, "%s.weight", name), *y = fvlm_alloc(rows * n, sizeof *y);
    for (size_t r = 0; r < rows; r++) {
        double squares = 0;
        for (size_t i = 0; i < n; i++) squares += x[r * n + i] * x[r * n + i] / (double)n;
        for (size_t i = 0; i < n; i++) y[r * n + i] = x[r * n + i] / sqrt(squares + eps) * gamma[i];
    }
    free(gamma);
    return y;
}

/* Pairs (i, i + dim/2) of every head turn by position * theta^(-2i/dim). */
static void rotate(double *x, size_t rows, size_t heads, size_t dim, double theta)
{
    for (size_t r = 0; r < rows; r++)
        for (size_t h = 0; h < heads; h++)
            for (size_t i = 0; i < dim / 2; i++) {
                double *a = x + (r * heads + h) * dim + i, *b = a + dim / 2, first = *a;
                const double angle = (double)r * pow(theta, -2.0 * (double)i / (double)dim);
                *a = first * cos(angle) - *b * sin(angle);
                *b = *b * cos(angle) + first * sin(angle);
            }
}

static double *attend_causal(const double *q, const double *k, const double *v, size_t rows, size_t heads,
                             size_t kv_heads, size_t dim)
{
    double *y = fvlm_alloc(rows * heads * dim, sizeof *y), *p = fvlm_alloc(rows, sizeof *p);
    for (size_t h = 0; h < heads; h++)
        for (size_t r = 0; r < rows; r++) {
            const size_t shared = h / (heads / kv_heads);
            double most = -INFINITY, total = 0;
            for (size_t j = 0; j <= r; j++) {
                p[j] = 0;
                for (size_t d = 0; d < dim; d++)
                    p[j] += q[(r * heads + h) * dim + d] * k[(j * kv_heads + shared) * dim + d] / sqrt((double)dim);
                most = fmax(most, p[j]);
            }
            for (size_t j = 0; j <= r; j++) total += p[j] = exp(p[j] - most);
            for (size_t j = 0; j <= r; j++)
                for (size_t d = 0; d < dim; d++)
                    y[(r * heads + h) * dim + d] += p[j] / total * v[(j * kv_heads + shared) * dim + d];
        }
    free(p);
    return y;
}

static void add_rows(double *x, double *y, size_t n)
{
    for (size_t i = 0; i < n; i++) x[i] += y[i];
    free(y);
}

static void layer(const twin *t, double *x, size_t rows, unsigned i)
{
    const fvlm_config *c = fvlm_reader_config(t->r);
    const size_t n = c->llm.hidden, dim = c->llm.head_dim, heads = c->llm.heads, kvs = c->llm.kv_heads;
    char name[48];
#define NAME(part) (snprintf(name, sizeof name, "llm.layer%u." part, i), name)
    double *h = rms_norm(t, x, rows, n, c->llm.norm_eps, NAME("attn_norm"));
    double *q = linear(t, h, rows, n, heads * dim, true, NAME("attn.q"));
    double *k = linear(t, h, rows, n, kvs * dim, true, NAME("attn.k"));
    double *v = linear(t, h, rows, n, kvs * dim, true, NAME("attn.v"));
    rotate(q, rows, heads, dim, c->llm.rope_theta);
    rotate(k, rows, kvs, dim, c->llm.rope_theta);
    double *y = attend_causal(q, k, v, rows, heads, kvs, dim);
    add_rows(x, linear(t, y, rows, heads * dim, n, false, NAME("attn.o")), rows * n);
    free(h);
    free(q);
    free(k);
    free(v);
    free(y);
    h = rms_norm(t, x, rows, n, c->llm.norm_eps, NAME("ffn_norm"));
    double *gate = linear(t, h, rows, n, c->llm.intermediate, false, NAME("ffn.gate"));
    double *up = linear(t, h, rows, n, c->llm.intermediate, false, NAME("ffn.up"));
    for (size_t j = 0; j < rows * c->llm.intermediate; j++) gate[j] = gate[j] / (1 + exp(-gate[j])) * up[j];
    add_rows(x, linear(t, gate, rows, c->llm.intermediate, n, false, NAME("ffn.down")), rows * n);
#undef NAME
    free(h);
    free(gate);
    free(up);
}

void twin_llm(twin *t, const float *embeddings, size_t n)
{
    const fvlm_config *c = fvlm_reader_config(t->r);
    const size_t hidden = c->llm.hidden;
    double *x = record(t, n, hidden, "llm.embed");
    for (size_t i = 0; i < n * hidden; i++) x[i] = embeddings[i];
    for (unsigned i = 0; i < c->llm.layers; i++) {
        char name[32];
        snprintf(name, sizeof name, "llm.layer%u", i);
        double *y = record(t, n, hidden, name);
        memcpy(y, x, n * hidden * sizeof *y);
        layer(t, y, n, i);
        x = y;
    }
    double *normed = rms_norm(t, x, n, hidden, c->llm.norm_eps, "llm.norm");
    memcpy(record(t, n, hidden, "llm.norm"), normed, n * hidden * sizeof *normed);
    double *logits = linear(t, normed, n, hidden, c->llm.vocab, false, c->llm.tied ? "llm.embed" : "llm.head");
    memcpy(record(t, n, c->llm.vocab, "logits"), logits, n * c->llm.vocab * sizeof *logits);
    free(normed);
    free(logits);
}

const twin_block *twin_find(const twin *t, const char *name)
{
    for (size_t i = t->n; i-- > 0;)
        if (strcmp(t->blocks[i].name, name) == 0) return &t->blocks[i];
    return NULL;
}

void twin_free(twin *t)
{
    for (size_t i = 0; i < t->n; i++) free(t->blocks[i].x);
    t->n = 0;
}
