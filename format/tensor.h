/* SPDX-License-Identifier: Apache-2.0 */
/* tensor.h - what the index of a .fvlm file says about one tensor. */
#ifndef FVLM_FORMAT_TENSOR_H
#define FVLM_FORMAT_TENSOR_H

#include "format/base/hash.h"
#include "format/types.h"

#define FVLM_MAX_NAME 255     /* bytes of a name, without the NUL */
#define FVLM_MAX_DW_KERNEL 15 /* side of a depthwise kernel */

typedef struct {
    const char *name; /* NUL-terminated; valid as long as its reader or writer */
    fvlm_type type;
    uint8_t layout; /* fvlm_layout */
    uint8_t rank;
    uint64_t dims[FVLM_MAX_RANK];
    uint64_t offset; /* from the start of the file */
    uint64_t n_bytes;
    fvlm_hash hash; /* of the n_bytes stored */
} fvlm_tensor;

/* Elements without padding. Cannot wrap for a tensor of a reader or writer: it takes at least half a byte an element.
 */
static inline uint64_t fvlm_tensor_n_elems(const fvlm_tensor *t)
{
    uint64_t n = 1;
    for (unsigned i = 0; i < t->rank; i++) n *= t->dims[i];
    return n;
}

#endif
