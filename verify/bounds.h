/* SPDX-License-Identifier: Apache-2.0 */
/* bounds.h - how far outputs may be from those of the source. The file's coarsest type decides. */
#ifndef FVLM_VERIFY_BOUNDS_H
#define FVLM_VERIFY_BOUNDS_H

#include "format/reader.h"
#include "reference/ops/ops.h"

typedef enum {
    FVLM_GRADE_EXACT, /* types as in the source, or wider: only the order of sums may differ */
    FVLM_GRADE_F16,   /* some tensor rounded to f16 */
    FVLM_GRADE_BF16,
    FVLM_GRADE_INT8,
    FVLM_GRADE_INT4
} fvlm_grade;

typedef struct {
    double block; /* relative L2 of any block's output, at most */
    double kl;    /* mean KL divergence over positions, nats, at most */
    double top1;  /* share of positions where the likeliest token agrees, at least */
} fvlm_bound;

const char *fvlm_grade_name(fvlm_grade g);
fvlm_bound fvlm_bounds_for(fvlm_grade g, fvlm_act_mode act);

/* The grade of a model that was made from source. With source NULL (recorded activations), the checkpoint is meant,
 * and the model's provenance tells whether convert kept its types. */
fvlm_grade fvlm_grade_of(const fvlm_reader *model, const fvlm_reader *source);

#endif
