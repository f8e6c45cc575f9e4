/* SPDX-License-Identifier: Apache-2.0 */
/* index.h - the table of tensors: name, type, shape, layout, offset and hash of each. SPEC.md, section 3.
 * Private to format/. */
#ifndef FVLM_FORMAT_INDEX_H
#define FVLM_FORMAT_INDEX_H

#include "format/header.h"

#define FVLM_MAX_TENSORS 65536
#define FVLM_INDEX_HEAD_BYTES 16
#define FVLM_INDEX_ENTRY_BYTES 80

typedef struct {
    fvlm_tensor *tensor; /* sorted by name; names point into names */
    size_t n_tensors;
    const fvlm_tensor **by_offset; /* the same, in the order of the file */
    char *names;
} fvlm_index;

/* 1 to FVLM_MAX_NAME bytes of UTF-8 without control characters. */
bool fvlm_index_name_valid(const char *name, size_t n_bytes);

/* Checks that every entry is well formed, that names ascend, and that the tensors fill the data section: in the order
 * of the file, each begins at the first multiple of 64 that is not before the end of the one before it.
 * fvlm_index_free frees *out, also after a failure. */
fvlm_status fvlm_index_decode(fvlm_index *out, const uint8_t *bytes, size_t n_bytes, const fvlm_section *data,
                              fvlm_err *err);
void fvlm_index_free(fvlm_index *x);

/* Size and bytes of the index of n tensors, given sorted by name. out has fvlm_index_bytes bytes. */
size_t fvlm_index_bytes(const fvlm_tensor *const *sorted, size_t n);
void fvlm_index_encode(const fvlm_tensor *const *sorted, size_t n, uint8_t *out);

#endif
