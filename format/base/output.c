/* SPDX-License-Identifier: Apache-2.0 */
/* output.c - see output.h. Every step after opening the target's directory is relative to that directory's
 * descriptor, so a folder that is renamed meanwhile cannot send the file elsewhere. */
#define _GNU_SOURCE 1 /* O_TMPFILE, renameat2, fallocate */
#include "format/base/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/base/leftovers.h"
#include "format/base/output_path.h"
#include "format/base/sync.h"

struct fvlm_output {
    char *path; /* as the user typed it, for messages */
    char *name; /* the target's name in dir, links resolved */
    int dir, fd;
    char temp[FVLM_TEMP_MAX]; /* our name in dir; empty while the file has none */
    fvlm_leftover *leftover;  /* that name */
    mode_t mode;
    bool force, had_target;
};

static fvlm_status fail(const fvlm_output *o, int cause, const char *what, fvlm_err *err)
{
    return fvlm_fail(err, FVLM_IO, "\"%s\": %s: %s%s", o->path, what, strerror(cause),
                     o->had_target ? "; the previous file is untouched" : "");
}

/* Refuses a target that may not be replaced; remembers the mode of one that may. */
static fvlm_status examine_target(fvlm_output *o, fvlm_err *err)
{
    struct stat s;
    if (fstatat(o->dir, o->name, &s, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno != ENOENT) return fvlm_fail_errno(err, "\"%s\"", o->path);
        o->mode = 0666 & ~fvlm_output_umask();
        return FVLM_OK;
    }
    if (S_ISDIR(s.st_mode))
        return fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\" is a folder; give the name of a file in it", o->path);
    if (!S_ISREG(s.st_mode))
        return fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\" is a device, pipe or socket, not a regular file", o->path);
    if (!o->force) return fvlm_fail(err, FVLM_EXISTS, "\"%s\" exists", o->path);
    o->had_target = true;
    o->mode = s.st_mode & 0777;
    return FVLM_OK;
}

static void new_temp_name(fvlm_output *o)
{
    fvlm_leftovers_forget(o->leftover);
    fvlm_output_temp_name(o->name, o->temp);
    o->leftover = fvlm_leftovers_add(o->dir, o->temp, false);
}

/* The file has another name, or the temporary one is not ours. */
static void forget_temp_name(fvlm_output *o)
{
    fvlm_leftovers_forget(o->leftover);
    o->leftover = NULL;
    o->temp[0] = 0;
}

static int link_unnamed(const fvlm_output *o, int fd, const char *name)
{
    char self[32];
    snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    return linkat(AT_FDCWD, self, o->dir, name, AT_SYMLINK_FOLLOW);
}

static int open_unnamed(const fvlm_output *o)
{
    return openat(o->dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
}

/* Tries the link that will publish the file, with another one: a finished file that cannot get a name is lost. */
static bool can_link_unnamed(fvlm_output *o)
{
    const int fd = open_unnamed(o);
    if (fd < 0) return false;
    new_temp_name(o);
    const bool linked = link_unnamed(o, fd, o->temp) == 0;
    if (linked) unlinkat(o->dir, o->temp, 0);
    forget_temp_name(o);
    close(fd);
    return linked;
}

/* A file without a name if the file system can make one and name it later, otherwise one with a temporary name. The
 * lock tells other runs that its owner is alive; between open and lock another run may consider it stale and remove
 * it, so then the next name is tried. */
static fvlm_status open_temp(fvlm_output *o, fvlm_err *err)
{
    if (can_link_unnamed(o) && (o->fd = open_unnamed(o)) >= 0) {
        (void)flock(o->fd, LOCK_EX | LOCK_NB);
        return FVLM_OK;
    }
    int cause = EEXIST;
    for (int attempt = 0; attempt < 16; attempt++) {
        new_temp_name(o);
        o->fd = openat(o->dir, o->temp, O_CREAT | O_EXCL | O_NOFOLLOW | O_RDWR | O_CLOEXEC, 0600);
        if (o->fd < 0 && errno == EEXIST) continue;
        if (o->fd < 0) {
            cause = errno;
            break;
        }
        (void)flock(o->fd, LOCK_EX | LOCK_NB);
        struct stat s;
        if (fstat(o->fd, &s) == 0 && s.st_nlink > 0) return FVLM_OK;
        close(o->fd);
        o->fd = -1;
    }
    forget_temp_name(o);
    return fail(o, cause, "cannot create it", err);
}

/* An output that does not know its folder and name yet; NULL if out of memory. */
static fvlm_output *new_output(const char *path, bool force)
{
    fvlm_output *o = calloc(1, sizeof *o);
    if (!o) return NULL;
    o->dir = o->fd = -1;
    o->force = force;
    o->path = fvlm_strdup(path);
    if (!o->path) fvlm_output_discard(&o);
    return o;
}

/* st: of finding the folder and the name. */
static fvlm_status create(fvlm_output **out, fvlm_output *o, fvlm_status st, fvlm_err *err)
{
    if (!st) st = examine_target(o, err);
    if (!st) {
        fvlm_output_remove_stale(o->dir, o->name);
        st = open_temp(o, err);
    }
    if (st) fvlm_output_discard(&o);
    *out = o;
    return st;
}

fvlm_status fvlm_output_create(fvlm_output **out, const char *path, bool force, fvlm_err *err)
{
    *out = NULL;
    fvlm_output *o = new_output(path, force);
    return o ? create(out, o, fvlm_output_resolve(path, &o->dir, &o->name, err), err) : fvlm_fail_nomem(err);
}

fvlm_status fvlm_output_create_at(fvlm_output **out, int dir, const char *name, const char *shown_path, fvlm_err *err)
{
    *out = NULL;
    fvlm_output *o = new_output(shown_path, false);
    if (!o) return fvlm_fail_nomem(err);
    o->name = fvlm_strdup(name);
    o->dir = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return create(out, o,
                  !o->name     ? fvlm_fail_nomem(err)
                  : o->dir < 0 ? fail(o, errno, "cannot open its folder", err)
                               : FVLM_OK,
                  err);
}

fvlm_status fvlm_output_reserve(fvlm_output *o, uint64_t n_bytes, fvlm_err *err)
{
    if (n_bytes > INT64_MAX) return fvlm_fail(err, FVLM_LIMIT, "\"%s\": larger than a file can be", o->path);
    if (n_bytes == 0) return FVLM_OK;
    int r;
    do r = fallocate(o->fd, 0, 0, (off_t)n_bytes);
    while (r != 0 && errno == EINTR);
    /* Not posix_fallocate: if the file system cannot reserve, it writes every block itself. */
    if (r != 0 && fvlm_call_missing()) r = ftruncate(o->fd, (off_t)n_bytes);
    if (r != 0 && fvlm_call_missing()) r = pwrite(o->fd, "", 1, (off_t)n_bytes - 1) == 1 ? 0 : -1;
    return r == 0 ? FVLM_OK : fail(o, errno, "cannot reserve its space", err);
}

fvlm_status fvlm_output_write(fvlm_output *o, uint64_t offset, const void *bytes, size_t n_bytes, fvlm_err *err)
{
    const uint8_t *from = bytes;
    while (n_bytes > 0) {
        if (offset > INT64_MAX) return fvlm_fail(err, FVLM_LIMIT, "\"%s\": larger than a file can be", o->path);
        ssize_t n = pwrite(o->fd, from, n_bytes, (off_t)offset);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return fail(o, n < 0 ? errno : ENOSPC, "cannot write", err);
        from += n;
        n_bytes -= (size_t)n;
        offset += (uint64_t)n;
    }
    return FVLM_OK;
}

int fvlm_output_fd(const fvlm_output *o)
{
    return o->fd;
}

/* ---- publishing ---- */

/* Without force the name must still be free. Where the file system can neither refuse to replace nor link, the name is
 * taken by an empty file first; for a moment others may see that. */
static int rename_no_replace(const fvlm_output *o)
{
#ifdef RENAME_NOREPLACE /* not in musl 1.2.3 */
    if (renameat2(o->dir, o->temp, o->dir, o->name, RENAME_NOREPLACE) == 0) return 0;
    if (!fvlm_call_missing()) return -1;
#endif
    if (linkat(o->dir, o->temp, o->dir, o->name, 0) == 0) return unlinkat(o->dir, o->temp, 0);
    if (!fvlm_call_missing() && errno != EMLINK) return -1;
    const int fd = openat(o->dir, o->name, O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0) return -1;
    close(fd);
    if (renameat(o->dir, o->temp, o->dir, o->name) == 0) return 0;
    const int cause = errno;
    unlinkat(o->dir, o->name, 0);
    errno = cause;
    return -1;
}

/* Gives the file its name; the only step that changes what others see. */
static int put_in_place(fvlm_output *o)
{
    bool unnamed = o->temp[0] == 0;
    if (unnamed && !o->force) return link_unnamed(o, o->fd, o->name);
    for (int attempt = 0; unnamed && attempt < 16; attempt++) {
        new_temp_name(o);
        unnamed = link_unnamed(o, o->fd, o->temp) != 0;
        if (!unnamed) break;
        forget_temp_name(o);
        if (errno != EEXIST) return -1;
    }
    if (unnamed) return -1;
    if ((o->force ? renameat(o->dir, o->temp, o->dir, o->name) : rename_no_replace(o)) != 0) return -1;
    forget_temp_name(o);
    return 0;
}

/* The name is in place: from here on a failure no longer means "nothing happened". */
static fvlm_status sync_and_close(fvlm_output *o, fvlm_err *err)
{
    if (fvlm_sync(o->dir) != 0)
        return fvlm_fail_errno(err, "\"%s\" is written, but its folder cannot be synced", o->path);
    int fd = o->fd;
    o->fd = -1;
    if (close(fd) != 0 && errno != EINTR)
        return fvlm_fail_errno(err, "\"%s\" is written, but closing it failed", o->path);
    return FVLM_OK;
}

fvlm_status fvlm_output_publish(fvlm_output **out, fvlm_err *err)
{
    fvlm_output *o = *out;
    fvlm_status st = FVLM_OK;
    /* The mode first: until now it was 0600, so it is never wider than it should be. */
    if (fchmod(o->fd, o->mode) != 0 && !fvlm_call_missing()) st = fail(o, errno, "cannot set its mode", err);
    /* A failed fsync is final: the kernel may have dropped the pages, a second try would lie. */
    else if (fvlm_sync(o->fd) != 0)
        st = fail(o, errno, "cannot write", err);
    else if (put_in_place(o) != 0)
        st = errno == EEXIST ? fvlm_fail(err, FVLM_EXISTS, "\"%s\" exists", o->path)
                             : fail(o, errno, "cannot put it in place", err);
    else
        st = sync_and_close(o, err);
    fvlm_output_discard(out);
    return st;
}

void fvlm_output_discard(fvlm_output **out)
{
    fvlm_output *o = *out;
    if (!o) return;
    *out = NULL;
    if (o->temp[0]) unlinkat(o->dir, o->temp, 0);
    fvlm_leftovers_forget(o->leftover);
    if (o->fd >= 0) close(o->fd);
    if (o->dir >= 0) close(o->dir);
    free(o->path);
    free(o->name);
    free(o);
}
