/* SPDX-License-Identifier: Apache-2.0 */
/* recorded.h - activations that somebody else's code put out (tests/oracle/dump_activations.py, PyTorch): a
 * safetensors file with the observer's names, "pixels" [side*side, 3], "input_ids" (-200 where the picture goes),
 * "greedy" (the answer's ids), "llm.norm" and "logits" for the prompt's last position. */
#ifndef FVLM_VERIFY_RECORDED_H
#define FVLM_VERIFY_RECORDED_H

#include "reference/reference.h"

typedef struct fvlm_recorded fvlm_recorded;

fvlm_status fvlm_recorded_open(fvlm_recorded **out, const char *path, fvlm_err *err);
void fvlm_recorded_close(fvlm_recorded **r);

const fvlm_pixels *fvlm_recorded_pixels(const fvlm_recorded *r);
const int64_t *fvlm_recorded_ids(const fvlm_recorded *r, size_t *n);
const int64_t *fvlm_recorded_greedy(const fvlm_recorded *r, size_t *n); /* n may be 0 */

/* See fvlm_stamp_check_unchanged. */
fvlm_status fvlm_recorded_check_unchanged(const fvlm_recorded *r, fvlm_status st, fvlm_err *err);

/* Reads the block into memory that belongs to r, valid until the next call. Refuses a block that is not there and
 * one of another shape. */
fvlm_status fvlm_recorded_block(fvlm_recorded *r, const char *name, size_t rows, size_t cols, const float **x,
                                fvlm_err *err);

#endif
