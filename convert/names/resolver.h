/* SPDX-License-Identifier: Apache-2.0 */
/* resolver.h - finding tensors by name while keeping account of them; inside of names/. */
#ifndef FVLM_CONVERT_NAMES_RESOLVER_H
#define FVLM_CONVERT_NAMES_RESOLVER_H

#include "convert/names/names.h"

#define FVLM_LISTED 10 /* names in a refusal before "and N more" */

typedef struct {
    const fvlm_source *src;
    const fvlm_checkpoint *checkpoint;
    fvlm_names *out;
    bool *used; /* by index of the source tensor */
    char *missing[FVLM_LISTED];
    size_t n_missing;
    fvlm_err shape; /* the first shape that does not fit: told unless names are wrong, which is the likelier cause */
    fvlm_recipe nowhere; /* written to when memory or branches run out; never read */
    fvlm_err *err;
    fvlm_status st; /* what stops the search at once: memory, limits, broken grammar */
} fvlm_resolver;

#define FVLM_TOWER_PREFIX "model.vision_tower.vision_tower.model."

/* The tensor of that name, marked as used; an absent one is noted as missing and gives NULL. */
const fvlm_source_tensor *fvlm_resolver_require(fvlm_resolver *r, const char *fmt, ...) FVLM_PRINTF(2, 3);
bool fvlm_resolver_has(const fvlm_resolver *r, const char *fmt, ...) FVLM_PRINTF(2, 3); /* exactly this name */
bool fvlm_resolver_has_prefix(const fvlm_resolver *r, const char *fmt, ...)
    FVLM_PRINTF(2, 3); /* a name that begins so */

/* 1 + the largest number that follows this beginning of a name; 0 if none does. */
unsigned fvlm_resolver_count(fvlm_resolver *r, unsigned max, const char *fmt, ...) FVLM_PRINTF(3, 4);

fvlm_recipe *fvlm_resolver_new_recipe(fvlm_resolver *r, const char *fmt, ...) FVLM_PRINTF(2, 3);

/* The tensor with this index is not needed, by the rule of this name. */
void fvlm_resolver_drop(fvlm_resolver *r, size_t i, const char *rule);

/* Refuses missing and left-over tensors by name, then the first shape that did not fit. hint ends the refusal. */
fvlm_status fvlm_resolver_balance(fvlm_resolver *r, const char *hint);

void fvlm_apple_tower_resolve(fvlm_resolver *r);
void fvlm_apple_projector_resolve(fvlm_resolver *r);
void fvlm_apple_llm_resolve(fvlm_resolver *r);

#endif
