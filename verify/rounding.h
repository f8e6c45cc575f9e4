/* SPDX-License-Identifier: Apache-2.0 */
/* rounding.h - private to verify/: what a stored weight should be, worked out from the source alone. Nothing of quant/
 * is used: its mistakes would be repeated here. */
#ifndef FVLM_VERIFY_ROUNDING_H
#define FVLM_VERIFY_ROUNDING_H

#include "format/reader.h"

enum { FVLM_MAX_STEPS = 4 };

/* The float types that a weight was rounded to on its way into the file, in order. */
typedef struct {
    fvlm_type step[FVLM_MAX_STEPS];
    unsigned n;
} fvlm_rounding_history;

/* Of tensor t, from the file's "transforms" (SPEC.md) and the type it is stored in. */
fvlm_status fvlm_rounding_history_of(fvlm_rounding_history *out, const fvlm_reader *model, const fvlm_tensor *t,
                                     fvlm_err *err);

/* Whether convert took t's values from quantized ones ("steps" of SPEC.md's "tensors"): kept their codes, or
 * dequantized them. Nothing is known about the error that their quantizer made. */
bool fvlm_rounding_is_foreign(const fvlm_reader *model, const fvlm_tensor *t);

/* w after all roundings. *slack: how far the stored weight may be from that. It may have been rounded from f64 where we
 * round from f32, which makes one unit in the last place for each step that rounded; 0 if none did. */
float fvlm_rounding_history_apply(const fvlm_rounding_history *h, float w, float *slack);

/* The squared error of w[n], quantized as one group by the plain method: the scale from the largest magnitude
 * (symmetric) or the range (asymmetric), rounded to bf16. A group in a file must not be worse. A group whose largest
 * magnitude is below 2^-90 counts as zeros, since its scale would be subnormal. */
double fvlm_rounding_plain_error(fvlm_type t, const float *w, size_t n);

#endif
