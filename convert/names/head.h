/* SPDX-License-Identifier: Apache-2.0 */
/* head.h - compares a stored head with the embedding; private to names/. */
#ifndef FVLM_CONVERT_NAMES_HEAD_H
#define FVLM_CONVERT_NAMES_HEAD_H

#include "convert/source/source.h"

typedef struct {
    bool equal;         /* the same values, whatever the types */
    bool equal_rounded; /* or one is the other, rounded to its narrower type */
    uint64_t first_row; /* that is neither */
} fvlm_head_likeness;

/* Both tensors are matrices of floats with the same number of columns; the first 'rows' rows are compared. */
fvlm_status fvlm_head_compare(fvlm_head_likeness *out, const fvlm_source *src, const fvlm_source_tensor *embed,
                              const fvlm_source_tensor *head, uint64_t rows, fvlm_err *err);

#endif
