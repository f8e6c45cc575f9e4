/* SPDX-License-Identifier: Apache-2.0 */
/* model_run.h - what tests of the executor share: random inputs, a model opened or the
 * test ended, and every block's output kept. */
#ifndef FVLM_TESTS_SUPPORT_MODEL_RUN_H
#define FVLM_TESTS_SUPPORT_MODEL_RUN_H

#include "reference/model.h"
#include "tests/support/random_model.h"

typedef struct {
    char name[48];
    float *x;
    size_t rows, cols;
} kept_block;

typedef struct {
    kept_block blocks[128];
    size_t n;
} kept;

void keep(void *ctx, const char *name, const float *x, size_t rows, size_t cols); /* a fvlm_observer; ctx is a kept */
const kept_block *kept_find(const kept *k, const char *name);                     /* the last of that name */
void kept_free(kept *k);

/* A path in a folder that goes away with the process. */
const char *scratch_path(char out[512], const char *name);

/* Opens, or prints why not and fails the test. */
fvlm_model *open_model(const char *path, const fvlm_model_options *o);

/* Pixels 0..1 with structure at several scales; free with fvlm_pixels_free. */
fvlm_pixels random_pixels(uint32_t side, uint64_t seed);
float *random_rows(size_t n, uint64_t seed); /* normal, variance 1; malloc'd */

#endif
