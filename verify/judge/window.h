/* SPDX-License-Identifier: Apache-2.0 */
/* window.h - private to judge/: windows that slide over up to three dimensions, of convolutions and pools. */
#ifndef FVLM_VERIFY_JUDGE_WINDOW_H
#define FVLM_VERIFY_JUDGE_WINDOW_H

#include "verify/judge/call.h"

#define FVLM_WINDOW_DIMS 3

/* Dimensions that the input does not have come first and are 1. Output index o reads inputs o * stride - before +
 * k * dilation for every k < kernel, where they lie in [0, in). */
typedef struct {
    unsigned rank; /* spatial dimensions of the input */
    uint64_t in[FVLM_WINDOW_DIMS], out[FVLM_WINDOW_DIMS], kernel[FVLM_WINDOW_DIMS], stride[FVLM_WINDOW_DIMS],
        dilation[FVLM_WINDOW_DIMS], before[FVLM_WINDOW_DIMS], after[FVLM_WINDOW_DIMS];
} fvlm_window;

/* Of x [N, C, ...] from strides, pads, dilations, auto_pad, ceil_mode and "kernel_shape", which must agree with kernel
 * [x's spatial dimensions] unless that is NULL. */
fvlm_status fvlm_window_read(fvlm_window *w, const fvlm_judge_call *c, const fvlm_judge_value *x,
                             const uint64_t *kernel);

/* The output's dimensions; returns their number. */
unsigned fvlm_window_dims(const fvlm_window *w, uint64_t batch, uint64_t channels, uint64_t *dims);

/* Elements of one plane, in and out, and of the kernel; products were checked. */
static inline uint64_t fvlm_window_span(const uint64_t d[FVLM_WINDOW_DIMS])
{
    return d[0] * d[1] * d[2];
}

/* The k in [*first, *end) for which output o reads inside the input, along one dimension. */
static inline void fvlm_window_taps(const fvlm_window *w, unsigned d, uint64_t o, uint64_t *first, uint64_t *end)
{
    const uint64_t at = o * w->stride[d], step = w->dilation[d]; /* input index + before, of k = 0 */
    *first = at < w->before[d] ? (w->before[d] - at + step - 1) / step : 0;
    const uint64_t limit = w->in[d] + w->before[d]; /* of at + k * step */
    *end = at < limit ? (limit - at + step - 1) / step : 0;
    if (*end > w->kernel[d]) *end = w->kernel[d];
    if (*first > *end) *first = *end;
}

#endif
