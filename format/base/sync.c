/* SPDX-License-Identifier: Apache-2.0 */
/* sync.c - see sync.h. */
#define _GNU_SOURCE 1 /* sync_file_range, __WALL */
#include "format/base/sync.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

bool fvlm_call_missing(void)
{
    return errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP || errno == EPERM;
}

/* In chunks, so that the child notices early that nobody waits any more (waits 0: never). Where sync_file_range is
 * missing or fails, fsync decides. */
static int sync_chunks(int fd, pid_t waits)
{
    const off_t chunk = 8 << 20;
    const unsigned flags = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
    struct stat s;
    if (fstat(fd, &s) != 0) return -1;
    for (off_t at = 0; S_ISREG(s.st_mode) && at < s.st_size; at += chunk) {
        if (waits && syscall(SYS_getppid) != waits) return 0;
        if (sync_file_range(fd, at, chunk, flags) == 0) continue;
        if (errno != EIO && errno != ENOSPC && errno != EDQUOT) break;
        return -1; /* fsync would not report it again */
    }
    return fsync(fd) == 0 || fvlm_call_missing() ? 0 : -1;
}

/* False if there was no child, or it did not end by itself: nothing is known then. Else *error is its errno, or 0. */
static bool sync_in_child(int fd, int *error)
{
    const pid_t self = getpid();
    sigset_t all, kept;
    int status;
    char path[40];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    /* Opened again for the child, since a lock on fd must not outlive the caller. */
    const int own = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    if (own < 0) return false; /* no /proc, or a file without permission to read */
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &kept); /* the child handles none of the caller's signals */
    const pid_t child = (pid_t)syscall(SYS_clone, 0, 0, 0, 0, 0);
    if (child == 0) {
        if (own > 0) syscall(SYS_close_range, 0, own - 1, 0);
        syscall(SYS_close_range, own + 1, ~0u, 0);
        syscall(SYS_exit_group, sync_chunks(own, self) == 0 ? 0 : errno);
    }
    sigprocmask(SIG_SETMASK, &kept, NULL);
    close(own);
    if (child < 0) return false;
    while (waitpid(child, &status, __WALL) < 0)
        if (errno != EINTR) return false;
    if (!WIFEXITED(status)) return false; /* the child was killed */
    *error = WEXITSTATUS(status);
    return true;
}

int fvlm_sync(int fd)
{
    int error;
    if (!sync_in_child(fd, &error)) return sync_chunks(fd, 0);
    errno = error;
    return error ? -1 : 0;
}
