/* SPDX-License-Identifier: Apache-2.0 */
/* prove.h - checks that a fused row computes what its branches compute: runs both on the same random input, in f64, the
 * branches step by step as in training, the fused row as one convolution. */
#ifndef FVLM_CONVERT_PROVE_H
#define FVLM_CONVERT_PROVE_H

#include "convert/recipe.h"

#define FVLM_PROOF_BOUND 1e-10 /* fusions with a larger relative error are refused */

typedef struct fvlm_proof fvlm_proof;

/* Makes the input and reads the recipe's vectors itself. A linear layer gets 4 random vectors; a convolution gets a
 * random map as wide as its kernel, so that padding takes part. On failure *out is NULL. */
fvlm_status fvlm_proof_create(fvlm_proof **out, const fvlm_recipe *m, const fvlm_source *src, fvlm_err *err);
void fvlm_proof_free(fvlm_proof **p);

/* Runs row o both ways: kernels as for fvlm_fusion_row; w and bias are its results. */
void fvlm_proof_row(fvlm_proof *p, uint64_t o, double *const *kernels, const double *w, double bias);

/* The largest error of any row so far: max |unfused - fused| over the row's outputs, divided by the largest sum of the
 * magnitudes of an output's terms. */
double fvlm_proof_error(const fvlm_proof *p);

#endif
