/* SPDX-License-Identifier: Apache-2.0 */
/* recipes.h - for the tests of convert: a folder's recipes, and their packed tensors back in logical order. */
#ifndef FVLM_TESTS_SUPPORT_RECIPES_H
#define FVLM_TESTS_SUPPORT_RECIPES_H

#include "convert/names/names.h"
#include "convert/pack.h"
#include "tests/support/checkpoint.h"

typedef struct {
    fvlm_source *source;
    fvlm_checkpoint checkpoint;
    fvlm_naming naming;
    fvlm_names names;
} test_recipes;

fvlm_status test_recipes_open(test_recipes *r, const char *folder, fvlm_err *err);
/* The same with the choice of a head, "own" or "tied". */
fvlm_status test_recipes_open_head(test_recipes *r, const char *folder, const char *head, fvlm_err *err);
void test_recipes_close(test_recipes *r);
const fvlm_recipe *test_recipe_find(const test_recipes *r, const char *name); /* asserts it is there */

typedef struct {
    fvlm_packing packing;
    uint8_t *weight, *bias; /* as stored */
    size_t weight_bytes, bias_bytes;
    double *w, *b; /* decoded, logical order: [out][in * k * k], [out] (NULL without a bias) */
} test_packed;

/* Packs in the given type (kind 0: the type it keeps) and takes the layout apart by types.h's formulas alone. */
fvlm_status test_pack(test_packed *out, const test_recipes *r, const fvlm_recipe *m, fvlm_type type, fvlm_err *err);
void test_packed_free(test_packed *p);

#endif
