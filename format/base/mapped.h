/* SPDX-License-Identifier: Apache-2.0 */
/* mapped.h - mapped input files, and how a program ends when one of them is cut short while it is in use.
 *
 * Touching a page that a mapped file no longer has raises SIGBUS in the thread that touched it; no function can return
 * that as an error. Every mapping is therefore listed here, and a program that installs the guard (the command line
 * does, a library must not) ends with one line that names the file. Changes that raise no signal (a file overwritten,
 * or grown again) are found by fvlm_stamp_check_unchanged (file.h). */
#ifndef FVLM_FORMAT_BASE_MAPPED_H
#define FVLM_FORMAT_BASE_MAPPED_H

#include "format/base/base.h"

enum { FVLM_MAX_MAPPED = 4096 }; /* at once: the three graphs of an ONNX model may name 1024 files each */

/* Maps the first n_bytes of fd for reading, or where that cannot be done, reads them into memory; lists the mapping
 * under path. path and fd must outlive it. FVLM_LIMIT if there are FVLM_MAX_MAPPED already. */
fvlm_status fvlm_mapped_open(const uint8_t **out, size_t n_bytes, int fd, const char *path, fvlm_err *err);
void fvlm_mapped_close(const uint8_t *map, size_t n_bytes); /* NULL is fine */

/* From now on a SIGBUS in a listed mapping ends the process with that line on stderr and exit code 3. The only other
 * code to run is before_exit (may be NULL), called before the line is written: async-signal-safe calls only.
 * Any other SIGBUS has its default effect. Call it once, before starting threads. */
void fvlm_mapped_guard(void (*before_exit)(void));

#endif
