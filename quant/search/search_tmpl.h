/* SPDX-License-Identifier: Apache-2.0 */
/* search_tmpl.h - the search for scales and offsets, 16 rows at a time. Plain C, which search_*.c compile once for each
 * instruction set.
 *
 *   The including file defines   SEARCH_NAME   name of the function that comes out: an fvlm_encode_group_fn
 *   and includes before          <math.h>, "quant/search/search.h"; FVLM_TARGET_* (format/base/target.h)
 *
 * The value of code q is scale * q + offset, with bf16 scale and offset. A symmetric type has
 * offset = -zero_point * scale, so one loop serves both. bf16 has only 128 scales per octave, so the search steps
 * through the scales that can be stored, rather than finding a real number and rounding it.
 *
 *   symmetric    step through the magnitudes around |largest| / codes, in both signs (the extreme value may sit on
 *                either end of -2^(b-1) .. 2^(b-1)-1; the longer end usually wins), then halve the stride around
 *                the best.
 *   asymmetric   step through the scales; for each, try three positions of the range and one least-squares step of
 *                the offset from there; then joint least squares from the best, and its neighbours.
 *
 * The winner is compared with plain absmax or minmax in f64, on the codes as they are written, and the better one is
 * kept: "never worse" holds by construction (tests/quant/search/search.c tries to disprove it).
 * Groups are first scaled by a power of two to a largest magnitude in 1..2, which is exact and makes the search
 * independent of the weights' magnitude. */

#include "quant/search/search_group_tmpl.h"

/* A sweep over bf16 scales: count values, stride units in the last place apart. */
typedef struct {
    float from; /* the first, relative to the plain scale */
    int stride, count;
} sweep;

/* Chosen so that the optimum of normal, uniform, Laplace and heavy-tailed groups lies inside
 * (tests/quant/search/search.c tries all scales on small groups). Long groups gain by clipping more, so they start
 * lower. */
static sweep choose_sweep(fvlm_type t, size_t n)
{
    static const sweep table[2][2][2] = {
        /*  group <= 128       longer           */
        {{{0.690f, 8, 16}, {0.350f, 16, 17}},  /* int4 symmetric: of absmax / 7 */
         {{0.680f, 8, 12}, {0.450f, 16, 12}}}, /* int4 asymmetric: of range / 15 */
        {{{0.970f, 1, 54}, {0.745f, 2, 38}},   /* int8 symmetric: of absmax / 127 */
         {{0.950f, 2, 13}, {0.800f, 5, 12}}},  /* int8 asymmetric: of range / 255 */
    };
    return table[t.bits == 8][t.asymmetric][n > 128];
}

/* ---- symmetric ---- */

static void attempt_signs(group *g, lanes scale)
{
    lanes offset;
    for (int sign = 0; sign < 2; sign++) {
        EACH(l) scale.at[l] = -scale.at[l];
        EACH(l) offset.at[l] = -g->zero_point * scale.at[l];
        attempt(g, &scale, &offset);
    }
}

static void search_symmetric(group *g, sweep s)
{
    lanes scale, start;
    EACH(l)
    {
        float largest = g->high.at[l] > -g->low.at[l] ? g->high.at[l] : -g->low.at[l];
        start.at[l] = s.from * largest / (g->zero_point - 1.0f);
    }
    start = to_bf16(start);
    for (int i = 0; i < s.count; i++) attempt_signs(g, step_bf16(start, i * s.stride));
    for (int step = s.stride / 2; step >= 1; step /= 2) {
        lanes centre = g->scale, offset;
        for (int side = -1; side <= 1; side += 2) {
            scale = step_bf16(centre, side * step);
            EACH(l) offset.at[l] = -g->zero_point * scale.at[l];
            attempt(g, &scale, &offset);
        }
    }
}

/* ---- asymmetric ---- */

/* Least-squares offset for codes of this sum. */
static lanes fit_offset(const group *g, const lanes *codes, const lanes *scale)
{
    lanes o;
    EACH(l) o.at[l] = (g->total.at[l] - scale->at[l] * codes->at[l]) / (float)g->n;
    return to_bf16(o);
}

/* Least-squares scale and offset together; the scale once more for the offset as rounded. */
static void fit_both(const group *g, const sums *m, lanes *scale, lanes *offset)
{
    const float n = (float)g->n;
    EACH(l)
    {
        float det = n * m->qq.at[l] - m->q.at[l] * m->q.at[l];
        float s = n * m->xq.at[l] - m->q.at[l] * g->total.at[l];
        scale->at[l] = det > 0.0f ? s / det : scale->at[l];
    }
    *offset = fit_offset(g, &m->q, scale);
    EACH(l)
    {
        float qq = m->qq.at[l];
        float s = m->xq.at[l] - offset->at[l] * m->q.at[l];
        scale->at[l] = qq > 0.0f ? s / qq : scale->at[l];
    }
    *scale = to_bf16(*scale);
}

static void attempt_fitted(group *g, const lanes *scale, const lanes *offset)
{
    lanes codes = attempt(g, scale, offset);
    lanes o = fit_offset(g, &codes, scale);
    attempt(g, scale, &o);
}

static void search_asymmetric(group *g, sweep s)
{
    /* From the bf16 below the least value, or a group far from zero could not reach its own values. */
    lanes base = floor_bf16(g->low), start, scale, offset;
    EACH(l) start.at[l] = s.from * (g->high.at[l] - base.at[l]) / g->top;
    start = to_bf16(start);
    for (int i = 0; i < s.count; i++) {
        scale = step_bf16(start, i * s.stride);
        for (int place = 0; place < 3; place++) {
            const float share = 0.15f + 0.35f * (float)place;
            EACH(l)
            {
                float slack = g->high.at[l] - base.at[l] - g->top * scale.at[l];
                offset.at[l] = base.at[l] + share * slack;
            }
            offset = to_bf16(offset);
            attempt_fitted(g, &scale, &offset);
        }
    }
    for (int round = 0; round < 2; round++) {
        scale = g->scale, offset = g->offset;
        sums m = moments(g, &scale, &offset);
        fit_both(g, &m, &scale, &offset);
        attempt(g, &scale, &offset);
    }
    for (int step = s.stride / 2; step >= 1; step /= 2) {
        lanes centre = g->scale, beside = g->offset;
        for (int side = -1; side <= 1; side += 2) {
            scale = step_bf16(centre, side * step);
            EACH(l) offset.at[l] = beside.at[l] + (centre.at[l] - scale.at[l]) * g->top * 0.5f;
            offset = to_bf16(offset);
            attempt_fitted(g, &scale, &offset);
        }
    }
}

/* ---- the group ---- */

/* The codes as they are stored, and their squared error in f64. q may be NULL. */
static void final_codes(const group *g, const lanes *scale, const lanes *offset, uint8_t *q, double *error)
{
    double e[LANES] = {0}, inverse_ok[LANES], s[LANES], o[LANES];
    const double top = (double)g->top;
    EACH(l)
    {
        inverse_ok[l] = scale->at[l] == 0.0f ? 0.0 : 1.0;
        s[l] = scale->at[l] == 0.0f ? 1.0 : (double)scale->at[l];
        o[l] = (double)offset->at[l];
    }
    const float *x = g->x;
    for (size_t k = 0; k < g->n; k++, x += LANES) {
        double t[LANES];
        EACH(l)
        {
            t[l] = ((double)x[l] - o[l]) / s[l] * inverse_ok[l];
            t[l] = t[l] < 0.0 ? 0.0 : t[l];
            t[l] = t[l] > top ? top : t[l];
            t[l] = (t[l] + ROUND_F64) - ROUND_F64;
            double d = (double)x[l] - (double)(scale->at[l] * (float)t[l] + offset->at[l]);
            e[l] += d * d;
        }
        if (q) EACH(l) q[k * LANES + (size_t)l] = (uint8_t)(int)t[l];
    }
    EACH(l) error[l] = e[l];
}

/* Brings every lane to largest magnitude 1..2; factor[l] is what undoes it. Lanes of (next to) nothing
 * become zeros with factor 0. */
static void normalize(group *g, const float *x, float *scratch, float *factor)
{
    lanes up, largest = {{0}};
    for (size_t i = 0; i < g->n * LANES; i += LANES) EACH(l)
        {
            float a = x[i + (size_t)l] < 0.0f ? -x[i + (size_t)l] : x[i + (size_t)l];
            largest.at[l] = a > largest.at[l] ? a : largest.at[l];
        }
    EACH(l)
    {
        bool empty = largest.at[l] < FVLM_ENCODE_MIN;
        uint32_t u = fvlm_f32_bits(largest.at[l]) & 0x7f800000u; /* 2^e with 1 <= largest / 2^e < 2 */
        factor[l] = empty ? 0.0f : fvlm_f32_from_bits(u);
        up.at[l] = empty ? 0.0f : fvlm_f32_from_bits((254u << 23) - u); /* the inverse power */
    }
    EACH(l) g->low.at[l] = 4.0f, g->high.at[l] = -4.0f, g->total.at[l] = 0.0f;
    for (size_t i = 0; i < g->n * LANES; i += LANES) EACH(l)
        {
            float v = x[i + (size_t)l] * up.at[l];
            scratch[i + (size_t)l] = v;
            g->low.at[l] = v < g->low.at[l] ? v : g->low.at[l];
            g->high.at[l] = v > g->high.at[l] ? v : g->high.at[l];
            g->total.at[l] += v;
        }
    g->x = scratch;
}

/* A lane whose values all equal c: offset = c truncated to bf16, scale = the remainder, every code 1, so that c keeps
 * 16 bits of precision instead of 8. */
static void flat_lanes(group *g)
{
    EACH(l)
    {
        float c = g->low.at[l];
        if (c != g->high.at[l]) continue;
        float cut = fvlm_f32_from_bits(fvlm_f32_bits(c) & 0xffff0000u);
        g->scale.at[l] = fvlm_bf16_to_f32(fvlm_f32_to_bf16(c - cut));
        g->offset.at[l] = cut;
    }
}

void SEARCH_NAME(fvlm_encode_group *out)
{
    const fvlm_type t = out->type;
    group g = {.n = out->n, .top = t.bits == 8 ? 255.0f : 15.0f, .zero_point = t.bits == 8 ? 128.0f : 8.0f};
    float factor[LANES];
    lanes s, o;
    double plain_error[LANES];
    normalize(&g, out->x, out->scratch, factor);
    plain(&g, t.asymmetric, &s, &o);
    final_codes(&g, &s, &o, NULL, plain_error);
    EACH(l) g.error.at[l] = INFINITY, g.scale.at[l] = s.at[l], g.offset.at[l] = o.at[l];
    if (t.asymmetric)
        search_asymmetric(&g, choose_sweep(t, g.n));
    else
        search_symmetric(&g, choose_sweep(t, g.n));
    if (t.asymmetric) flat_lanes(&g);
    final_codes(&g, &g.scale, &g.offset, NULL, out->error);
    EACH(l)
    {
        bool better = out->error[l] < plain_error[l];
        s.at[l] = better ? g.scale.at[l] : s.at[l];
        o.at[l] = better ? g.offset.at[l] : o.at[l];
    }
    EACH(l) if (factor[l] == 0.0f) s.at[l] = 0.0f, o.at[l] = 0.0f;
    final_codes(&g, &s, &o, out->q, out->error);
    EACH(l)
    {
        out->scale[l] = s.at[l] * factor[l];
        out->offset[l] = t.asymmetric ? o.at[l] * factor[l] : 0.0f;
        out->error[l] *= (double)factor[l] * (double)factor[l];
    }
    /* A symmetric group of zeros has scale 0; its codes are those of zero, too. */
    if (!t.asymmetric)
        for (size_t i = 0; i < g.n * LANES; i++)
            if (factor[i % LANES] == 0.0f) out->q[i] = (uint8_t)g.zero_point;
}
