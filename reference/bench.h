/* SPDX-License-Identifier: Apache-2.0 */
/* bench.h - times the parts of a first token, for `fvlm bench`.
 *
 * With a picture every run is an fvlm_model_answer, so that the time to first token is what fvlm_timing says. Without
 * one pixels and text rows are random (only their number matters) and there is no such time, because it begins with the
 * picture's bytes. A model without a language model is timed as far as it goes. */
#ifndef FVLM_REFERENCE_BENCH_H
#define FVLM_REFERENCE_BENCH_H

#include "reference/model.h"

typedef struct {
    const char *image, *prompt; /* the picture's path and the question about it; image NULL: random */
    fvlm_picture picture;       /* how it is read (image/image.h) */
    fvlm_tiling tiling;         /* of a picture; random pixels are one square */
    size_t text;                /* without a picture: positions of the prompt besides the image's */
    size_t runs;                /* that are timed, after one that warms up; at least 1 */
} fvlm_bench_options;

typedef enum {
    FVLM_BENCH_IMAGE, /* with a picture only */
    FVLM_BENCH_VISION,
    FVLM_BENCH_PROJECTOR,
    FVLM_BENCH_PREFILL,
    FVLM_BENCH_TTFT,   /* with a picture only */
    FVLM_BENCH_DECODE, /* of one token */
    FVLM_BENCH_PARTS
} fvlm_bench_part;

typedef enum {
    FVLM_BENCH_MIN,
    FVLM_BENCH_MEDIAN,
    FVLM_BENCH_P90,
    FVLM_BENCH_P99,
    FVLM_BENCH_QUANTILES
} fvlm_bench_quantile;

/* One combination of options. */
typedef struct {
    unsigned threads;
    fvlm_act_mode act;
    const char *cpu;
    uint32_t side;
    size_t squares, image_tokens, positions;
    double seconds[FVLM_BENCH_PARTS][FVLM_BENCH_QUANTILES];
    double vision_rate, prefill_rate; /* multiply-adds a second at the median */
    double decode_bandwidth;          /* bytes of weights a second at the median */
    size_t memory;                    /* bytes of activations and cache */
} fvlm_bench_line;

/* Whether a part of this model is measured with these options, and whether there are runs enough for a quantile. */
bool fvlm_bench_has_part(const fvlm_model *m, const fvlm_bench_options *o, fvlm_bench_part part);
bool fvlm_bench_has_quantile(const fvlm_bench_options *o, fvlm_bench_quantile q);

/* Fills in lines[n], but for what is measured, for images of those sides. Refuses all if one cannot be run. */
fvlm_status fvlm_bench_plan(fvlm_bench_line *lines, const uint32_t *sides, size_t n, fvlm_model *m,
                            const fvlm_bench_options *o, fvlm_err *err);

/* Measures a line of fvlm_bench_plan. */
fvlm_status fvlm_bench_measure(fvlm_bench_line *l, fvlm_model *m, const fvlm_bench_options *o, fvlm_err *err);

#endif
