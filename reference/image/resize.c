/* SPDX-License-Identifier: Apache-2.0 */
/* resize.c - Pillow's bicubic, bit for bit.
 *
 * The filter is Keys' cubic with a = -0.5, widened when shrinking (antialiasing). Weights are computed and normalized
 * in double, then rounded to 22-bit fixed point. Two passes over uint8: horizontal first, rounded and clipped to uint8,
 * then vertical. (Pillow 13 swaps them when the height shrinks much more than the width, which never happens to a
 * square.) The sums are integers, so their order is free, and the passes are arranged for speed: 16 rows at a time are
 * transposed, so that the horizontal pass runs over 48 neighbouring bytes (16 rows x RGB) with one weight. Each
 * resulting row is then added to the few output rows whose windows reach it. Only the output's sums and 16 input rows
 * are held. */
#include "reference/image/resize.h"

#include <math.h>
#include <stdlib.h>

#include "format/base/cpu.h"
#include "format/base/target.h"

enum { WEIGHT_BITS = 32 - 8 - 2, ROWS = 16, LANES = 3 * ROWS };

/* One output sample is the sum of weights[offset + i] * input[first + i], i < count. */
typedef struct {
    uint32_t first, count;
    size_t offset;
} window;

typedef struct {
    window *windows; /* [n_out]; first and first + count never decrease */
    int32_t *weights;
    uint32_t n_out;
} filter;

/* Integers only, so the result does not depend on the instruction set. */
typedef struct {
    void (*resample)(const filter *f, const uint8_t *tile, uint8_t *across);
    void (*add)(int32_t *sums, const uint8_t *row, size_t n, int32_t weight);
    void (*round)(const int32_t *sums, size_t n, uint8_t *out);
} resize_passes;

#define PASSES(name) name##__baseline
#include "reference/image/resize_tmpl.h"
#undef PASSES
#if defined(__x86_64__)
#define PASSES(name) name##__avx2
FVLM_TARGET_AVX2
#include "reference/image/resize_tmpl.h"
FVLM_TARGET_END
#undef PASSES
#define PASSES(name) name##__avx512
FVLM_TARGET_AVX512
#include "reference/image/resize_tmpl.h"
FVLM_TARGET_END
#endif

static const resize_passes *const passes_for[FVLM_CPU_COUNT] = {
#if defined(__x86_64__)
    [FVLM_CPU_AVX2] = &passes__avx2,
    [FVLM_CPU_AVX512] = &passes__avx512,
#else
    [FVLM_CPU_NEON] = &passes__baseline, /* NEON is AArch64's baseline */
    [FVLM_CPU_DOTPROD] = &passes__baseline,
#endif
    [FVLM_CPU_SCALAR] = &passes__baseline,
};

struct fvlm_resizer {
    fvlm_resize_plan plan;
    const resize_passes *passes;
    filter horizontal, vertical;
    uint8_t *tile;       /* [width][3][ROWS]: transposed input rows */
    uint8_t *across;     /* [out_width][3][ROWS]: after the horizontal pass */
    uint8_t *row;        /* [out_width][3] */
    int32_t *sums;       /* [out_height][out_width][3] */
    size_t from, to;     /* the part of a row that the image touches; the rest is black */
    uint32_t n_rows;     /* pushed so far */
    uint32_t n_tile;     /* of them, waiting in tile */
    uint32_t first_open; /* first output row whose window may need more input rows */
};

static double bicubic(double x)
{
    const double a = -0.5;
    x = fabs(x);
    if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
    if (x < 2.0) return (((x - 5) * x + 8) * x - 4) * a;
    return 0.0;
}

static int32_t to_fixed(double w)
{
    const double scaled = w * (1 << WEIGHT_BITS);
    return (int32_t)(w < 0 ? scaled - 0.5 : scaled + 0.5);
}

/* Weights of output sample o over the whole canvas [0, n_canvas) into w; returns their number, *first the
 * first input. The expressions are Pillow's, operation by operation. */
static uint32_t canvas_window(uint32_t o, uint32_t n_canvas, uint32_t n_out, double *w, uint32_t *first)
{
    const double scale = (double)n_canvas / n_out;
    const double filterscale = scale < 1.0 ? 1.0 : scale;
    const double support = 2.0 * filterscale, inverse = 1.0 / filterscale;
    const double center = (o + 0.5) * scale;
    double from = center - support + 0.5, to = center + support + 0.5, sum = 0.0;
    if (from < 0) from = 0;
    if (to > n_canvas) to = n_canvas;
    const uint32_t lo = (uint32_t)from, n = (uint32_t)to - lo;
    for (uint32_t i = 0; i < n; i++) {
        w[i] = bicubic((i + (double)lo - center + 0.5) * inverse);
        sum += w[i];
    }
    for (uint32_t i = 0; i < n; i++)
        if (sum != 0.0) w[i] /= sum;
    *first = lo;
    return n;
}

static void filter_free(filter *f)
{
    free(f->windows);
    free(f->weights);
    *f = (filter){0};
}

/* Windows over the image's n_in samples, which begin at sample n_before of the canvas. */
static bool filter_make(filter *f, uint32_t n_in, uint32_t n_before, uint32_t n_canvas, uint32_t n_out)
{
    const double scale = (double)n_canvas / n_out;
    const size_t widest = (size_t)ceil(2.0 * (scale < 1.0 ? 1.0 : scale)) * 2 + 1;
    double *w = fvlm_alloc(widest, sizeof *w);
    f->n_out = n_out;
    f->windows = fvlm_alloc(n_out, sizeof *f->windows);
    f->weights = fvlm_alloc(n_out, (widest < n_in ? widest : n_in) * sizeof *f->weights);
    bool ok = w && f->windows && f->weights;
    size_t n_weights = 0;
    for (uint32_t o = 0; ok && o < n_out; o++) {
        uint32_t lo, n = canvas_window(o, n_canvas, n_out, w, &lo), hi = lo + n;
        const uint32_t from = lo < n_before ? n_before : lo;
        const uint32_t to = hi > n_before + n_in ? n_before + n_in : hi;
        window *v = &f->windows[o];
        *v = (window){.first = from - n_before, .count = to > from ? to - from : 0, .offset = n_weights};
        if (v->first > n_in) v->first = n_in; /* entirely in the black after the image */
        for (uint32_t i = 0; i < v->count; i++) f->weights[n_weights++] = to_fixed(w[from - lo + i]);
    }
    free(w);
    if (!ok) filter_free(f);
    return ok;
}

/* The output columns whose windows reach the image follow each other. */
static void find_touched(fvlm_resizer *r)
{
    const filter *f = &r->horizontal;
    size_t from = 0, to = f->n_out;
    while (from < to && !f->windows[from].count) from++;
    while (to > from && !f->windows[to - 1].count) to--;
    r->from = 3 * from;
    r->to = 3 * to;
}

fvlm_status fvlm_resizer_create(fvlm_resizer **out, const fvlm_resize_plan *p, const char *cpu, fvlm_err *err)
{
    fvlm_cpu level;
    *out = NULL;
    const fvlm_status st = fvlm_cpu_select(&level, cpu, err);
    if (st) return st;
    fvlm_resizer *r = *out = fvlm_alloc(1, sizeof *r);
    if (r) {
        r->plan = *p;
        r->passes = passes_for[level];
        r->tile = fvlm_alloc(p->width, LANES);
        r->across = fvlm_alloc(p->out_width, LANES);
        r->row = fvlm_alloc(p->out_width, 3);
        r->sums = fvlm_alloc(p->out_height, (size_t)p->out_width * 3 * sizeof *r->sums);
        if (r->tile && r->across && r->row && r->sums &&
            filter_make(&r->horizontal, p->width, p->left, p->canvas_width, p->out_width) &&
            filter_make(&r->vertical, p->height, p->top, p->canvas_height, p->out_height)) {
            find_touched(r);
            return FVLM_OK;
        }
    }
    fvlm_resizer_destroy(out);
    return fvlm_fail_nomem(err);
}

void fvlm_resizer_destroy(fvlm_resizer **r)
{
    if (!*r) return;
    filter_free(&(*r)->horizontal);
    filter_free(&(*r)->vertical);
    free((*r)->tile);
    free((*r)->across);
    free((*r)->row);
    free((*r)->sums);
    free(*r);
    *r = NULL;
}

/* Adds input row y, already resampled across, to every output row that sees it. */
static void scatter_row(fvlm_resizer *r, uint32_t y)
{
    const filter *f = &r->vertical;
    const size_t n = (size_t)r->plan.out_width * 3;
    while (r->first_open < f->n_out && f->windows[r->first_open].first + f->windows[r->first_open].count <= y)
        r->first_open++;
    for (uint32_t o = r->first_open; o < f->n_out && f->windows[o].first <= y; o++) {
        const window v = f->windows[o];
        if (y - v.first >= v.count) continue;
        const int32_t weight = f->weights[v.offset + (y - v.first)];
        if (weight) r->passes->add(r->sums + o * n + r->from, r->row + r->from, r->to - r->from, weight);
    }
}

static void flush_tile(fvlm_resizer *r)
{
    r->passes->resample(&r->horizontal, r->tile, r->across);
    for (uint32_t i = 0; i < r->n_tile; i++) {
        for (size_t j = r->from; j < r->to; j++) r->row[j] = r->across[j * ROWS + i];
        scatter_row(r, r->n_rows - r->n_tile + i);
    }
    r->n_tile = 0;
}

void fvlm_resizer_push(fvlm_resizer *r, const uint8_t *rgb)
{
    if (r->n_rows >= r->plan.height) return;
    const size_t n = (size_t)r->plan.width * 3;
    for (size_t j = 0; j < n; j++) r->tile[j * ROWS + r->n_tile] = rgb[j];
    r->n_rows++;
    if (++r->n_tile == ROWS || r->n_rows == r->plan.height) flush_tile(r);
}

void fvlm_resizer_get(fvlm_resizer *r, uint8_t *rgb)
{
    r->passes->round(r->sums, (size_t)r->plan.out_height * r->plan.out_width * 3, rgb);
}
