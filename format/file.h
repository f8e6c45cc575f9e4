/* file.h - reading input files: regular files only, whole reads, errors that name the file. */
#ifndef FVLM_FILE_H
#define FVLM_FILE_H

#include "format/base.h"

/* Opens a regular file for reading (a symlink the user typed is followed; FIFOs, devices and
 * folders are refused). The caller closes *fd. */
fvlm_status fvlm_file_open(int *fd, uint64_t *n_bytes, const char *path, fvlm_err *err);

/* Reads exactly n_bytes at offset: loops over short reads and EINTR, refuses an early end. */
fvlm_status fvlm_file_read(int fd, const char *path, uint64_t offset, void *out, size_t n_bytes, fvlm_err *err);

/* Both paths name the same existing file (hard links and symlinks included). */
bool fvlm_file_same(const char *a, const char *b);

#endif
