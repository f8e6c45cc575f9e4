/* SPDX-License-Identifier: Apache-2.0 */
/* resolver.h - finds tensors by name and keeps account of which were used; private to names/. */
#ifndef FVLM_CONVERT_NAMES_RESOLVER_H
#define FVLM_CONVERT_NAMES_RESOLVER_H

#include <stdarg.h>
#include <stdio.h>

#include "convert/names/names.h"
#include "convert/names/naming.h"

#define FVLM_LISTED 10 /* names that a refusal lists before "and N more" */

typedef struct {
    const fvlm_source *src;
    const fvlm_checkpoint *checkpoint;
    const char *head;          /* "own", "tied" or NULL: see names.h */
    const fvlm_naming *naming; /* for messages; may be NULL */
    fvlm_names *out;
    bool *used; /* [source tensors] */
    char *missing[FVLM_LISTED];
    size_t n_missing, n_found;
    fvlm_err shape;      /* the first tensor that does not fit; reported only if no name is wrong: the likelier cause */
    fvlm_recipe nowhere; /* written to when memory or branches run out; never read */
    fvlm_err *err;
    fvlm_status st; /* a failure that ends the search at once: memory, limits, broken grammar */
} fvlm_resolver;

#define FVLM_MAX_SOURCE_NAME 256

/* The name that a function with the parameters (..., const char *fmt, ...) is given. */
#define FVLM_FORMAT_NAME(name, fmt)                                                                                    \
    do {                                                                                                               \
        va_list args;                                                                                                  \
        va_start(args, fmt);                                                                                           \
        vsnprintf(name, sizeof name, fmt, args);                                                                       \
        va_end(args);                                                                                                  \
    } while (0)

/* The tensor with this name, marked as used. NULL if it is absent, which is noted as missing. */
const fvlm_source_tensor *fvlm_resolver_require(fvlm_resolver *r, const char *fmt, ...) FVLM_PRINTF(2, 3);
bool fvlm_resolver_has(const fvlm_resolver *r, const char *fmt, ...) FVLM_PRINTF(2, 3); /* exactly this name */
/* A name that begins so. */
bool fvlm_resolver_has_prefix(const fvlm_resolver *r, const char *fmt, ...) FVLM_PRINTF(2, 3);

/* 1 + the largest number that follows this prefix; 0 if there is none. More than max is FVLM_LIMIT. */
unsigned fvlm_resolver_count(fvlm_resolver *r, unsigned max, const char *fmt, ...) FVLM_PRINTF(3, 4);

/* Appends a recipe without branches. The pointer is valid until the next call. */
fvlm_recipe *fvlm_resolver_new_recipe(fvlm_resolver *r, const char *fmt, ...) FVLM_PRINTF(2, 3);

/* Marks t, a tensor of the source, as not needed, by the named rule. */
void fvlm_resolver_drop(fvlm_resolver *r, const fvlm_source_tensor *t, const char *rule);

/* Refuses missing and left-over tensors by name; else the first shape that does not fit. */
fvlm_status fvlm_resolver_balance(fvlm_resolver *r);

/* Drops a stored table of rotary frequencies if it is that of config.json's rope_theta; refuses it if not. */
void fvlm_rotary_drop(fvlm_resolver *r, const fvlm_source_tensor *t);

/* Refuses towers that look like FastViTHD by their names, and compute something else. */
void fvlm_foreign_tower_check(fvlm_resolver *r);

void fvlm_apple_tower_resolve(fvlm_resolver *r);
void fvlm_apple_projector_resolve(fvlm_resolver *r);
void fvlm_apple_llm_resolve(fvlm_resolver *r);

#endif
