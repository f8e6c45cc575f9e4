/* SPDX-License-Identifier: Apache-2.0 */
/* rounding.h - what a type promises about the weights it stores, worked out here from the weights alone: verify does
 * not ask quant/ what it meant to write. */
#ifndef FVLM_VERIFY_ROUNDING_H
#define FVLM_VERIFY_ROUNDING_H

#include "format/reader.h"

enum { FVLM_MAX_STEPS = 4 };

/* The float types a weight went through on its way into the file, in order. */
typedef struct {
    fvlm_type step[FVLM_MAX_STEPS];
    unsigned n;
} fvlm_rounding_history;

/* From the file's own account ("transforms", SPEC.md) and the type it is stored in. */
fvlm_status fvlm_rounding_history_of(fvlm_rounding_history *out, const fvlm_reader *model, const fvlm_tensor *t,
                                     fvlm_err *err);

/* w after all roundings of the path. *slack = how far off the same number may end that was rounded from f64 where we
 * round from f32: one unit in the last place of each step that rounded, 0 if none did. */
float fvlm_rounding_history_apply(const fvlm_rounding_history *p, float w, float *slack);

/* The squared error of w[n] as one group of an integer type by the plain method: the scale from the largest magnitude
 * (symmetric) or the range (asymmetric), rounded to bf16. A group in a file may be no worse. A group below
 * 2^-90 may be stored as zeros, since its scale would be subnormal. */
double fvlm_rounding_plain_error(fvlm_type t, const float *w, size_t n);

#endif
