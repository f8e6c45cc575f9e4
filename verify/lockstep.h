/* SPDX-License-Identifier: Apache-2.0 */
/* lockstep.h - private to verify/: several models run at once, block by block.
 *
 * A block's output at 1024 pixels is up to 25 MB, and a model has a hundred of them. Instead of keeping the outputs of
 * one model until the other has run, each model runs on a thread of its own, and they meet at every block: the last to
 * arrive compares what all of them show, then all go on. Nothing is kept.
 *
 * When a runner leaves, the lockstep is broken: from then on nobody waits. */
#ifndef FVLM_VERIFY_LOCKSTEP_H
#define FVLM_VERIFY_LOCKSTEP_H

#include "format/base/base.h"

enum { FVLM_LOCKSTEP_MAX = 3 };

/* What a runner shows to the others. */
typedef struct {
    const char *name; /* the observer's name of the block */
    const float *x;   /* [rows, cols] */
    size_t rows, cols;
} fvlm_lockstep_block;

/* Called by the last to arrive, with what each runner shows, while the others wait. A failure breaks the lockstep. */
typedef fvlm_status (*fvlm_lockstep_compare)(void *ctx, const fvlm_lockstep_block *shown, fvlm_err *err);

/* Refuses two blocks of different names or shapes. */
fvlm_status fvlm_lockstep_check_same(const fvlm_lockstep_block *a, const fvlm_lockstep_block *b, fvlm_err *err);

typedef struct fvlm_lockstep fvlm_lockstep;

fvlm_status fvlm_lockstep_create(fvlm_lockstep **out, unsigned n_runners, fvlm_lockstep_compare compare, void *ctx,
                                 fvlm_err *err);
void fvlm_lockstep_destroy(fvlm_lockstep **l);

/* Shows a block and waits for the others. False if the lockstep is broken. */
bool fvlm_lockstep_meet(fvlm_lockstep *l, unsigned runner, const char *name, const float *x, size_t rows, size_t cols);

/* A runner fails or ends. */
void fvlm_lockstep_leave(fvlm_lockstep *l);

/* The failure of a comparison, if one failed. Call when nobody waits any more. */
fvlm_status fvlm_lockstep_status(const fvlm_lockstep *l, fvlm_err *err);

#endif
