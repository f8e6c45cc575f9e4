/* SPDX-License-Identifier: Apache-2.0 */
/* weights.h - every stored number beside its source. This needs no picture and no tolerance that somebody chose: a
 * float must be its source rounded, and the squared error of a quantized group may be no larger than plain absmax (or
 * minmax) would make it. What parity.h measures in the outputs is then the price of the type, not a mistake. */
#ifndef FVLM_VERIFY_WEIGHTS_H
#define FVLM_VERIFY_WEIGHTS_H

#include "format/base/pool.h"
#include "format/decode.h"
#include "format/reader.h"

typedef struct {
    size_t n_tensors;   /* compared; of these: */
    size_t n_same;      /* stored as the source stores them, bit for bit */
    size_t n_rounded;   /* floats of another type */
    size_t n_quantized; /* integers */
    size_t n_skipped;   /* not compared: the source itself is quantized, and differs */
    uint64_t n_groups;  /* quantized groups */
    uint64_t n_bad;     /* values and groups that are not what their type promises */
    double share;       /* error of all groups together, as a share of the plain method's (root mean square) */
    char first_bad[FVLM_MAX_ELEMENT_NAME];
    double seconds;
} fvlm_weights;

/* Compares all tensors on all threads of pool. Both files must hold the same tensors, of the same shapes. */
fvlm_status fvlm_weights_compare(fvlm_weights *out, const fvlm_reader *model, const fvlm_reader *source,
                                 fvlm_pool *pool, fvlm_progress_fn progress, void *progress_ctx, fvlm_err *err);

#endif
