/* SPDX-License-Identifier: Apache-2.0 */
/* mapped.h - input files that are mapped, and how a program ends when one of them is cut short meanwhile.
 *
 * Touching a page that a mapped file no longer has is not an error that a function could return but
 * a signal, SIGBUS, in whichever thread touched it. Every mapping is therefore listed here, and a
 * program that asks for it (the command line does, a library must not) dies with one line that names
 * the file. What no signal tells, a file written over or grown again, fvlm_stamp_check_unchanged tells (file.h). */
#ifndef FVLM_FORMAT_BASE_MAPPED_H
#define FVLM_FORMAT_BASE_MAPPED_H

#include "format/base/base.h"

/* Maps the first n_bytes of fd for reading; lists the mapping under path. path and fd must outlive it. */
fvlm_status fvlm_mapped_open(const uint8_t **out, size_t n_bytes, int fd, const char *path, fvlm_err *err);
void fvlm_mapped_close(const uint8_t *map, size_t n_bytes); /* NULL is fine */

/* From now on a SIGBUS in a listed mapping ends the process with that line on stderr and exit code 3,
 * without running anything else; every other SIGBUS does what it did by default. */
void fvlm_mapped_guard(void);

#endif
