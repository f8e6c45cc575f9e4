/* SPDX-License-Identifier: Apache-2.0 */
/* output_path.c - see output_path.h. */
#include "format/base/output_path.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_LINKS 40 /* as the kernel */

/* The target of the link at path, as a path from the current folder; NULL with errno. */
static char *follow(const char *path)
{
    char target[PATH_MAX];
    ssize_t n = readlink(path, target, sizeof target - 1);
    if (n < 0) return NULL;
    target[n] = 0;
    const char *slash = strrchr(path, '/');
    if (target[0] == '/' || !slash) return fvlm_strdup(target);
    return fvlm_asprintf("%.*s/%s", (int)(slash - path), path, target);
}

/* The path with links at its end followed, malloc'd. */
static fvlm_status resolve_links(const char *path, char **out, fvlm_err *err)
{
    char *now = fvlm_strdup(path);
    for (int i = 0; now; i++) {
        struct stat s;
        if (lstat(now, &s) != 0 || !S_ISLNK(s.st_mode)) break;
        char *next = i < MAX_LINKS ? follow(now) : (errno = ELOOP, NULL);
        free(now);
        if (!next) return fvlm_fail_errno(err, "\"%s\"", path);
        now = next;
    }
    *out = now;
    return now ? FVLM_OK : fvlm_fail_nomem(err);
}

fvlm_status fvlm_output_resolve(const char *path, int *dir, char **name, fvlm_err *err)
{
    *dir = -1;
    *name = NULL;
    char *real;
    fvlm_status st = resolve_links(path, &real, err);
    if (st) return st;
    char *slash = strrchr(real, '/');
    const char *base = slash ? slash + 1 : real;
    if (!*base || !strcmp(base, ".") || !strcmp(base, "..")) {
        st = fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\" is a folder; give the name of a file in it", path);
    } else if (strlen(base) >= FVLM_TEMP_MAX) {
        st = fvlm_fail(err, FVLM_LIMIT, "\"%.60s...\": the file name is too long", path);
    } else if (!(*name = fvlm_strdup(base))) {
        st = fvlm_fail_nomem(err);
    } else {
        if (slash == real)
            slash[1] = 0; /* "/name": the root */
        else if (slash)
            *slash = 0;
        *dir = open(slash ? real : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (*dir < 0) st = fvlm_fail_errno(err, "\"%s\": cannot open its folder", path);
    }
    free(real);
    return st;
}

/* The common beginning of a target's temporary names. Short and of whole characters: some file systems allow 143 bytes,
 * and valid UTF-8 only. */
static int temp_prefix(const char *name, char out[FVLM_TEMP_MAX])
{
    size_t n = strlen(name);
    if (n > 100)
        for (n = 100; n > 96 && ((unsigned char)name[n] & 0xc0) == 0x80;) n--;
    return snprintf(out, FVLM_TEMP_MAX, ".fvlm-%.*s-", (int)n, name);
}

void fvlm_output_temp_name(const char *name, char out[FVLM_TEMP_MAX])
{
    uint32_t random = 0;
    if (getrandom(&random, sizeof random, 0) < 0) random = (uint32_t)getpid();
    int n = temp_prefix(name, out);
    snprintf(out + n, (size_t)(FVLM_TEMP_MAX - n), "%08x.tmp", (unsigned)random);
}

static bool is_temp(const char *entry, const char *prefix)
{
    size_t n = strlen(prefix);
    return strncmp(entry, prefix, n) == 0 && strspn(entry + n, "0123456789abcdef") == 8 &&
           strcmp(entry + n + 8, ".tmp") == 0;
}

int fvlm_output_open_folder(int dir, const char *name)
{
    return openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* With a read position of its own. */
static DIR *open_dir(int dir, const char *name)
{
    const int fd = fvlm_output_open_folder(dir, name);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d && fd >= 0) close(fd);
    return d;
}

static void remove_files(int dir, const char *name, bool nested)
{
    DIR *d = open_dir(dir, name);
    for (struct dirent *e; d && (e = readdir(d));) {
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..")) continue;
        if (unlinkat(dirfd(d), e->d_name, 0) == 0 || nested || errno == ENOENT) continue;
        remove_files(dirfd(d), e->d_name, true);
        unlinkat(dirfd(d), e->d_name, AT_REMOVEDIR);
    }
    if (d) closedir(d);
}

void fvlm_output_remove_tree(int dir, const char *name)
{
    remove_files(dir, name, false);
    unlinkat(dir, name, AT_REMOVEDIR);
}

/* By lock, never by age: a process that is still writing holds one, a dead process does not. */
static void remove_if_unlocked(int dir, const char *entry)
{
    int fd = openat(dir, entry, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return;
    struct stat s;
    if (fstat(fd, &s) == 0 && s.st_uid == geteuid() && flock(fd, LOCK_EX | LOCK_NB) == 0) {
        if (S_ISREG(s.st_mode)) unlinkat(dir, entry, 0);
        if (S_ISDIR(s.st_mode)) fvlm_output_remove_tree(dir, entry);
    }
    close(fd);
}

void fvlm_output_remove_stale(int dir, const char *name)
{
    DIR *d = open_dir(dir, ".");
    if (!d) return;
    char prefix[FVLM_TEMP_MAX];
    temp_prefix(name, prefix);
    for (struct dirent *e; (e = readdir(d));)
        if (is_temp(e->d_name, prefix)) remove_if_unlocked(dir, e->d_name);
    closedir(d);
}

/* From /proc, because umask() can only be read by setting it, for all threads. */
mode_t fvlm_output_umask(void)
{
    mode_t mask = 077;
    FILE *f = fopen("/proc/self/status", "re");
    if (f) {
        char line[256];
        unsigned value;
        bool found = false;
        while (!found && fgets(line, sizeof line, f)) found = sscanf(line, "Umask: %o", &value) == 1;
        fclose(f);
        if (found) return (mode_t)value;
    }
    mask = umask(mask);
    umask(mask);
    return mask;
}
