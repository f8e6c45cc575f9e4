/* SPDX-License-Identifier: Apache-2.0 */
/* output.h - an output file that appears whole or not at all.
 *
 * Nothing touches the target until the new file is complete, on disk and checked:
 * it is written without a name beside the target (O_TMPFILE; where that is not supported,
 * under a hidden temporary name), then linked or renamed into place. A kill or a power
 * failure leaves the old file or none. */
#ifndef FVLM_FORMAT_BASE_OUTPUT_H
#define FVLM_FORMAT_BASE_OUTPUT_H

#include "format/base/base.h"

typedef struct fvlm_output fvlm_output;

/* A program that may run under a file size limit should ignore SIGXFSZ, or that signal ends it before a write can fail.
 *
 * Symlinks are followed: what they point to is replaced. Refuses a target that exists without
 * force, and one that is not a regular file. Removes temporary files that a killed run left. */
fvlm_status fvlm_output_create(fvlm_output **out, const char *path, bool force, fvlm_err *err);

/* A new file in the folder dir, which may be closed afterwards; messages show shown_path. */
fvlm_status fvlm_output_create_at(fvlm_output **out, int dir, const char *name, const char *shown_path, fvlm_err *err);

/* Makes the file n_bytes long with its disk space allocated; unwritten bytes are zero. */
fvlm_status fvlm_output_reserve(fvlm_output *o, uint64_t n_bytes, fvlm_err *err);

/* Any thread, any order. Errors name the file and say that the previous one is untouched. */
fvlm_status fvlm_output_write(fvlm_output *o, uint64_t offset, const void *bytes, size_t n_bytes, fvlm_err *err);

/* For reading back what was written; stays owned by the output. */
int fvlm_output_fd(const fvlm_output *o);

/* Syncs the file, gives it its mode and name, syncs the directory. Frees and clears *o either way. */
fvlm_status fvlm_output_publish(fvlm_output **o, fvlm_err *err);
void fvlm_output_discard(fvlm_output **o); /* NULL is fine */

#endif
