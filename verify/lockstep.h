/* SPDX-License-Identifier: Apache-2.0 */
/* lockstep.h - several models walked at once, block by block.
 *
 * Why: a block's output at 1024 pixels is up to 25 MB and a model has a hundred of them. Instead of keeping
 * the outputs of one model until the other has run, every model runs on a thread of its own and they meet at every
 * block: the last to arrive compares what all of them have in hand, then all walk on. Nothing is kept.
 *
 * A runner that fails leaves, and from then on nobody waits. */
#ifndef FVLM_VERIFY_LOCKSTEP_H
#define FVLM_VERIFY_LOCKSTEP_H

#include "format/base/base.h"

enum { FVLM_LOCKSTEP_MAX = 3 };

/* What a runner has in hand when it meets the others. */
typedef struct {
    const char *name; /* the observer's name of the block */
    const float *x;   /* [rows, cols] */
    size_t rows, cols;
} fvlm_lockstep_block;

/* Called by the last to arrive, with what each runner shows; the others wait. A failure breaks the walk. */
typedef fvlm_status (*fvlm_lockstep_compare)(void *ctx, const fvlm_lockstep_block *shown, fvlm_err *err);

/* Refuses two blocks of different names or shapes. */
fvlm_status fvlm_lockstep_check_same(const fvlm_lockstep_block *a, const fvlm_lockstep_block *b, fvlm_err *err);

typedef struct fvlm_lockstep fvlm_lockstep;

fvlm_status fvlm_lockstep_create(fvlm_lockstep **out, unsigned n_runners, fvlm_lockstep_compare meeting, void *ctx,
                                 fvlm_err *err);
void fvlm_lockstep_destroy(fvlm_lockstep **l);

/* Shows a block and waits for the others. False when the walk is broken: the caller may stop. */
bool fvlm_lockstep_meet(fvlm_lockstep *l, unsigned runner, const char *name, const float *x, size_t rows, size_t cols);

/* A runner gives up. */
void fvlm_lockstep_leave(fvlm_lockstep *l);

/* The failure of a meeting, if one failed. Call when all runners are done. */
fvlm_status fvlm_lockstep_status(const fvlm_lockstep *l, fvlm_err *err);

#endif
