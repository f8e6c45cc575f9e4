/* SPDX-License-Identifier: Apache-2.0 */
/* verdict.h - whether what parity.h measured is within its bounds, and which block to look at if not. */
#ifndef FVLM_VERIFY_VERDICT_H
#define FVLM_VERIFY_VERDICT_H

#include "verify/parity.h"

/* What the predictions, or without a language model the pictures' rows, fail by. Float types have bounds (bounds.h).
 * Quantized ones are graded (grade.h): "visibly worse" and "broken" fail, and so does too few positions. The user's
 * limits take the place of both. */
typedef enum {
    FVLM_FAILURE_NONE,
    FVLM_FAILURE_NOT_JUDGED,
    FVLM_FAILURE_MAX_KL,
    FVLM_FAILURE_MIN_TOP1,
    FVLM_FAILURE_MAX_ERROR,
    FVLM_FAILURE_GRADE,
    FVLM_FAILURE_BOUNDS
} fvlm_failure;

fvlm_failure fvlm_verdict_predictions(const fvlm_parity *p, unsigned act);

/* A graph has no value for the block, or only one that is out of bounds or far off, and yet a later block agrees: an
 * optimizer has fused it with its neighbours. Such a block is not judged. Never so for inputs and outputs of the graph.
 */
bool fvlm_verdict_block_absent(const fvlm_parity *p, size_t block, unsigned act);

/* All is well with one block, with one activation mode, with all modes. */
bool fvlm_verdict_block_ok(const fvlm_parity *p, size_t block, unsigned act);
bool fvlm_verdict_act_ok(const fvlm_parity *p, unsigned act);
bool fvlm_verdict_ok(const fvlm_parity *p);

/* fvlm_verdict_ok as a status: FVLM_MISMATCH with the figure that fails and its limit. model: the path, for the
 * message. */
fvlm_status fvlm_verdict_check(const fvlm_parity *p, const char *model, fvlm_err *err);

/* The first block out of bounds; n_blocks if none is. */
size_t fvlm_verdict_first_bad(const fvlm_parity *p, unsigned act);

/* The block that adds most to the error of its input; *step = what it adds, sqrt(|error out|^2 - |error in|^2), as
 * relative L2. */
size_t fvlm_verdict_largest_step(const fvlm_parity *p, unsigned act, double *step);

#endif
