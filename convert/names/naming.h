/* SPDX-License-Identifier: Apache-2.0 */
/* naming.h - the dialects of tensor names, and the way from each to Apple's, in which the grammar (names.h) is written.
 *
 *   fvlm_naming n;
 *   st = fvlm_naming_apply(&n, src, NULL, &err);         every tensor's key is now Apple's name
 *   fvlm_naming_original(&n, "model.norm.weight", text); "model.language_model.norm.weight"
 *
 * A dialect is data (dialects.c): prefixes that stand for others, and tables of patterns (patterns.h). */
#ifndef FVLM_CONVERT_NAMES_NAMING_H
#define FVLM_CONVERT_NAMES_NAMING_H

#include "convert/names/patterns.h"
#include "convert/source/source.h"

/* Of the keys of tower and projector. */
#define FVLM_TOWER_PREFIX "model.vision_tower.vision_tower.model."
#define FVLM_PROJECTOR_PREFIX "model.mm_projector."

typedef struct fvlm_dialect fvlm_dialect;

typedef struct {
    const fvlm_dialect *dialect; /* NULL: none was recognized; names are taken as Apple's */
    fvlm_stage_map stages;
    bool forced;
} fvlm_naming;

/* Recognizes the dialect by the tensors' names, or takes the one called 'forced'; strips a prefix that wraps all names;
 * and renames. Names that the dialect does not have get keys that nothing looks for, so that they are left over. The
 * order of dimensions is read off the shapes. A checkpoint of a known other kind is refused. */
fvlm_status fvlm_naming_apply(fvlm_naming *out, fvlm_source *src, const char *forced, fvlm_err *err);

const char *fvlm_naming_dialect(const fvlm_naming *n);  /* "transformers"; "apple" if none was recognized */
const char *fvlm_naming_describe(const fvlm_naming *n); /* what writes such names */
bool fvlm_naming_is_bare(const fvlm_naming *n);         /* a tower's names, without a language model's */

/* The dialect's name for a key of Apple's; the key itself if it has none, and if n is NULL. */
void fvlm_naming_original(const fvlm_naming *n, const char *key, char out[FVLM_PATTERN_MAX_NAME]);

#endif
