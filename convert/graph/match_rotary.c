/* SPDX-License-Identifier: Apache-2.0 */
/* match_rotary.c - rotary embeddings by their numbers (Su et al. 2021, in the order of transformers' rotate_half): the
 * pair (i, i + dim / 2) is rotated by position * theta^(-2i / dim). theta is recovered from the angles. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "convert/graph/match_heads.h"

/* What the exporter's arithmetic may change. In f32: a frequency is off by a few 1e-8, relatively, and the angle is
 * rounded again. In fp16: frequencies, angles, cosines are rounded to 11 bits. */
#define ANGLE_F32 4e-7
#define VALUE_F32 2e-6
#define ANGLE_F16 1e-3
#define VALUE_F16 1e-3

static double frequency(double theta, uint64_t i, uint64_t dim)
{
    return pow(theta, -2.0 * (double)i / (double)dim);
}

/* The factor of one element of the source in e; 0 if it is not there. *others: terms with other elements. */
static double factor_of(const fvlm_origin *e, uint32_t a, uint32_t b, bool first, bool *others)
{
    double x = 0;
    for (unsigned k = 0; k < e->n; k++) {
        if (e->index[k] == (first ? a : b)) x += e->factor[k];
        if (e->index[k] != a && e->index[k] != b && e->factor[k] != 0) *others = true;
    }
    return x;
}

bool fvlm_rope_check(const fvlm_rope *rope, const fvlm_rope_pair *p, double scale, double *angle, double *wanted)
{
    const uint32_t a = p->index, b = (uint32_t)(p->index + p->dim / 2);
    bool others = false;
    const double c0 = factor_of(p->first, a, b, true, &others) / scale;
    const double s0 = -factor_of(p->first, a, b, false, &others) / scale;
    const double s1 = factor_of(p->second, a, b, true, &others) / scale;
    const double c1 = factor_of(p->second, a, b, false, &others) / scale;
    *wanted = (double)p->position * frequency(rope->theta, p->i, p->dim);
    *angle = others || !(scale > 0) ? NAN : atan2(s0, c0) + 0.0; /* no -0 */
    const double allowed = (p->coarse ? VALUE_F16 : VALUE_F32) + *wanted * (p->coarse ? ANGLE_F16 : ANGLE_F32);
    const double c = cos(*wanted), s = sin(*wanted);
    return !others && scale > 0 && fabs(c0 - c) <= allowed && fabs(c1 - c) <= allowed && fabs(s0 - s) <= allowed &&
           fabs(s1 - s) <= allowed;
}

/* The number with the fewest digits that is this close to x. */
static double rounded(double x, double relative)
{
    for (int digits = 0; digits < 17; digits++) {
        char text[40];
        snprintf(text, sizeof text, "%.*e", digits, x);
        const double y = strtod(text, NULL);
        if (fabs(y - x) <= relative * x) return y;
    }
    return x;
}

/* A theta that explains this angle of pair i. The highest pair whose sine is well above rounding is the best witness.
 * *best: the angle that theta was taken from so far. */
static void consider(fvlm_rope *rope, double *best, double angle, double position, uint64_t i, uint64_t half,
                     bool coarse)
{
    if (!(angle > *best) || *best >= 1e-3) return;
    *best = angle;
    rope->theta =
        rounded(pow(angle / position, -(double)half / (double)i), (coarse ? 2e-3 : 4e-6) * (double)half / (double)i);
}

static bool plausible(fvlm_rope *rope)
{
    if (rope->theta >= FVLM_MIN_ROPE_THETA && rope->theta <= FVLM_MAX_ROPE_THETA) return true;
    rope->theta = 0;
    return false;
}

/* From head 0 at its first new position that is not 0. */
fvlm_status fvlm_rope_estimate(fvlm_rope *rope, const fvlm_heads *h, uint64_t from, const fvlm_net *net, fvlm_err *err)
{
    const uint64_t p = h->start + from ? from : from + 1, half = h->dim / 2;
    if (p >= h->positions)
        return fvlm_match_expected(net, h->value, "one", err, "more than one position, to recover theta from");
    const fvlm_origin *e = &h->origins.elems[p * h->dim];
    double best = 0;
    for (uint64_t i = half - 1; i > 0; i--) {
        if (e[i].n != 2) continue;
        const unsigned low = e[i].index[0] < e[i].index[1] ? 0 : 1;
        consider(rope, &best, fabs(atan2(fabs(e[i].factor[1 - low]), e[i].factor[low])), (double)(h->start + p), i,
                 half, h->origins.coarse);
    }
    if (plausible(rope)) return FVLM_OK;
    return fvlm_match_expected(net, h->value, "another order or other angles", err,
                               "heads rotated by their positions in pairs (i, i + %" PRIu64
                               "), angles position * theta^(-2i/%" PRIu64 ")",
                               half, h->dim);
}

/* From row 1. */
static bool estimate_from_tables(fvlm_rope *rope, const fvlm_net_value *cosines, const fvlm_net_value *sines,
                                 uint64_t half, bool coarse)
{
    double best = 0, c, s;
    for (uint64_t i = half; i-- > 1;)
        if (fvlm_origin_number(&c, cosines, half + i) && fvlm_origin_number(&s, sines, half + i))
            consider(rope, &best, fabs(atan2(s, c)), 1, i, half, coarse);
    return plausible(rope);
}

fvlm_status fvlm_rope_check_tables(fvlm_rope *rope, const fvlm_net *net, const fvlm_net_node *n,
                                   const fvlm_net_value *cosines, const fvlm_net_value *sines, fvlm_err *err)
{
    if (rope->checked_cos == cosines && rope->checked_sin == sines) return FVLM_OK;
    const uint64_t half = cosines->rank ? cosines->dims[cosines->rank - 1] : 0,
                   rows = half ? cosines->n_elems / half : 0;
    const bool coarse = cosines->type == FVLM_ONNX_F16 || cosines->type == FVLM_ONNX_BF16;
    if (cosines->n_elems != sines->n_elems ||
        (rope->theta <= 0 && !estimate_from_tables(rope, cosines, sines, half, coarse)))
        return fvlm_match_expected(net, n->outputs[0], "others", err,
                                   "tables of cosines and sines of position * "
                                   "theta^(-2i/dim)");
    for (uint64_t i = 0; i < half; i++) {
        const double f = frequency(rope->theta, i, 2 * half);
        for (uint64_t p = 0; p < rows; p++) {
            const double angle = (double)p * f;
            const double allowed = (coarse ? VALUE_F16 : VALUE_F32) + angle * ANGLE_F32;
            double c, s;
            if (!fvlm_origin_number(&c, cosines, p * half + i) || !fvlm_origin_number(&s, sines, p * half + i))
                return fvlm_match_expected(net, n->outputs[0], "others", err, "tables that are stored as floats");
            if (fabs(c - cos(angle)) > allowed || fabs(s - sin(angle)) > allowed) {
                char found[80];
                snprintf(found, sizeof found, "%.9g and %.9g", c, s);
                return fvlm_match_expected(net, n->outputs[0], found, err,
                                           "cosine and sine of %.9g at row %" PRIu64 ", column %" PRIu64
                                           " of the rotary tables, theta %g",
                                           angle, p, i, rope->theta);
            }
        }
    }
    rope->checked_cos = cosines;
    rope->checked_sin = sines;
    return FVLM_OK;
}
