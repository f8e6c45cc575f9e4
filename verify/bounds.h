/* SPDX-License-Identifier: Apache-2.0 */
/* bounds.h - what counts as the same. A file is as good as its coarsest change to the source. */
#ifndef FVLM_VERIFY_BOUNDS_H
#define FVLM_VERIFY_BOUNDS_H

#include "format/reader.h"
#include "reference/ops/ops.h"

typedef enum {
    FVLM_GRADE_EXACT, /* same types as the source, or wider: what is left is the order of sums */
    FVLM_GRADE_F16,   /* some tensor rounded to f16 */
    FVLM_GRADE_BF16,
    FVLM_GRADE_INT8,
    FVLM_GRADE_INT4
} fvlm_grade;

typedef struct {
    double block; /* relative L2 of every block's output, at most */
    double kl;    /* mean KL divergence over positions, nats, at most */
    double top1;  /* share of positions where the likeliest token agrees, at least */
} fvlm_bound;

const char *fvlm_grade_name(fvlm_grade g);
fvlm_bound fvlm_bounds_for(fvlm_grade g, fvlm_act_mode act);

/* Of a model beside the file it was made from; source NULL (activations from PyTorch): beside
 * the checkpoint, whose types convert kept or not (provenance). */
fvlm_grade fvlm_grade_of(const fvlm_reader *model, const fvlm_reader *source);

#endif
