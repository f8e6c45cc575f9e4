/* SPDX-License-Identifier: Apache-2.0 */
/* index.h - the table of tensors: name, type, shape, layout, place and hash of each. */
#ifndef FVLM_FORMAT_INDEX_H
#define FVLM_FORMAT_INDEX_H

#include "format/header.h"

#define FVLM_MAX_TENSORS 65536
#define FVLM_INDEX_HEAD_BYTES 16
#define FVLM_INDEX_ENTRY_BYTES 80

typedef struct {
    fvlm_tensor *tensor; /* sorted by name */
    size_t n_tensors;
    size_t *by_offset; /* indices into tensor, in file order */
    char *names;
} fvlm_index;

/* 1 to FVLM_MAX_NAME bytes of UTF-8 without control characters. */
bool fvlm_index_name_valid(const char *name, size_t n_bytes);

/* Checks that every entry is well formed, names strictly ascending, and that the tensors fill the
 * data section: in file order each begins on the next multiple of 64 after the one before. */
fvlm_status fvlm_index_decode(fvlm_index *out, const uint8_t *bytes, size_t n_bytes, const fvlm_section *data,
                              fvlm_err *err);
void fvlm_index_free(fvlm_index *x);

/* Size and bytes of an index of n tensors, given sorted by name. out has room for the size. */
size_t fvlm_index_bytes(const fvlm_tensor *const *sorted, size_t n);
void fvlm_index_encode(const fvlm_tensor *const *sorted, size_t n, uint8_t *out);

#endif
