/* SPDX-License-Identifier: Apache-2.0 */
/* fuse.h - evaluates a recipe row by row, in f64. */
#ifndef FVLM_CONVERT_FUSE_H
#define FVLM_CONVERT_FUSE_H

#include "convert/recipe.h"

/* What every row is multiplied with: vectors only, made once a recipe. */
typedef struct {
    const fvlm_recipe *m;
    double *factor[FVLM_MAX_BRANCHES]; /* [out] of branch b: sign * g_b * scale */
    double *bias;                      /* [out] all of it but the share of the norm's shift */
    double *gain, *shift;              /* [in], or NULL */
} fvlm_fusion;

/* Reads the recipe's vectors; a variance below 0 and values that are not finite are refused. */
fvlm_status fvlm_fusion_prepare(fvlm_fusion *f, const fvlm_recipe *m, const fvlm_source *src, fvlm_err *err);
void fvlm_fusion_free(fvlm_fusion *f);

/* Row o of the fused weight into w [in * k * k], from row o of each branch's kernel, [in * k_b * k_b]
 * (kernels[b] is not looked at where branch b is an identity). Returns the fused bias. */
double fvlm_fusion_row(const fvlm_fusion *f, uint64_t o, double *const *kernels, double *w);

#endif
