/* SPDX-License-Identifier: Apache-2.0 */
/* twin.h - a second forward pass, slow and in f64, written from the formulas of
 * FastViTHD and Qwen2 and not from the executor: logical weights, one general
 * convolution, plain loops. Reads f32 models only. */
#ifndef FVLM_TESTS_SUPPORT_TWIN_H
#define FVLM_TESTS_SUPPORT_TWIN_H

#include "format/reader.h"

typedef struct {
    char name[48]; /* as in reference.h's observer */
    double *x;     /* [rows, cols] */
    size_t rows, cols;
} twin_block;

typedef struct {
    const fvlm_reader *r;
    twin_block blocks[64];
    size_t n;
} twin;

/* Each appends its blocks; the last one's output is its result. */
void twin_tower(twin *t, const float *pixels, size_t side);
void twin_project(twin *t, const double *features, size_t tokens);
void twin_llm(twin *t, const float *embeddings, size_t n);
const twin_block *twin_find(const twin *t, const char *name);
void twin_free(twin *t);

#endif
