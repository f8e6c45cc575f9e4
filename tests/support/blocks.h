/* SPDX-License-Identifier: Apache-2.0 */
/* blocks.h - random groups of weights in 16 lanes, as the encoder sees them, and what a decoder makes of codes. */
#ifndef FVLM_TESTS_SUPPORT_BLOCKS_H
#define FVLM_TESTS_SUPPORT_BLOCKS_H

#include "tests/support/support.h"

enum { TEST_N_SHAPES = 8 };
extern const char *const test_shape_name[TEST_N_SHAPES];

/* x[n][16]: normal, uniform, Laplace, heavy-tailed, one-sided, outliers, offset, two-valued; each lane with a size of
 * its own between 1e-12 and 1e12. */
void test_block(test_rng *r, int shape, size_t n, float *x);

/* Value of code q by the formula in types.h. */
float test_decode(fvlm_type t, unsigned q, float scale, float offset);

/* Squared error, in f64, of lane l of x[n][16] under codes q[n][16]. */
double test_block_error(fvlm_type t, const float *x, size_t n, size_t lane, const uint8_t *q, float scale,
                        float offset);

/* All 16 integer types. */
fvlm_type test_int_type(size_t i);

#endif
