/* SPDX-License-Identifier: Apache-2.0 */
/* listing.c - see listing.h. */
#include "convert/source/listing.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "format/base/grow.h"

static int text_order(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

fvlm_status fvlm_listing_read(fvlm_listing *out, int dir, fvlm_err *err)
{
    *out = (fvlm_listing){0};
    int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        fvlm_status st = errno == ENOMEM ? fvlm_fail_nomem(err) : fvlm_fail_errno(err, "the folder cannot be listed");
        if (fd >= 0) close(fd);
        return st;
    }
    fvlm_status st = FVLM_OK;
    size_t capacity = 0;
    for (const struct dirent *e; !st && out->n < FVLM_LISTING_MAX && (e = readdir(d));) {
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..")) continue;
        if (!fvlm_grow(&out->names, &capacity, out->n + 1, sizeof *out->names) ||
            !(out->names[out->n] = fvlm_strdup(e->d_name)))
            st = fvlm_fail_nomem(err);
        else
            out->n++;
    }
    closedir(d);
    if (out->n) qsort(out->names, out->n, sizeof *out->names, text_order);
    if (st) fvlm_listing_free(out);
    return st;
}

void fvlm_listing_free(fvlm_listing *l)
{
    for (size_t i = 0; i < l->n; i++) free(l->names[i]);
    free(l->names);
    *l = (fvlm_listing){0};
}

static bool any(const char *patterns, const char *text, bool glob)
{
    char one[64];
    for (const char *p = patterns; *p;) {
        size_t n = strcspn(p, " ");
        if (n < sizeof one) {
            memcpy(one, p, n);
            one[n] = 0;
            if (glob ? !fnmatch(one, text, FNM_PERIOD) : strstr(text, one) != NULL) return true;
        }
        p += n + (p[n] == ' ');
    }
    return false;
}

bool fvlm_listing_match(const char *patterns, const char *text)
{
    return any(patterns, text, true);
}

bool fvlm_listing_match_part(const char *parts, const char *text)
{
    return any(parts, text, false);
}

const char *fvlm_listing_next(const fvlm_listing *l, const char *patterns, size_t *i)
{
    while (*i < l->n)
        if (fvlm_listing_match(patterns, l->names[(*i)++])) return l->names[*i - 1];
    return NULL;
}

const char *fvlm_listing_find(const fvlm_listing *l, const char *patterns)
{
    size_t i = 0;
    return fvlm_listing_next(l, patterns, &i);
}
