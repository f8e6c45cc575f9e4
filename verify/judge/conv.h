/* SPDX-License-Identifier: Apache-2.0 */
/* conv.h - private to judge/: convolutions of f32, and of small integers that are stored as f32. */
#ifndef FVLM_VERIFY_JUDGE_CONV_H
#define FVLM_VERIFY_JUDGE_CONV_H

#include "verify/judge/window.h"

typedef struct {
    fvlm_window window;
    uint64_t batch, channels, filters, group; /* channels and filters divide by group */
} fvlm_conv;

/* From the attributes and the shapes of x [N, C, ...] and w [M, C / group, ...]. */
fvlm_status fvlm_conv_read(fvlm_conv *v, const fvlm_judge_call *c, const fvlm_judge_value *x,
                           const fvlm_judge_value *w);

/* out += conv(x, w), a float; w may be stored. Or instead, where x and w are integers of at most 8 bits less a zero
 * point, integers += conv(x, w), exact. */
fvlm_status fvlm_conv_run(const fvlm_conv *v, const fvlm_judge_call *c, const float *x, const fvlm_judge_value *w,
                          float *out, int32_t *integers);

#endif
