/* SPDX-License-Identifier: Apache-2.0 */
/* names.c - resolves a whole checkpoint: tower, projector, language model, and the balance of tensors. */
#include "convert/names/names.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "convert/names/dialects.h"
#include "convert/names/resolver.h"

#define HEAD FVLM_TOWER_PREFIX "head.proj"

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && !strcmp(text + n - m, end);
}

/* NAME.num_batches_tracked beside NAME.running_mean; some tools store it as a float. */
static bool is_counter(const fvlm_resolver *r, const fvlm_source_tensor *t)
{
    static const char end[] = ".num_batches_tracked";
    if (t->n_elems != 1 || !ends_with(t->key, end)) return false;
    const int n = (int)(strlen(t->key) - strlen(end));
    return (t->type == FVLM_SOURCE_I64 && t->rank == 0) || fvlm_resolver_has(r, "%.*s.running_mean", n, t->key);
}

/* Drops the tensors that inference does not need. */
static void drop_by_rule(fvlm_resolver *r)
{
    for (size_t i = 0; i < fvlm_source_n_tensors(r->src); i++) {
        const fvlm_source_tensor *t = fvlm_source_tensor_at(r->src, i);
        if (r->used[i]) continue;
        if (is_counter(r, t))
            fvlm_resolver_drop(r, t, "BatchNorm counters");
        else if (!strcmp(t->key, HEAD) || !strncmp(t->key, HEAD ".", sizeof HEAD))
            fvlm_resolver_drop(r, t, "CLIP head, which the language model never sees");
        else if (!strncmp(t->key, FVLM_CLIP_PREFIX, sizeof FVLM_CLIP_PREFIX - 1))
            fvlm_resolver_drop(r, t, "the rest of a CLIP model");
        else if (ends_with(t->key, "rotary_emb.inv_freq") && !r->st)
            fvlm_rotary_drop(r, t);
    }
}

fvlm_status fvlm_names_resolve(fvlm_names *out, const fvlm_source *src, const fvlm_checkpoint *checkpoint,
                               const fvlm_naming *naming, const char *head, fvlm_err *err)
{
    *out = (fvlm_names){.config = checkpoint->config};
    fvlm_resolver r = {.src = src, .checkpoint = checkpoint, .head = head, .naming = naming, .out = out, .err = err};
    r.used = fvlm_alloc(fvlm_source_n_tensors(src), sizeof *r.used);
    if (!r.used) return fvlm_fail_nomem(err);
    fvlm_foreign_tower_check(&r);
    if (!r.st) fvlm_apple_tower_resolve(&r);
    const bool projector = fvlm_config_has_projector(&checkpoint->config);
    if (!r.st && projector) fvlm_apple_projector_resolve(&r);
    if (!r.st && fvlm_config_has_llm(&checkpoint->config)) fvlm_apple_llm_resolve(&r);
    for (size_t i = 0; i < out->recipes.n; i++) fvlm_recipe_simplify(&out->recipes.items[i]);
    if (!r.st) drop_by_rule(&r);
    if (!r.st) r.st = fvlm_resolver_balance(&r);
    if (!r.st && projector && out->config.vision.out_dim != out->config.projector.in)
        r.st =
            fvlm_fail(err, FVLM_BAD_INPUT,
                      "\"config.json\": \"mm_hidden_size\" is %" PRIu32 ", but the tower ends in %" PRIu32 " channels",
                      out->config.projector.in, out->config.vision.out_dim);
    for (size_t i = 0; i < FVLM_LISTED; i++) free(r.missing[i]);
    free(r.used);
    if (r.st) fvlm_names_free(out);
    return r.st;
}

void fvlm_names_free(fvlm_names *n)
{
    for (size_t i = 0; i < n->recipes.n; i++) free(n->recipes.items[i].name);
    free(n->recipes.items);
    n->recipes = (fvlm_recipes){0};
}
