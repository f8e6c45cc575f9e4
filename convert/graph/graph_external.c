/* SPDX-License-Identifier: Apache-2.0 */
/* graph_external.c - opens the files of external data that a model names.
 *
 * A location is a path below the model's folder, that is, the folder of the path that the user gave. It is followed
 * component by component from that folder's descriptor, none of them "..", none a symlink (O_NOFOLLOW), so it cannot
 * lead out, and nothing can be replaced meanwhile. (openat2's RESOLVE_BENEATH would do the same on Linux only.) A file
 * with several hard links is refused, too: one of them may be in another folder (CVE-2026-34446). The exception is
 * Hugging Face's cache, where every file of a snapshot is a symlink "../../blobs/DIGEST", one ".." for each folder up
 * to the repository: such a link, with nothing but hexadecimal digits at its end, is followed to the blobs folder that
 * lies beside the snapshots. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "convert/graph/graph_internal.h"
#include "format/base/mapped.h"

fvlm_status fvlm_graph_add_file(fvlm_graph *g, int fd, const fvlm_stamp *stamp, char *location, const char *path,
                                fvlm_err *err)
{
    fvlm_graph_open_file *f = &g->files[g->n_files++]; /* fvlm_graph_close takes over */
    *f = (fvlm_graph_open_file){location, fvlm_strdup(path), fd, *stamp, NULL};
    size_t n;
    if (!f->path || !fvlm_checked_size(stamp->n_bytes, &n)) return fvlm_fail_nomem(err);
    return n ? fvlm_mapped_open(&f->map, n, fd, f->path, err) : FVLM_OK;
}

static fvlm_status refuse(fvlm_err *err, const char *location, const char *why)
{
    return fvlm_fail(err, FVLM_BAD_INPUT, "external data \"%s\": %s", location, why);
}

/* Checks the text. Its components become separate strings in parts: "a\0b\0" for "a/./b". */
static fvlm_status split(const char *location, char parts[PATH_MAX], size_t *n_parts, fvlm_err *err)
{
    const size_t n = strlen(location);
    *n_parts = 0;
    if (n == 0) return refuse(err, location, "the location is empty");
    if (n >= PATH_MAX) return refuse(err, location, "the location is too long");
    if (location[0] == '/') return refuse(err, location, "an absolute path; it must be one below the model's folder");
    if (strchr(location, '\\')) return refuse(err, location, "a path with a backslash; ONNX separates folders by '/'");
    for (const char *s = location; s; s = strchr(s, '/') ? strchr(s, '/') + 1 : NULL) {
        const size_t length = strcspn(s, "/");
        if (length == 0) return refuse(err, location, "a path with an empty component");
        if (length == 1 && s[0] == '.') continue;
        if (length == 2 && s[0] == '.' && s[1] == '.')
            return refuse(err, location, "a path with \"..\"; it must be one below the model's folder");
        memcpy(parts, s, length);
        parts[length] = 0;
        parts += length + 1;
        ++*n_parts;
    }
    return *n_parts ? FVLM_OK : refuse(err, location, "the model's folder, expected a file");
}

/* A location that is followed, and the file at its end. */
typedef struct {
    const char *location, *folder; /* of the model, as a path */
    char parts[PATH_MAX];
    size_t n_parts;
    int fd; /* -1 until it is open */
    fvlm_stamp stamp;
} search;

/* If the symlink 'name' in dir, the folder of the location's last part, is one of Hugging Face's cache: the folder of
 * its blobs (to be closed) in *blobs, and the blob's name in blob. Else *blobs is -1. */
static fvlm_status open_blobs(int *blobs, char blob[129], const search *s, int dir, const char *name, fvlm_err *err)
{
    char target[PATH_MAX];
    const size_t depth = s->n_parts - 1; /* folders below the model's */
    const ssize_t n = readlinkat(dir, name, target, sizeof target - 1);
    *blobs = -1;
    if (n < 0) return FVLM_OK;
    target[n] = 0;
    const char *rest = target;
    size_t up = 0;
    for (; !strncmp(rest, "../", 3); rest += 3) up++;
    const bool digest = !strncmp(rest, "blobs/", 6) && strlen(rest + 6) >= 40 && strlen(rest + 6) <= 128 &&
                        strspn(rest + 6, "0123456789abcdef") == strlen(rest + 6);
    /* From REPOSITORY/snapshots/COMMIT/..., up - 2 folders below the commit's, the links lead to REPOSITORY. */
    if (!digest || up < 2 || up - 2 < depth) return FVLM_OK;
    char *full = realpath(s->folder, NULL), *at = full;
    if (!full) return errno == ENOMEM ? fvlm_fail_nomem(err) : fvlm_fail_errno(err, "\"%s\"", s->folder);
    for (size_t i = 0; at && i < up - 2 - depth; i++) /* to the commit's folder */
        if ((at = strrchr(full, '/'))) *at = 0;
    char *commit = at ? strrchr(full, '/') : NULL;
    if (commit) *commit = 0;
    char *snapshots = commit ? strrchr(full, '/') : NULL;
    fvlm_status st = FVLM_OK;
    if (snapshots && !strcmp(snapshots, "/snapshots")) {
        strcpy(blob, rest + 6);
        memcpy(snapshots, "/blobs", sizeof "/blobs");
        *blobs = open(full, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (*blobs < 0 && errno != ENOENT && errno != ELOOP && errno != ENOTDIR)
            st = fvlm_fail_errno(err, "\"%s\"", full);
    }
    free(full);
    return st;
}

/* Opens a file of the folder dir. */
static fvlm_status open_plain(search *s, int dir, const char *name, fvlm_err *err)
{
    struct stat about;
    const int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 && errno == ENOENT) return refuse(err, s->location, "the model needs this file, and it is not there");
    if (fd < 0 && errno == ELOOP) return refuse(err, s->location, "a symlink; put the file itself there");
    if (fd < 0) return fvlm_fail_errno(err, "external data \"%s\"", s->location);
    fvlm_status st = FVLM_OK;
    if (fstat(fd, &about) != 0)
        st = fvlm_fail_errno(err, "external data \"%s\"", s->location);
    else if (S_ISDIR(about.st_mode))
        st = refuse(err, s->location, "a folder, expected a file");
    else if (!S_ISREG(about.st_mode))
        st = refuse(err, s->location, "not a regular file");
    else if (about.st_nlink > 1)
        st = refuse(err, s->location, "has several hard links, perhaps one outside the model's folder; copy it");
    if (st) return close(fd), st;
    s->fd = fd;
    s->stamp = (fvlm_stamp){(uint64_t)about.st_size, about.st_mtim};
    return FVLM_OK;
}

static fvlm_status open_last(search *s, int dir, const char *name, fvlm_err *err)
{
    char blob[129];
    int blobs;
    fvlm_status st = open_blobs(&blobs, blob, s, dir, name, err);
    if (st || blobs < 0) return st ? st : open_plain(s, dir, name, err);
    st = open_plain(s, blobs, blob, err);
    close(blobs);
    return st;
}

/* Follows the parts of the location from the model's folder. */
static fvlm_status follow(search *s, int folder, fvlm_err *err)
{
    fvlm_status st = FVLM_OK;
    const char *part = s->parts;
    int dir = folder;
    for (size_t i = 0; !st && i + 1 < s->n_parts; i++, part += strlen(part) + 1) {
        const int next = openat(dir, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (next < 0)
            st = errno == ENOENT ? refuse(err, s->location, "the model needs this file, and it is not there")
                 : errno == ELOOP || errno == ENOTDIR
                     ? refuse(err, s->location, "a path through a symlink or a file; put the folder itself there")
                     : fvlm_fail_errno(err, "external data \"%s\"", s->location);
        if (dir != folder) close(dir);
        dir = next;
    }
    if (!st) st = open_last(s, dir, part, err);
    if (dir >= 0 && dir != folder) close(dir);
    return st;
}

fvlm_status fvlm_graph_find_external(uint32_t *file, fvlm_graph *g, const char *location, fvlm_err *err)
{
    for (size_t i = 1; i < g->n_files; i++) {
        *file = (uint32_t)i;
        if (!strcmp(g->files[i].location, location)) return FVLM_OK;
    }
    search s = {.location = location, .fd = -1};
    fvlm_status st = split(location, s.parts, &s.n_parts, err);
    if (st) return st;
    if (g->n_files == FVLM_GRAPH_MAX_FILES)
        return fvlm_fail(err, FVLM_LIMIT, "external data in over %d files", FVLM_GRAPH_MAX_FILES - 1);
    const char *model = g->files[0].path, *slash = strrchr(model, '/');
    const int n_folder = slash ? (int)(slash - model) + 1 : 0;
    char *folder = slash ? fvlm_asprintf("%.*s", n_folder, model) : fvlm_strdup("./");
    char *path = fvlm_asprintf("%.*s%s", n_folder, model, location), *kept = fvlm_strdup(location);
    s.folder = folder;
    if (!folder || !path || !kept) st = fvlm_fail_nomem(err);
    if (!st && g->folder < 0 && (g->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
        st = fvlm_fail_errno(err, "\"%s\"", folder);
    if (!st) st = follow(&s, g->folder, err);
    if (!st) {
        *file = (uint32_t)g->n_files;
        st = fvlm_graph_add_file(g, s.fd, &s.stamp, kept, path, err);
    } else {
        free(kept);
    }
    free(folder);
    free(path);
    return st;
}
