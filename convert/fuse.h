/* SPDX-License-Identifier: Apache-2.0 */
/* fuse.h - computes the fused weight and bias of a recipe, row by row, in f64. See recipe.h for the formula. */
#ifndef FVLM_CONVERT_FUSE_H
#define FVLM_CONVERT_FUSE_H

#include "convert/recipe.h"

/* The vectors that all rows share, computed once for a recipe. */
typedef struct {
    const fvlm_recipe *m;
    double *factor[FVLM_MAX_BRANCHES]; /* [out], for branch b: sign * g_b * scale */
    double *bias;                      /* [out] without the term of the norm's shift */
    double *gain, *shift;              /* [in], or NULL */
} fvlm_fusion;

/* Reads the recipe's vectors. Refuses negative variances, NaN and infinity. On failure *f is empty. */
fvlm_status fvlm_fusion_prepare(fvlm_fusion *f, const fvlm_recipe *m, const fvlm_source *src, fvlm_err *err);
void fvlm_fusion_free(fvlm_fusion *f);

/* Computes row o of the fused weight into w, [in * k * k], and returns its bias. kernels[b] is row o of branch b's
 * kernel, [in * k_b * k_b]; it is unused where the branch is an identity. Thread-safe. */
double fvlm_fusion_row(const fvlm_fusion *f, uint64_t o, double *const *kernels, double *w);

#endif
