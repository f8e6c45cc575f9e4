/* SPDX-License-Identifier: Apache-2.0 */
/* listing.h - the names in a folder, sorted; private to source/. */
#ifndef FVLM_CONVERT_SOURCE_LISTING_H
#define FVLM_CONVERT_SOURCE_LISTING_H

#include "format/base/base.h"

#define FVLM_LISTING_MAX 65536 /* further names are not read; the listing only helps to explain */

typedef struct {
    char **names; /* without "." and ".." */
    size_t n;
} fvlm_listing;

/* Lists the open folder dir, whose position it leaves alone. On failure *out is empty. */
fvlm_status fvlm_listing_read(fvlm_listing *out, int dir, fvlm_err *err);
void fvlm_listing_free(fvlm_listing *l);

/* The first name that matches one of the patterns (fnmatch, separated by spaces; '*' hides hidden files), at or after
 * *i, which becomes its index + 1. NULL if there is none. */
const char *fvlm_listing_next(const fvlm_listing *l, const char *patterns, size_t *i);
const char *fvlm_listing_find(const fvlm_listing *l, const char *patterns);

/* Whether text matches one of the patterns. */
bool fvlm_listing_match(const char *patterns, const char *text);
bool fvlm_listing_match_part(const char *parts, const char *text); /* contains one of the parts, separated by spaces */

#endif
