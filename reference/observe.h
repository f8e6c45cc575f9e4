/* SPDX-License-Identifier: Apache-2.0 */
/* observe.h - what every pass does after each block. Private to reference/. */
#ifndef FVLM_REFERENCE_OBSERVE_H
#define FVLM_REFERENCE_OBSERVE_H

#include "reference/reference.h"

/* Passes a block's output x [rows, cols] to the model's observer. Fails when the kernels could not allocate their
 * scratch (x is then undefined) and when the caller asked to stop. */
fvlm_status fvlm_model_observe(fvlm_model *m, const char *name, const float *x, size_t rows, size_t cols,
                               fvlm_err *err);

#endif
