/* SPDX-License-Identifier: Apache-2.0 */
/* float_model.h - a small float .fvlm file with canonical names, every layout and every float type, and shapes that
 * end inside panels, groups and tiles: what quant reads. It is no model anybody could run. */
#ifndef FVLM_TESTS_SUPPORT_FLOAT_MODEL_H
#define FVLM_TESTS_SUPPORT_FLOAT_MODEL_H

#include "tests/support/support.h"

enum { TEST_FLOAT_MODEL_N = 12 };

/* Replaces stored element 'at' (storage order) of a tensor before it is written. */
typedef struct {
    const char *tensor;
    size_t at;
    float value;
} test_plant;

/* plants may be NULL. */
fvlm_status test_float_model(const char *path, const test_plant *plants, size_t n_plants, fvlm_err *err);

#endif
