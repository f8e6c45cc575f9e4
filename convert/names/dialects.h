/* SPDX-License-Identifier: Apache-2.0 */
/* dialects.h - the table of dialects; private to names/. */
#ifndef FVLM_CONVERT_NAMES_DIALECTS_H
#define FVLM_CONVERT_NAMES_DIALECTS_H

#include "convert/names/naming.h"

#define FVLM_CLIP_PREFIX "clip." /* keys of what a CLIP model has beside its tower */

/* Names that begin with 'theirs' have Apple's 'apples' instead; the rest is rewritten by the table, if there is one. A
 * rest that the table does not have is not a name of the dialect. */
typedef struct {
    const char *theirs, *apples;
    const fvlm_pattern_pair *table; /* ends with {0} */
} fvlm_mount;

struct fvlm_dialect {
    const char *name, *what;
    const char *anchors[3];   /* a name holds one of them, at its beginning or after a dot: it is this dialect */
    const fvlm_mount *mounts; /* the first that matches counts; ends with {0}; NULL: the names are Apple's */
    bool bare;                /* a tower without a language model */
};

/* In the order of recognition: a dialect whose anchor is part of another's comes later. Rows of one name are variants.
 */
extern const fvlm_dialect fvlm_dialects[];
extern const size_t fvlm_n_dialects;

#endif
