/* SPDX-License-Identifier: Apache-2.0 */
/* bounds.h - how far outputs may be from those of the source. The file's coarsest type decides. Infinite: no bound.
 * What quantization costs in predictions is a matter of grades (grade.h). */
#ifndef FVLM_VERIFY_BOUNDS_H
#define FVLM_VERIFY_BOUNDS_H

#include "format/reader.h"
#include "reference/ops/ops.h"

typedef enum {
    FVLM_PRECISION_EXACT, /* types as in the source, or wider: only the order of sums may differ */
    FVLM_PRECISION_F16,   /* some tensor rounded to f16 */
    FVLM_PRECISION_BF16,
    FVLM_PRECISION_INT8,
    FVLM_PRECISION_INT4
} fvlm_precision;

typedef struct {
    double block; /* relative L2 of any block's output, at most */
    double kl;    /* mean KL divergence over positions, nats, at most */
    double top1;  /* share of positions where the likeliest token agrees, at least */
} fvlm_bound;

const char *fvlm_precision_name(fvlm_precision p);
fvlm_bound fvlm_bounds_for(fvlm_precision p, fvlm_act_mode act);

/* The precision of a model that was made from source. With source NULL (recorded activations), the checkpoint is meant,
 * and the model's provenance tells whether convert kept its types. */
fvlm_precision fvlm_precision_of(const fvlm_reader *model, const fvlm_reader *source);

#endif
