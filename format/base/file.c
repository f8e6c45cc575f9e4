/* SPDX-License-Identifier: Apache-2.0 */
/* file.c - see file.h. Reads use pread, which has no shared position. */
#include "format/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

fvlm_status fvlm_file_open_at(int *fd, fvlm_stamp *stamp, int dirfd, const char *name, const char *shown_path,
                              fvlm_err *err)
{
    *fd = -1;
    /* O_NONBLOCK: opening a FIFO must not wait for a writer; it means nothing to regular files. */
    int f = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (f < 0) return fvlm_fail_errno(err, "\"%s\"", shown_path);
    struct stat s;
    fvlm_status st = FVLM_OK;
    if (fstat(f, &s) != 0)
        st = fvlm_fail_errno(err, "\"%s\"", shown_path);
    else if (S_ISDIR(s.st_mode))
        st = fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\" is a folder, expected a file", shown_path);
    else if (!S_ISREG(s.st_mode))
        st = fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\" is not a regular file", shown_path);
    if (st) {
        close(f);
        return st;
    }
    *fd = f;
    *stamp = (fvlm_stamp){(uint64_t)s.st_size, s.st_mtim};
    return FVLM_OK;
}

fvlm_status fvlm_file_open(int *fd, fvlm_stamp *stamp, const char *path, fvlm_err *err)
{
    return fvlm_file_open_at(fd, stamp, AT_FDCWD, path, path, err);
}

fvlm_status fvlm_file_read(int fd, const char *path, uint64_t offset, void *out, size_t n_bytes, fvlm_err *err)
{
    uint8_t *to = out;
    while (n_bytes > 0) {
        if (offset > INT64_MAX) return fvlm_fail(err, FVLM_LIMIT, "\"%s\": position beyond any file", path);
        ssize_t n = pread(fd, to, n_bytes, (off_t)offset);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fvlm_fail_errno(err, "\"%s\": byte %" PRIu64, path, offset);
        if (n == 0) return fvlm_refuse(err, offset, "\"%s\" ends at byte %" PRIu64 ", more was expected", path, offset);
        to += n;
        n_bytes -= (size_t)n;
        offset += (uint64_t)n;
    }
    return FVLM_OK;
}

fvlm_status fvlm_stamp_take(fvlm_stamp *out, int fd, const char *path, fvlm_err *err)
{
    struct stat s;
    if (fstat(fd, &s) != 0) return fvlm_fail_errno(err, "\"%s\"", path);
    *out = (fvlm_stamp){(uint64_t)s.st_size, s.st_mtim};
    return FVLM_OK;
}

fvlm_status fvlm_stamp_check_unchanged(const fvlm_stamp *then, int fd, const char *path, fvlm_status st, fvlm_err *err)
{
    fvlm_stamp now;
    if (fvlm_exit_code(st) > 1) return st;
    fvlm_status failed = fvlm_stamp_take(&now, fd, path, err);
    if (failed) return failed;
    if (now.n_bytes != then->n_bytes)
        return fvlm_fail(err, FVLM_CHANGED, "\"%s\" became %s while it was in use" FVLM_TRY_AGAIN, path,
                         now.n_bytes < then->n_bytes ? "shorter" : "longer");
    if (now.changed.tv_sec != then->changed.tv_sec || now.changed.tv_nsec != then->changed.tv_nsec)
        return fvlm_fail(err, FVLM_CHANGED, "\"%s\" was written to while it was in use" FVLM_TRY_AGAIN, path);
    return st;
}

bool fvlm_file_same(const char *a, const char *b)
{
    struct stat sa, sb;
    return stat(a, &sa) == 0 && stat(b, &sb) == 0 && sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}
