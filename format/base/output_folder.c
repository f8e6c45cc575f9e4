/* SPDX-License-Identifier: Apache-2.0 */
/* output_folder.c - see output_folder.h. As in output.c, every step is relative to a descriptor. */
#define _GNU_SOURCE 1 /* renameat2 */
#include "format/base/output_folder.h"

#include <dirent.h>
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

#define MAX_FILES 256 /* that a signal handler can remove; more may stay until the next run */

struct fvlm_output_folder {
    char *path;               /* as the user typed it, without slashes at its end; for messages */
    char *name;               /* the target's name in parent, links resolved */
    int parent, dir, sub;     /* dir: the new folder; sub: its subfolder, -1: there is none */
    char temp[FVLM_TEMP_MAX]; /* the new folder's name in parent */
    char *sub_name;
    fvlm_leftover *leftover, *sub_leftover, *files[MAX_FILES];
    char *names[MAX_FILES]; /* of the files, inside their folder */
    bool nested[MAX_FILES]; /* that folder is sub */
    size_t n_files;
    mode_t mode;
    fvlm_output_is_ours ours;
    bool force, replaces; /* a folder that is not empty */
};

static fvlm_status fail(const fvlm_output_folder *f, const char *what, fvlm_err *err)
{
    return fvlm_fail(err, FVLM_IO, "\"%s\": %s: %s%s", f->path, what, strerror(errno),
                     f->replaces ? "; the previous folder is untouched" : "");
}

/* ---- the target ---- */

static fvlm_status examine_entry(fvlm_output_folder *f, int dir, const char *prefix, const char *name, fvlm_err *err)
{
    char full[2 * FVLM_TEMP_MAX];
    struct stat s;
    snprintf(full, sizeof full, "%s%s", prefix, name);
    if (fstatat(dir, name, &s, AT_SYMLINK_NOFOLLOW) != 0) return errno == ENOENT ? FVLM_OK : fail(f, full, err);
    if (S_ISREG(s.st_mode) && f->ours(full)) return FVLM_OK;
    return fvlm_fail(err, FVLM_BAD_INPUT,
                     "\"%s\" holds \"%s\", which no export writes; it is not replaced, not even with --force", f->path,
                     full);
}

/* Every entry of the old folder must be a file of ours, or a subfolder of such. */
static fvlm_status examine_entries(fvlm_output_folder *f, int dir, const char *prefix, bool *empty, fvlm_err *err)
{
    fvlm_status st = FVLM_OK;
    DIR *d = fdopendir(dir);
    if (!d) {
        close(dir);
        return fail(f, "cannot read the folder", err);
    }
    for (struct dirent *e; !st && (e = readdir(d));) {
        struct stat s;
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..")) continue;
        *empty = false;
        if (!f->force) break;
        char below[FVLM_TEMP_MAX + 2];
        const bool nested =
            !prefix[0] && fstatat(dirfd(d), e->d_name, &s, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(s.st_mode);
        const int sub = nested ? fvlm_output_open_folder(dirfd(d), e->d_name) : -1;
        snprintf(below, sizeof below, "%.255s/", e->d_name);
        st = sub >= 0 ? examine_entries(f, sub, below, empty, err) : examine_entry(f, dirfd(d), prefix, e->d_name, err);
    }
    closedir(d);
    return st;
}

static fvlm_status examine_target(fvlm_output_folder *f, fvlm_err *err)
{
    struct stat s;
    bool empty = true;
    f->mode = 0777 & ~fvlm_output_umask();
    if (fstatat(f->parent, f->name, &s, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? FVLM_OK : fail(f, "cannot examine it", err);
    if (!S_ISDIR(s.st_mode)) return fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\" exists and is not a folder", f->path);
    f->mode = s.st_mode & 0777;
    const int dir = fvlm_output_open_folder(f->parent, f->name);
    if (dir < 0) return fail(f, "cannot open it", err);
    fvlm_status st = examine_entries(f, dir, "", &empty, err);
    if (!st && !empty && !f->force) return fvlm_fail(err, FVLM_EXISTS, "\"%s\" exists and is not empty", f->path);
    f->replaces = !empty;
    return st;
}

/* ---- the new folder ---- */

/* The lock tells other runs that its owner is alive. */
static fvlm_status make_temp(fvlm_output_folder *f, fvlm_err *err)
{
    for (int attempt = 0; attempt < 16; attempt++) {
        fvlm_output_temp_name(f->name, f->temp);
        f->leftover = fvlm_leftovers_add(f->parent, f->temp, true);
        if (mkdirat(f->parent, f->temp, 0700) == 0) {
            struct stat s;
            f->dir = fvlm_output_open_folder(f->parent, f->temp);
            if (f->dir >= 0 && flock(f->dir, LOCK_EX | LOCK_NB) == 0 && fstat(f->dir, &s) == 0 && s.st_nlink > 0)
                return FVLM_OK;
            if (f->dir < 0 && errno != ENOENT) break; /* ENOENT: another run took it for stale */
            if (f->dir >= 0) close(f->dir);
            f->dir = -1;
        } else if (errno != EEXIST) {
            break;
        }
        fvlm_leftovers_forget(f->leftover);
        f->leftover = NULL;
    }
    f->temp[0] = 0;
    return fail(f, "cannot create it", err);
}

fvlm_status fvlm_output_folder_create(fvlm_output_folder **out, const char *path, bool force, fvlm_output_is_ours ours,
                                      fvlm_err *err)
{
    *out = NULL;
    fvlm_output_folder *f = calloc(1, sizeof *f);
    if (!f) return fvlm_fail_nomem(err);
    f->parent = f->dir = f->sub = -1;
    f->force = force;
    f->ours = ours;
    f->path = fvlm_strdup(path);
    fvlm_status st = f->path ? FVLM_OK : fvlm_fail_nomem(err);
    if (!st)
        for (size_t n = strlen(f->path); n > 1 && f->path[n - 1] == '/'; n--) f->path[n - 1] = 0;
    const char *slash = st ? NULL : strrchr(f->path, '/'), *end = slash ? slash + 1 : f->path;
    if (!st && (!*end || !strcmp(end, ".") || !strcmp(end, "..")))
        st = fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\": give the name of a new folder", path);
    if (!st) st = fvlm_output_resolve(f->path, &f->parent, &f->name, err);
    if (!st) st = examine_target(f, err);
    if (!st) {
        fvlm_output_remove_stale(f->parent, f->name);
        st = make_temp(f, err);
    }
    if (st) fvlm_output_folder_discard(&f);
    *out = f;
    return st;
}

/* Opens the subfolder of that name, of which a folder has one at most. */
static fvlm_status open_sub(fvlm_output_folder *f, const char *name, size_t n, fvlm_err *err)
{
    if (f->sub >= 0 && strlen(f->sub_name) == n && !memcmp(f->sub_name, name, n)) return FVLM_OK;
    if (f->sub >= 0) return fvlm_fail(err, FVLM_UNSUPPORTED, "\"%s\": more than one subfolder", f->path);
    f->sub_name = fvlm_asprintf("%.*s", (int)n, name);
    if (!f->sub_name) return fvlm_fail_nomem(err);
    f->sub_leftover = fvlm_leftovers_add(f->dir, f->sub_name, true);
    if (mkdirat(f->dir, f->sub_name, f->mode) != 0) return fail(f, "cannot create its subfolder", err);
    f->sub = fvlm_output_open_folder(f->dir, f->sub_name);
    if (f->sub < 0) return fail(f, "cannot open its subfolder", err);
    return FVLM_OK;
}

fvlm_status fvlm_output_folder_open(fvlm_output_folder *f, const char *name, fvlm_output **file, fvlm_err *err)
{
    *file = NULL;
    const char *slash = strchr(name, '/'), *base = slash ? slash + 1 : name;
    fvlm_status st = slash ? open_sub(f, name, (size_t)(slash - name), err) : FVLM_OK;
    char *shown = st ? NULL : fvlm_asprintf("%s/%s", f->path, name), *copy = st ? NULL : fvlm_strdup(base);
    if (!st && (!shown || !copy)) st = fvlm_fail_nomem(err);
    if (!st) st = fvlm_output_create_at(file, slash ? f->sub : f->dir, base, shown, err);
    free(shown);
    /* Listed before it has its name, and forgotten with the folder. */
    if (!st && f->n_files < MAX_FILES) {
        f->names[f->n_files] = copy;
        f->nested[f->n_files] = slash;
        f->files[f->n_files++] = fvlm_leftovers_add(slash ? f->sub : f->dir, copy, false);
        copy = NULL;
    }
    free(copy);
    return st;
}

/* ---- publishing ---- */

/* Where two folders cannot be exchanged, the old one moves aside first; for a moment there is none. */
static int replace(fvlm_output_folder *f)
{
#ifdef RENAME_EXCHANGE /* not in musl 1.2.3 */
    if (renameat2(f->parent, f->temp, f->parent, f->name, RENAME_EXCHANGE) == 0) return 0;
    if (!fvlm_call_missing()) return -1;
#endif
    char aside[FVLM_TEMP_MAX];
    fvlm_output_temp_name(f->name, aside);
    if (renameat(f->parent, f->name, f->parent, aside) != 0) return -1;
    if (renameat(f->parent, f->temp, f->parent, f->name) == 0) {
        memcpy(f->temp, aside, sizeof aside);
        return 0;
    }
    const int cause = errno;
    renameat(f->parent, aside, f->parent, f->name);
    errno = cause;
    return -1;
}

/* rename() replaces nothing but an empty folder. */
static fvlm_status put_in_place(fvlm_output_folder *f, fvlm_err *err)
{
    const int r = f->replaces ? replace(f) : renameat(f->parent, f->temp, f->parent, f->name);
    if (r != 0 && (errno == ENOTEMPTY || errno == EEXIST || errno == ENOTDIR))
        return fvlm_fail(err, FVLM_EXISTS, "\"%s\" exists", f->path);
    if (r != 0) return fail(f, "cannot put it in place", err);
    if (f->replaces) fvlm_output_remove_tree(f->parent, f->temp); /* the old folder's name now */
    f->temp[0] = 0;
    return FVLM_OK;
}

static bool sync_dir(int fd)
{
    return fd < 0 || fvlm_sync(fd) == 0;
}

static void forget_files(fvlm_output_folder *f)
{
    for (size_t i = 0; i < f->n_files; i++) {
        fvlm_leftovers_forget(f->files[i]);
        free(f->names[i]);
    }
    f->n_files = 0;
    fvlm_leftovers_forget(f->sub_leftover);
    f->sub_leftover = NULL;
}

fvlm_status fvlm_output_folder_publish(fvlm_output_folder **out, fvlm_err *err)
{
    fvlm_output_folder *f = *out;
    fvlm_status st = FVLM_OK;
    if (fchmod(f->dir, f->mode) != 0 && errno != EPERM && errno != ENOSYS) st = fail(f, "cannot set its mode", err);
    if (!st && (!sync_dir(f->sub) || !sync_dir(f->dir))) st = fail(f, "cannot write", err);
    forget_files(f); /* from here on a signal must not take files out of the folder */
    if (!st) st = put_in_place(f, err);
    if (!st && !sync_dir(f->parent))
        st = fvlm_fail_errno(err, "\"%s\" is written, but the folder around it cannot be synced", f->path);
    fvlm_output_folder_discard(out);
    return st;
}

/* File by file, which needs no memory; what is not listed, and an old folder, by reading it. */
static void remove_temp(fvlm_output_folder *f)
{
    for (size_t i = 0; i < f->n_files; i++) unlinkat(f->nested[i] ? f->sub : f->dir, f->names[i], 0);
    if (f->sub_name) unlinkat(f->dir, f->sub_name, AT_REMOVEDIR);
    if (unlinkat(f->parent, f->temp, AT_REMOVEDIR) != 0) fvlm_output_remove_tree(f->parent, f->temp);
}

void fvlm_output_folder_discard(fvlm_output_folder **out)
{
    fvlm_output_folder *f = *out;
    if (!f) return;
    *out = NULL;
    if (f->temp[0]) remove_temp(f);
    forget_files(f);
    fvlm_leftovers_forget(f->leftover);
    if (f->sub >= 0) close(f->sub);
    if (f->dir >= 0) close(f->dir);
    if (f->parent >= 0) close(f->parent);
    free(f->sub_name);
    free(f->path);
    free(f->name);
    free(f);
}
