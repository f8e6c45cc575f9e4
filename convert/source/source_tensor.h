/* SPDX-License-Identifier: Apache-2.0 */
/* source_tensor.h - one tensor of a checkpoint: name, type, shape, and where its bytes are. */
#ifndef FVLM_CONVERT_SOURCE_SOURCE_TENSOR_H
#define FVLM_CONVERT_SOURCE_SOURCE_TENSOR_H

#include "format/types.h"

#define FVLM_SOURCE_MAX_RANK 8
#define FVLM_SOURCE_NO_FILE UINT32_MAX

/* The first three hold weights. FVLM_SOURCE_OTHER and up are the format's other types: their tensors are listed, so
 * that a checkpoint of another kind can be named, but never read. */
typedef enum {
    FVLM_SOURCE_F32 = 1,
    FVLM_SOURCE_F16 = 2,
    FVLM_SOURCE_BF16 = 3,
    FVLM_SOURCE_I64 = 4,
    FVLM_SOURCE_OTHER = 5
} fvlm_source_type;

typedef struct {
    const char *name;   /* in the file, for messages and provenance; owned by the source */
    const char *key;    /* the name that it is found by: the same, unless it was renamed (renames.h) */
    uint8_t type;       /* fvlm_source_type */
    uint8_t rank;       /* of dims */
    bool channels_last; /* stored as [out, height, width, in]; dims are, and reading gives, [out, in, height, width] */
    uint32_t file;      /* which file of the source; FVLM_SOURCE_NO_FILE: a view (views.h) */
    const struct fvlm_source *of; /* another source that holds it: see fvlm_source_attach; NULL: this one */
    uint64_t dims[FVLM_SOURCE_MAX_RANK];
    uint64_t n_elems;
    uint64_t offset; /* from the start of the file, may be unaligned; of a view: its number */
    uint64_t n_bytes;
    /* Of views: */
    const char *origin; /* what it is in the file; owned by the source; or NULL */
    fvlm_type codes;    /* stored as integers of this type, but for the rounding of its scales; kind 0: it is not */
    bool dequantized;   /* stored as integers that no type fits */
    bool packed;        /* a packed weight of a checkpoint (packed.h), not one of a graph */
    bool filled;        /* stored nowhere: every element is 'fill' */
    float fill;
} fvlm_source_tensor;

unsigned fvlm_source_type_parse(const char *name); /* 0: unknown */
const char *fvlm_source_type_name(unsigned type);  /* "BF16" */
size_t fvlm_source_type_bytes(unsigned type);

/* "BF16 [96, 3, 3, 3]" for messages. */
const char *fvlm_source_shape_text(const fvlm_source_tensor *t, char out[128]);

/* Whether t has this shape, where a dimension of 0 accepts any. If not, describes the tensor in *bad, unless bad->code
 * is set already. t may be NULL: returns false and reports nothing. */
bool fvlm_source_check_shape(const fvlm_source_tensor *t, unsigned rank, const uint64_t *dims, fvlm_err *bad);

#endif
