/* SPDX-License-Identifier: Apache-2.0 */
/* prove.h - shows that a fused row does what its parts did: both are run on the same random input, in
 * f64, the parts one after the other as the network was trained, the fused row as one convolution. */
#ifndef FVLM_CONVERT_PROVE_H
#define FVLM_CONVERT_PROVE_H

#include "convert/recipe.h"

#define FVLM_PROOF_BOUND 1e-10 /* a fusion with a larger relative error is not written */

typedef struct fvlm_proof fvlm_proof;

/* Makes the input and reads the recipe's vectors, on its own. Any linear layer sees 4 random vectors, a
 * convolution a random map as wide as its kernel, so that its borders take part. */
fvlm_status fvlm_proof_create(fvlm_proof **out, const fvlm_recipe *m, const fvlm_source *src, fvlm_err *err);
void fvlm_proof_free(fvlm_proof **p);

/* Runs row o both ways: kernels as for fvlm_fusion_row, w and bias what it gave. */
void fvlm_proof_row(fvlm_proof *p, uint64_t o, double *const *kernels, const double *w, double bias);

/* The largest |before - after| of any row so far, relative to the largest sum of magnitudes that made up
 * an output of that row. */
double fvlm_proof_error(const fvlm_proof *p);

#endif
