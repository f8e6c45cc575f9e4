/* SPDX-License-Identifier: Apache-2.0 */
/* tiling.h - the sizes that a picture may be divided at. Private to reference/. */
#ifndef FVLM_REFERENCE_TILING_H
#define FVLM_REFERENCE_TILING_H

#include "reference/reference.h"

typedef struct {
    const uint32_t (*sizes)[2]; /* the config's; NULL: own */
    uint32_t own[1][2];
    size_t n; /* 0: pictures are not divided */
} fvlm_tiling_choice;

/* Refuses sizes that squares of that side do not fill, and those over FVLM_MAX_SIDE. */
fvlm_status fvlm_tiling_sizes(fvlm_tiling_choice *out, const fvlm_config *c, const fvlm_tiling *t, uint32_t side,
                              fvlm_err *err);

#endif
