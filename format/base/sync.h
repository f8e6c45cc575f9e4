/* SPDX-License-Identifier: Apache-2.0 */
/* sync.h - fsync that a signal can interrupt. */
#ifndef FVLM_FORMAT_BASE_SYNC_H
#define FVLM_FORMAT_BASE_SYNC_H

#include <stdbool.h>

/* Whether errno says that the file system, or a sandbox, has no such call: some FUSE, 9p, FAT, NFS. */
bool fvlm_call_missing(void);

/* Writes the file or folder fd to the disk, as fsync does. No signal can end a process while it waits for the disk, so
 * a child process waits; if there can be none, or no /proc, the caller does. The child sends no SIGCHLD, and ends early
 * if the caller is gone. Returns 0, also where the call is missing, or -1 with errno. */
int fvlm_sync(int fd);

#endif
