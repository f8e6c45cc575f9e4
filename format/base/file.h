/* SPDX-License-Identifier: Apache-2.0 */
/* file.h - reads input files: regular files only, whole reads, errors that name the file; detects files that change
 * while they are in use. All functions are thread-safe. */
#ifndef FVLM_FORMAT_BASE_FILE_H
#define FVLM_FORMAT_BASE_FILE_H

#include <time.h>

#include "format/base/base.h"

/* A file's size and modification time. They show nearly every change; not one whose writer restores the time, nor a
 * second write within one tick of the file system's clock (some milliseconds). */
typedef struct {
    uint64_t n_bytes;
    struct timespec changed;
} fvlm_stamp;

fvlm_status fvlm_stamp_take(fvlm_stamp *out, int fd, const char *path, fvlm_err *err);

/* Opens a regular file for reading and stamps it; symlinks are followed, folders, FIFOs and devices are refused.
 * The caller closes *fd, which is -1 on failure. _at: name is relative to the folder dirfd, and messages show
 * shown_path. */
fvlm_status fvlm_file_open(int *fd, fvlm_stamp *stamp, const char *path, fvlm_err *err);
fvlm_status fvlm_file_open_at(int *fd, fvlm_stamp *stamp, int dirfd, const char *name, const char *shown_path,
                              fvlm_err *err);

/* Reads exactly n_bytes at offset: loops over short reads and EINTR, refuses an early end. */
fvlm_status fvlm_file_read(int fd, const char *path, uint64_t offset, void *out, size_t n_bytes, fvlm_err *err);

/* Call with the status of work on a file before reporting it. If the file has changed since the stamp was taken, st
 * means nothing, whether the file seemed fine or damaged: returns FVLM_CHANGED with its own message. Otherwise, and
 * if st is a usage or system error (exit code 2 or 3), returns st with *err untouched. */
fvlm_status fvlm_stamp_check_unchanged(const fvlm_stamp *then, int fd, const char *path, fvlm_status st, fvlm_err *err);

#define FVLM_TRY_AGAIN "; run the command again when nothing writes to it"

/* Both paths name the same existing file (hard links and symlinks included). */
bool fvlm_file_same(const char *a, const char *b);

#endif
