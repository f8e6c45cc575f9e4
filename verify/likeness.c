/* SPDX-License-Identifier: Apache-2.0 */
/* likeness.c - see likeness.h.
 *
 * Where the limits come from: on the small trained model, vision and projector were quantized in 29 ways and the
 * language model was left alone, so that the error of the rows could be set beside what it does to answers (6 held-out
 * pictures, 258 positions, 55 answers, both activation modes, 2026-11). Errors are those of the projector's rows:
 *
 *   error          mean KL          same top      RMS dp          answers that changed
 *   0.011-0.045    0.00003-0.0009   100-99.6 %    0.3-1.7 %       0 or 1
 *   0.058-0.095    0.0009-0.0014    100-99.2 %    1.3-2.0 %       0 to 2
 *   0.106          0.003            98.8 %        3 %             3
 *   0.22-0.25      0.012-0.024      99.2-97.7 %   4.3-7.6 %       2 to 6
 *   0.38-0.48      0.03-0.05        98.8-96.9 %   8.5-11 %        2 to 7
 *   0.49-0.58      0.06-0.12        96.9-96.1 %   11-16 %         7 to 9
 *
 * The limits are where the grades of predictions (grade.c) change in this table. "broken" was not seen. Another
 * language model may be more or less sensitive, and so may what users do with the tower's rows themselves. */
#include <math.h>

#include "verify/divergence.h"
#include "verify/likeness.h"

static const double limits[FVLM_GRADE_BROKEN] = {0.08, 0.20, 0.60};

void fvlm_likeness_add(fvlm_likeness *l, const float *x, const float *y, size_t rows, size_t cols)
{
    for (size_t i = 0; i < rows; i++, x += cols, y += cols) {
        const fvlm_distance d = fvlm_divergence_distance(x, y, cols);
        double truth2 = 0;
        for (size_t k = 0; k < cols; k++) truth2 += (double)x[k] * (double)x[k];
        l->truth2 += truth2;
        l->error2 += truth2 > 0 ? d.relative_l2 * d.relative_l2 * truth2 : d.relative_l2;
        l->cosines += d.cosine;
        l->lowest = l->rows == 0 || d.cosine < l->lowest ? d.cosine : l->lowest;
        l->rows++;
    }
}

/* A row of zeros that is not zero in the model counts as infinitely wrong. */
double fvlm_likeness_error(const fvlm_likeness *l)
{
    return l->truth2 > 0 ? sqrt(l->error2 / l->truth2) : l->error2 > 0 ? INFINITY : 0;
}

double fvlm_likeness_cosine(const fvlm_likeness *l)
{
    return l->rows ? l->cosines / (double)l->rows : 0;
}

bool fvlm_likeness_is_judged(const fvlm_likeness *l)
{
    return l->rows >= FVLM_MIN_POSITIONS;
}

fvlm_grade fvlm_likeness_grade(const fvlm_likeness *l)
{
    fvlm_grade g = FVLM_GRADE_INDISTINGUISHABLE;
    while (g < FVLM_GRADE_BROKEN && !(fvlm_likeness_error(l) <= limits[g])) g++;
    return g;
}

double fvlm_likeness_limit(fvlm_grade g)
{
    return limits[g];
}
