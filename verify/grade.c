/* SPDX-License-Identifier: Apache-2.0 */
/* grade.c - see grade.h.
 *
 * Where the limits come from. llama.cpp publishes what its types cost beside what its users are told about them: the
 * table in tools/perplexity/README.md (Llama 3 8B on Wikitext-2) and the words of its quantize tool for each type.
 *
 *                mean KL   same top   RMS dp     said of it
 *   Q8_0         0.0014     97.7 %     1.2 %     extremely low quality loss
 *   Q6_K         0.0055     96.0 %     2.3 %     extremely low quality loss
 *   Q5_K_M       0.011                 3.2 %     very low quality loss, recommended
 *   Q4_K_M       0.031      91.9 %     5.5 %     balanced quality, recommended
 *   Q4_K_S       0.043                 6.6 %     greater quality loss
 *   Q4_0         0.072                 8.4 %     very high quality loss, legacy
 *   Q3_K_M       0.10                 10.2 %     very high quality loss
 *   Q3_K_S       0.23                 15.5 %     very high quality loss
 *   Q2_K         0.45       71.1 %    21.4 %     extreme quality loss, not recommended
 *
 * So mean KL and RMS dp end "indistinguishable" above Q6_K, "close" above Q4_K_S and "visibly worse" above Q2_K.
 *
 * "Same top" cannot be taken over. Wikitext was written by people, and a model is unsure of half its words. We follow
 * the source's own greedy answer, of which it is sure, and each token that differs there makes another answer. Of
 * answers of 30 tokens, 1 %, 2.5 % and 15 % of differing tokens change 26 %, 53 % and 99 %. On the small trained model
 * (20 held-out pictures, 262 positions, f32 activations; tests/bench/bounds.py):
 *
 *                    mean KL   same top   RMS dp    answers that changed
 *   int8             0.00002   100 %       0.2 %     0 of 28
 *   int4             0.0012    100 %       1.9 %     0
 *   int4-asym-g64    0.0095     99.6 %     5.5 %     1
 *   int4-asym-row    0.015      99.2 %     6.6 %     2
 *   int4-sym-g32     0.052      98.5 %     9.0 %     4
 *   int4-sym-row     0.076      97.7 %    10.4 %     6
 *
 * A model of random weights is never sure, so that its likeliest tokens change at the least rounding: of a full-size
 * 0.5B int8 keeps mean KL (0.013) and RMS dp (2.5 %) low and yet changes one likeliest token in ten. It is graded
 * visibly worse, and the report says that the source is unsure where its likeliest tokens have less than a half on
 * average. */
#include <stdio.h>

#include "verify/grade.h"

static const double limits[FVLM_N_FIGURES][FVLM_GRADE_BROKEN] = {
    [FVLM_FIGURE_KL] = {0.006, 0.05, 0.45},
    [FVLM_FIGURE_TOP1] = {0.99, 0.975, 0.85},
    [FVLM_FIGURE_RMS_DP] = {0.025, 0.07, 0.215},
};

const char *fvlm_grade_name(fvlm_grade g)
{
    static const char *const names[] = {"indistinguishable", "close", "visibly worse", "broken"};
    return names[g];
}

const char *fvlm_figure_name(fvlm_figure f)
{
    static const char *const names[] = {"mean KL divergence", "same likeliest token", "RMS change of probability"};
    return names[f];
}

const char *fvlm_figure_text(fvlm_figure f, double value, char out[32])
{
    if (f == FVLM_FIGURE_KL)
        snprintf(out, 32, "%.3g", value);
    else
        snprintf(out, 32, "%.4g %%", 100 * value);
    return out;
}

double fvlm_grade_limit(fvlm_figure f, fvlm_grade g)
{
    return limits[f][g];
}

fvlm_estimate fvlm_figure_of(const fvlm_statistics *s, fvlm_figure f)
{
    return f == FVLM_FIGURE_KL ? s->kl : f == FVLM_FIGURE_TOP1 ? s->top1 : s->rms_dp;
}

static fvlm_grade grade_value(fvlm_figure f, double value)
{
    fvlm_grade g = FVLM_GRADE_INDISTINGUISHABLE;
    /* Negated comparisons: what is not a number is broken. */
    while (g < FVLM_GRADE_BROKEN && (f == FVLM_FIGURE_TOP1 ? !(value >= limits[f][g]) : !(value <= limits[f][g]))) g++;
    return g;
}

fvlm_grading fvlm_grade_statistics(const fvlm_statistics *s, size_t positions)
{
    fvlm_grading out = {.judged = positions >= FVLM_MIN_POSITIONS, .positions = positions};
    for (fvlm_figure f = 0; f < FVLM_N_FIGURES; f++) {
        const fvlm_estimate e = fvlm_figure_of(s, f);
        const bool rising = f == FVLM_FIGURE_TOP1; /* more is better */
        const fvlm_grade at = grade_value(f, e.value), better = grade_value(f, rising ? e.high : e.low),
                         worse = grade_value(f, rising ? e.low : e.high);
        out.figures[f] = at;
        if (at > out.grade) out.decisive = f;
        if (at > out.grade) out.grade = at;
        if (better > out.low) out.low = better;
        if (worse > out.high) out.high = worse;
    }
    return out;
}
