/* SPDX-License-Identifier: Apache-2.0 */
/* safetensors.h - the header of one .safetensors file, read strictly: every byte of the file
 * belongs to the header or to exactly one tensor. */
#ifndef FVLM_CONVERT_SOURCE_SAFETENSORS_H
#define FVLM_CONVERT_SOURCE_SAFETENSORS_H

#include "convert/source/source.h"

#define FVLM_SAFETENSORS_MAX_HEADER 100000000 /* the format's own limit */

typedef struct {
    fvlm_source_tensor *tensors; /* sorted by name; names point into the header text */
    size_t n_tensors;
} fvlm_safetensors;

/* The header's length from the first 8 bytes, checked against the size of the file. */
fvlm_status fvlm_safetensors_length(uint64_t *n_header, const uint8_t *first, uint64_t file_bytes, const char *what,
                                    fvlm_err *err);

/* Parses the header text that begins at byte 8 of a file of file_bytes; it is decoded in place and
 * must outlive *out. what = the file's name for messages. Free out->tensors with free(). */
fvlm_status fvlm_safetensors_parse(fvlm_safetensors *out, char *header, size_t n_header, uint64_t file_bytes,
                                   const char *what, fvlm_err *err);

#endif
