/* SPDX-License-Identifier: Apache-2.0 */
/* search_group_tmpl.h - sixteen groups side by side, one per lane: the error of codes with a given scale and offset,
 * and the best scale and offset so far. Plain C; search_tmpl.h includes it, once for each
 * instruction set. */

#define LANES FVLM_PANEL
#define EACH(l) for (int l = 0; l < LANES; l++)

/* Adding and subtracting these rounds to the nearest integer, ties to even, on every machine. */
#define ROUND_F32 0x1.8p23f
#define ROUND_F64 0x1.8p52

typedef struct {
    float at[LANES];
} lanes;

typedef struct {
    lanes q, qq, xq; /* sums over the group of q, q^2, x*q */
} sums;

typedef struct {
    const float *x; /* [n][16], scaled so that the largest magnitude of a lane is in 1..2 */
    size_t n;
    float top;                  /* largest code */
    float zero_point;           /* symmetric: offset = -zero_point * scale */
    lanes low, high;            /* extremes of a lane */
    lanes total;                /* sum of x */
    lanes scale, offset, error; /* the best so far */
} group;

/* The nearest bf16 value of a finite v. */
static lanes to_bf16(lanes v)
{
    EACH(l)
    {
        uint32_t u = fvlm_f32_bits(v.at[l]);
        u = (u + 0x7fffu + (u >> 16 & 1u)) & 0xffff0000u;
        v.at[l] = fvlm_f32_from_bits(u);
    }
    return v;
}

/* The bf16 value 'steps' units in the last place away from zero (towards it if negative). */
static lanes step_bf16(lanes v, int steps)
{
    EACH(l)
    {
        uint32_t u = fvlm_f32_bits(v.at[l]);
        u += (uint32_t)steps << 16;
        v.at[l] = fvlm_f32_from_bits(u);
    }
    return v;
}

/* Rounds to bf16 towards minus infinity. */
static lanes floor_bf16(lanes v)
{
    EACH(l)
    {
        uint32_t u = fvlm_f32_bits(v.at[l]);
        uint32_t away = u >> 31 ? 0xffffu : 0u;
        u = (u + away) & 0xffff0000u;
        v.at[l] = fvlm_f32_from_bits(u);
    }
    return v;
}

/* The squared error of codes with this scale and offset, and the sum of the codes. Quantization spends its time in
 * this loop. */
static void measure(const group *g, const lanes *scale, const lanes *offset, lanes *error, lanes *codes)
{
    float s[LANES], o[LANES], inverse[LANES], e[LANES] = {0}, q[LANES] = {0};
    const float top = g->top;
    EACH(l)
    {
        s[l] = scale->at[l];
        o[l] = offset->at[l];
        inverse[l] = s[l] == 0.0f ? 0.0f : 1.0f / s[l];
    }
    const float *x = g->x;
    for (size_t k = 0; k < g->n; k++, x += LANES) EACH(l)
        {
            float t = (x[l] - o[l]) * inverse[l];
            t = t < 0.0f ? 0.0f : t;
            t = t > top ? top : t;
            t = (t + ROUND_F32) - ROUND_F32;
            float d = x[l] - (s[l] * t + o[l]);
            e[l] += d * d;
            q[l] += t;
        }
    EACH(l) error->at[l] = e[l], codes->at[l] = q[l];
}

/* The sums that a least-squares fit to the same codes needs. */
static sums moments(const group *g, const lanes *scale, const lanes *offset)
{
    sums m = {0};
    for (size_t k = 0; k < g->n; k++) EACH(l)
        {
            float x = g->x[k * LANES + (size_t)l], s = scale->at[l];
            float t = (x - offset->at[l]) * (s == 0.0f ? 0.0f : 1.0f / s);
            t = t < 0.0f ? 0.0f : t;
            t = t > g->top ? g->top : t;
            t = (t + ROUND_F32) - ROUND_F32;
            m.q.at[l] += t;
            m.qq.at[l] += t * t;
            m.xq.at[l] += x * t;
        }
    return m;
}

/* Measures a scale and offset, and keeps them in g for the lanes where they are the best so far. Returns the sum of the
 * codes. */
static lanes attempt(group *g, const lanes *scale, const lanes *offset)
{
    lanes error, codes;
    measure(g, scale, offset, &error, &codes);
    EACH(l)
    {
        bool better = error.at[l] < g->error.at[l];
        g->error.at[l] = better ? error.at[l] : g->error.at[l];
        g->scale.at[l] = better ? scale->at[l] : g->scale.at[l];
        g->offset.at[l] = better ? offset->at[l] : g->offset.at[l];
    }
    return codes;
}

/* Plain absmax or minmax, rounded to the bf16 that would be stored. */
static void plain(const group *g, bool asymmetric, lanes *scale, lanes *offset)
{
    EACH(l)
    {
        float low = g->low.at[l], high = g->high.at[l];
        float largest = high > -low ? high : -low;
        scale->at[l] = asymmetric ? (high - low) / g->top : largest / (g->zero_point - 1.0f);
        offset->at[l] = low;
    }
    *scale = to_bf16(*scale);
    *offset = to_bf16(*offset);
    if (!asymmetric) EACH(l) offset->at[l] = -g->zero_point * scale->at[l];
}
