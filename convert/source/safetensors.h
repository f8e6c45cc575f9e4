/* SPDX-License-Identifier: Apache-2.0 */
/* safetensors.h - reads the header of a .safetensors file, strictly: every byte of the file must belong to the header
 * or to exactly one tensor. */
#ifndef FVLM_CONVERT_SOURCE_SAFETENSORS_H
#define FVLM_CONVERT_SOURCE_SAFETENSORS_H

#include "convert/source/source.h"

#define FVLM_SAFETENSORS_MAX_HEADER 100000000 /* the format's own limit */

typedef struct {
    const char *key, *value;
} fvlm_safetensors_note;

/* All texts point into the header. */
typedef struct {
    fvlm_source_tensor *tensors; /* by name */
    size_t n_tensors;
    fvlm_safetensors_note *notes; /* __metadata__, by key */
    size_t n_notes;
} fvlm_safetensors;

/* The length of the header, from the first 8 bytes; checked against the size of the file. */
fvlm_status fvlm_safetensors_length(uint64_t *n_header, const uint8_t *first, uint64_t file_bytes, const char *what,
                                    fvlm_err *err);

/* Parses the header text, which begins at byte 8 of a file of file_bytes. Its strings are decoded in place; it must
 * outlive *out. what is the file's name in messages. On failure nothing needs to be freed. */
fvlm_status fvlm_safetensors_parse(fvlm_safetensors *out, char *header, size_t n_header, uint64_t file_bytes,
                                   const char *what, fvlm_err *err);
void fvlm_safetensors_free(fvlm_safetensors *f);

#endif
