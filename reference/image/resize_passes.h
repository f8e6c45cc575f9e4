/* SPDX-License-Identifier: Apache-2.0 */
/* resize_passes.h - the resizer's inner loops, compiled for each instruction set. Integers only: the same bits from
 * all. Private to reference/image. */
#ifndef FVLM_REFERENCE_IMAGE_RESIZE_PASSES_H
#define FVLM_REFERENCE_IMAGE_RESIZE_PASSES_H

#include "format/base/cpu.h"

enum {
    FVLM_RESIZE_BITS = 32 - 8 - 2, /* of the weights' fractions */
    FVLM_RESIZE_ROWS = 16,         /* input rows that go through the horizontal pass together */
    FVLM_RESIZE_LANES = 3 * FVLM_RESIZE_ROWS
};

/* One output sample is the sum of weights[offset + i] * input[first + i], i < count. */
typedef struct {
    uint32_t first, count;
    size_t offset;
} fvlm_resize_window;

typedef struct {
    fvlm_resize_window *windows; /* [n_out]; first and first + count never decrease */
    int32_t *weights;
    uint32_t n_out;
} fvlm_resize_filter;

typedef struct {
    /* across [n_out][LANES] = the filter over tile [n_in][LANES] */
    void (*resample)(const fvlm_resize_filter *f, const uint8_t *tile, uint8_t *across);
    /* sums[i] += weight * row[i] */
    void (*add)(int32_t *sums, const uint8_t *row, size_t n, int32_t weight);
    /* Rounds sums to 8 bits and clips them. */
    void (*round)(const int32_t *sums, size_t n, uint8_t *out);
} fvlm_resize_passes;

const fvlm_resize_passes *fvlm_resize_passes_for(fvlm_cpu cpu);

#endif
