/* SPDX-License-Identifier: Apache-2.0 */
/* random_model.h - writes a small .fvlm of random weights that has every part of the
 * real grammar, with the writer; and can write it wrong in one way at a time. */
#ifndef FVLM_TESTS_SUPPORT_RANDOM_MODEL_H
#define FVLM_TESTS_SUPPORT_RANDOM_MODEL_H

#include "format/reader.h"

typedef struct {
    fvlm_config config;
    uint64_t seed;
    fvlm_type type;        /* of every matrix */
    fvlm_type small;       /* of vectors and depthwise kernels: a float type */
    const char *leave_out; /* tensors whose names begin so are missing */
    const char *extra;     /* this one, a vector of 4, is too many */
    const char *reshape;   /* this one has one row (channel) more than the config says */
    const char *pattern;   /* the tokenizer's; NULL: a simple one */
    const char *transpose; /* this matrix is stored in plain rows instead of panels */
} random_model;

/* Five stages (widths 12 24 24 48 96: no multiple of 16, one downsample that does not widen), three
 * layers of grouped-query attention, 263 tokens: every byte, four merges, three special tokens. All f32. */
random_model random_model_small(void);

/* Leaves the tower, and perhaps the projector. */
void random_model_without_llm(random_model *r, bool projector);
fvlm_status random_model_write(const random_model *r, const char *path, fvlm_err *err);

#endif
