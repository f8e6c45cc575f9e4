/* SPDX-License-Identifier: Apache-2.0 */
/* weights.h - compare every stored number with its source. This needs no picture and no chosen tolerance: a float must
 * be its source, rounded, and the squared error of a quantized group must not exceed that of plain absmax (or minmax).
 * So an error that parity.h then measures in the outputs is the price of the type, not a mistake. */
#ifndef FVLM_VERIFY_WEIGHTS_H
#define FVLM_VERIFY_WEIGHTS_H

#include "format/decode.h"
#include "format/reader.h"

typedef struct {
    size_t n_tensors;   /* compared, of which: */
    size_t n_same;      /* stored as in the source, bit for bit */
    size_t n_rounded;   /* floats of another type */
    size_t n_quantized; /* integers */
    size_t n_skipped;   /* not compared: the source itself is quantized, and differs */
    size_t n_foreign;   /* not compared: another quantizer, that of another source, chose their values */
    uint64_t n_groups;  /* quantized groups */
    uint64_t n_near;    /* floats that differ by no more than f32 rounding: another exporter computed them */
    uint64_t n_bad;     /* values and groups that break the rules above */
    double share;       /* error of all groups together over that of the plain method (root mean square) */
    char first_bad[FVLM_MAX_ELEMENT_NAME]; /* in the order of the file */
    double seconds;
} fvlm_weights;

/* Compares all tensors. Refuses files that do not hold the same tensors of the same shapes (FVLM_MISMATCH); a bad value
 * is not a failure. o may be NULL; progress is in tasks. The result does not depend on threads. */
fvlm_status fvlm_weights_compare(fvlm_weights *out, const fvlm_reader *model, const fvlm_reader *source,
                                 const fvlm_check_options *o, fvlm_err *err);

#endif
