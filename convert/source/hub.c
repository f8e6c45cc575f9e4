/* SPDX-License-Identifier: Apache-2.0 */
/* hub.c - see hub.h. */
#include "convert/source/hub.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "convert/source/listing.h"

#define LISTED 5

static bool is_folder(const char *path)
{
    struct stat about;
    return stat(path, &about) == 0 && S_ISDIR(about.st_mode);
}

static fvlm_status list(fvlm_listing *out, const char *path, fvlm_err *err)
{
    *out = (fvlm_listing){0};
    int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0) return fvlm_fail_errno(err, "\"%s\"", path);
    fvlm_status st = fvlm_listing_read(out, dir, err);
    close(dir);
    if (st) fvlm_err_prefix(err, "\"%s\"", path);
    return st; /* also without err */
}

/* The only name in path that matches; NULL if there is none. Several are refused, and listed. */
static fvlm_status only_one(char **out, const char *path, const char *pattern, const char *what, fvlm_err *err)
{
    fvlm_listing l;
    char text[1024] = "";
    size_t n_text = 0, n = 0, i = 0;
    *out = NULL;
    fvlm_status st = list(&l, path, err);
    for (const char *name; !st && (name = fvlm_listing_next(&l, pattern, &i)); n++) {
        if (n == 0 && !(*out = fvlm_asprintf("%s/%s", path, name))) st = fvlm_fail_nomem(err);
        if (n < LISTED && n_text < sizeof text)
            n_text += (size_t)snprintf(text + n_text, sizeof text - n_text, "%s\"%.150s\"", n ? ", " : "", name);
    }
    if (!st && n > 1)
        st = fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\" holds %zu %s: %s%s; give one of them", path, n, what, text,
                       n > LISTED ? " and more" : "");
    fvlm_listing_free(&l);
    if (st) {
        free(*out);
        *out = NULL;
    }
    return st;
}

/* The commit that refs/main names; "" if there is none. */
static fvlm_status read_main(const char *repository, char commit[128], fvlm_err *err)
{
    char *path = fvlm_asprintf("%s/refs/main", repository);
    if (!path) return fvlm_fail_nomem(err);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t n = fd < 0 ? 0 : read(fd, commit, 127);
    if (fd >= 0) close(fd);
    free(path);
    commit[n > 0 ? n : 0] = 0;
    commit[strspn(commit, "0123456789abcdefABCDEF")] = 0; /* never a path */
    return FVLM_OK;
}

static fvlm_status find_in_repository(char **out, const char *repository, fvlm_err *err)
{
    char commit[128], *snapshots = fvlm_asprintf("%s/snapshots", repository);
    fvlm_status st = snapshots ? read_main(repository, commit, err) : fvlm_fail_nomem(err);
    if (!st && commit[0]) {
        *out = fvlm_asprintf("%s/%s", snapshots, commit);
        if (!*out)
            st = fvlm_fail_nomem(err);
        else if (!is_folder(*out))
            st =
                fvlm_fail(err, FVLM_BAD_INPUT,
                          "\"%s/refs/main\" names the snapshot \"%s\", which is missing; download the repository again",
                          repository, commit);
    } else if (!st) {
        st = only_one(out, snapshots, "[!.]*", "snapshots and no refs/main", err);
        if (!st && !*out)
            st = fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\" holds no snapshot; download the repository again", repository);
    }
    free(snapshots);
    if (st) {
        free(*out);
        *out = NULL;
    }
    return st;
}

static fvlm_status find_in_cache(char **out, const char *cache, fvlm_err *err)
{
    char *repository;
    fvlm_status st =
        only_one(&repository, cache, "models--*[Ff][Aa][Ss][Tt][Vv][Ll][Mm]*", "FastVLM repositories", err);
    if (!st && !repository)
        st = fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\" is a Hugging Face cache without a FastVLM repository", cache);
    if (!st) st = find_in_repository(out, repository, err);
    free(repository);
    return st;
}

/* *st: memory is out. A folder that cannot be listed has nothing. */
static bool has(const char *path, const char *pattern, fvlm_status *st)
{
    fvlm_listing l;
    const fvlm_status listed = list(&l, path, NULL);
    if (listed == FVLM_NOMEM) *st = listed;
    if (listed) return false;
    bool found = fvlm_listing_find(&l, pattern) != NULL;
    fvlm_listing_free(&l);
    return found;
}

fvlm_status fvlm_hub_find_snapshot(char **out, const char *path, fvlm_err *err)
{
    char *snapshots = fvlm_asprintf("%s/snapshots", path), *parent = fvlm_asprintf("%s/..", path);
    char *hub = fvlm_asprintf("%s/hub", path), *full = realpath(path, NULL);
    const char *name = full ? strrchr(full, '/') : NULL;
    fvlm_status st = FVLM_OK;
    *out = NULL;
    if (!snapshots || !parent || !hub || (!full && errno == ENOMEM))
        st = FVLM_NOMEM;
    else if (is_folder(snapshots))
        st = find_in_repository(out, path, err);
    else if (name && !strcmp(name, "/snapshots"))
        st = find_in_repository(out, parent, err);
    else if (has(path, "models--*", &st))
        st = find_in_cache(out, path, err);
    else if (!st && has(hub, "models--*", &st))
        st = find_in_cache(out, hub, err);
    free(snapshots);
    free(parent);
    free(hub);
    free(full);
    return st == FVLM_NOMEM ? fvlm_fail_nomem(err) : st;
}
