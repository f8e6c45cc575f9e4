/* SPDX-License-Identifier: Apache-2.0 */
/* section.h - compressed sections: one zstd frame, the same bytes every time. */
#ifndef FVLM_FORMAT_SECTION_H
#define FVLM_FORMAT_SECTION_H

#include "format/header.h"

/* *out is malloc'd. One thread, fixed level, size and checksum in the frame. */
fvlm_status fvlm_section_pack(uint8_t **out, size_t *n_bytes, const char *raw, size_t raw_bytes, fvlm_err *err);

/* Reads a section's stored bytes from fd and checks their hash; *out is malloc'd, s->n_bytes long. */
fvlm_status fvlm_section_read(uint8_t **out, const fvlm_section *s, int fd, const char *path, const char *what,
                              fvlm_err *err);

/* The same, decompressed, with a NUL after its s->raw_bytes: exactly one frame without dictionary
 * that says and gives exactly that size. Memory is bounded by the limits of header.h. */
fvlm_status fvlm_section_unpack(char **out, const fvlm_section *s, int fd, const char *path, const char *what,
                                fvlm_err *err);

#endif
