/* SPDX-License-Identifier: Apache-2.0 */
/* likeness.h - how far the rows of pictures are from those of the source, where no language model predicts anything
 * from them: the tower's or the projector's output, over all pictures together. */
#ifndef FVLM_VERIFY_LIKENESS_H
#define FVLM_VERIFY_LIKENESS_H

#include "verify/grade.h"

/* Zero at first. */
typedef struct {
    size_t rows;
    double error2, truth2;  /* sums of squares: of the difference, of the source */
    double cosines, lowest; /* sum and lowest of the rows' cosines */
} fvlm_likeness;

/* x of the source, y of the model: [rows, cols]. */
void fvlm_likeness_add(fvlm_likeness *l, const float *x, const float *y, size_t rows, size_t cols);

double fvlm_likeness_error(const fvlm_likeness *l);  /* relative L2 of all rows */
double fvlm_likeness_cosine(const fvlm_likeness *l); /* mean over rows */

/* By the relative error alone; of at least FVLM_MIN_POSITIONS rows. */
bool fvlm_likeness_is_judged(const fvlm_likeness *l);
fvlm_grade fvlm_likeness_grade(const fvlm_likeness *l);
double fvlm_likeness_limit(fvlm_grade g); /* the largest error that still has grade g; not for FVLM_GRADE_BROKEN */

#endif
