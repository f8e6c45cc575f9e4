/* SPDX-License-Identifier: Apache-2.0 */
/* section.h - the stored bytes of a section, and one zstd frame as its compressed form. SPEC.md, section 2.
 * Private to format/. */
#ifndef FVLM_FORMAT_SECTION_H
#define FVLM_FORMAT_SECTION_H

#include "format/base/stop.h"
#include "format/header.h"

/* Compresses: one thread, fixed level, size and checksum in the frame, so equal text gives equal bytes (of one version
 * of zstd). stop may be NULL. The caller frees *out. */
fvlm_status fvlm_section_pack(uint8_t **out, size_t *n_bytes, const char *raw, size_t raw_bytes, const fvlm_stop *stop,
                              fvlm_err *err);

/* Reads the s->n_bytes stored bytes from fd and checks their hash. The caller frees *out, which is NULL on failure.
 * path and what ("index") are for messages. */
fvlm_status fvlm_section_read(uint8_t **out, const fvlm_section *s, int fd, const char *path, const char *what,
                              fvlm_err *err);

/* The same, decompressed, with a NUL after its s->raw_bytes. Refuses anything but one frame, without dictionary, that
 * states and has exactly that size. header.h's limits bound the memory. */
fvlm_status fvlm_section_unpack(char **out, const fvlm_section *s, int fd, const char *path, const char *what,
                                fvlm_err *err);

#endif
