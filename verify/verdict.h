/* SPDX-License-Identifier: Apache-2.0 */
/* verdict.h - whether what parity.h measured is within its bounds, and which block to look at if not. */
#ifndef FVLM_VERIFY_VERDICT_H
#define FVLM_VERIFY_VERDICT_H

#include "verify/parity.h"

/* Within the bounds: one block, the predictions, all of one activation mode, all of all modes. */
bool fvlm_verdict_block_ok(const fvlm_parity *p, size_t block, unsigned act);
bool fvlm_verdict_logits_ok(const fvlm_parity *p, unsigned act);
bool fvlm_verdict_act_ok(const fvlm_parity *p, unsigned act);
bool fvlm_verdict_ok(const fvlm_parity *p);

/* The first block out of bounds; n_blocks if none is. */
size_t fvlm_verdict_first_bad(const fvlm_parity *p, unsigned act);

/* The block that adds most to the error of its input; *step = what it adds, sqrt(|error out|^2 - |error in|^2), as
 * relative L2. */
size_t fvlm_verdict_largest_step(const fvlm_parity *p, unsigned act, double *step);

#endif
