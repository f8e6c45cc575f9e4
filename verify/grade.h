/* SPDX-License-Identifier: Apache-2.0 */
/* grade.h - what the statistics of predictions (agreement.h) mean for a person who reads the answers. */
#ifndef FVLM_VERIFY_GRADE_H
#define FVLM_VERIFY_GRADE_H

#include "verify/agreement.h"

/* Fewer positions are not judged. */
enum { FVLM_MIN_POSITIONS = 256 };

typedef enum {
    FVLM_GRADE_INDISTINGUISHABLE,
    FVLM_GRADE_CLOSE,
    FVLM_GRADE_VISIBLY_WORSE,
    FVLM_GRADE_BROKEN,
    FVLM_N_GRADES
} fvlm_grade;

/* The figures that are graded: the mean KL divergence, the share of positions with the same likeliest token, and the
 * root mean square change of the right token's probability. */
typedef enum { FVLM_FIGURE_KL, FVLM_FIGURE_TOP1, FVLM_FIGURE_RMS_DP, FVLM_N_FIGURES } fvlm_figure;

typedef struct {
    bool judged; /* positions >= FVLM_MIN_POSITIONS */
    size_t positions;
    fvlm_grade grade;     /* the worst of the figures' */
    fvlm_grade low, high; /* the same at the better and at the worse end of every figure's standard error */
    fvlm_figure decisive; /* the first figure of that grade */
    fvlm_grade figures[FVLM_N_FIGURES];
} fvlm_grading;

fvlm_grading fvlm_grade_statistics(const fvlm_statistics *s, size_t positions);

const char *fvlm_grade_name(fvlm_grade g); /* "indistinguishable", "close", "visibly worse", "broken" */
const char *fvlm_figure_name(fvlm_figure f);
const char *fvlm_figure_text(fvlm_figure f, double value, char out[32]); /* "0.0271", "97.5 %"; returns out */

/* The worst value that still has grade g; not for FVLM_GRADE_BROKEN. For top-1 a least value, else a greatest. */
double fvlm_grade_limit(fvlm_figure f, fvlm_grade g);
fvlm_estimate fvlm_figure_of(const fvlm_statistics *s, fvlm_figure f);

#endif
