/* SPDX-License-Identifier: Apache-2.0 */
/* resolver.c - see resolver.h. */
#include "convert/names/resolver.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/grow.h"

const fvlm_source_tensor *fvlm_resolver_require(fvlm_resolver *r, const char *fmt, ...)
{
    char name[FVLM_MAX_SOURCE_NAME];
    FVLM_FORMAT_NAME(name, fmt);
    const fvlm_source_tensor *t = fvlm_source_find(r->src, name);
    if (t) {
        r->used[t - fvlm_source_tensor_at(r->src, 0)] = true;
        r->n_found++;
        if (t->type >= FVLM_SOURCE_I64 && !r->shape.code)
            fvlm_fail(&r->shape, FVLM_UNSUPPORTED,
                      "tensor \"%.200s\": %s cannot hold a weight; give the checkpoint it was made from (BF16, F16 or "
                      "F32)",
                      name, fvlm_source_type_name(t->type));
        return t;
    }
    if (r->n_missing < FVLM_LISTED && !(r->missing[r->n_missing] = fvlm_strdup(name))) r->st = fvlm_fail_nomem(r->err);
    r->n_missing++;
    return NULL;
}

bool fvlm_resolver_has(const fvlm_resolver *r, const char *fmt, ...)
{
    char name[FVLM_MAX_SOURCE_NAME];
    FVLM_FORMAT_NAME(name, fmt);
    return fvlm_source_find(r->src, name) != NULL;
}

bool fvlm_resolver_has_prefix(const fvlm_resolver *r, const char *fmt, ...)
{
    char name[FVLM_MAX_SOURCE_NAME];
    FVLM_FORMAT_NAME(name, fmt);
    size_t i = fvlm_source_first_at_or_after(r->src, name);
    return i < fvlm_source_n_tensors(r->src) && !strncmp(fvlm_source_tensor_at(r->src, i)->key, name, strlen(name));
}

unsigned fvlm_resolver_count(fvlm_resolver *r, unsigned max, const char *fmt, ...)
{
    char name[FVLM_MAX_SOURCE_NAME];
    FVLM_FORMAT_NAME(name, fmt);
    size_t n = strlen(name), most = 0;
    for (size_t i = fvlm_source_first_at_or_after(r->src, name); i < fvlm_source_n_tensors(r->src); i++) {
        const char *found = fvlm_source_tensor_at(r->src, i)->key;
        if (strncmp(found, name, n) != 0) break;
        size_t number = 0;
        const char *p = found + n;
        for (; *p >= '0' && *p <= '9' && number < 100000; p++) number = 10 * number + (size_t)(*p - '0');
        if (p > found + n && *p == '.' && number >= most) most = number + 1;
    }
    if (most > max && !r->st)
        r->st = fvlm_fail(r->err, FVLM_LIMIT, "tensors \"%s0.\" to \"%s%zu.\": at most %u are supported", name, name,
                          most - 1, max);
    return most > max ? max : (unsigned)most;
}

fvlm_recipe *fvlm_resolver_new_recipe(fvlm_resolver *r, const char *fmt, ...)
{
    char name[FVLM_MAX_SOURCE_NAME];
    FVLM_FORMAT_NAME(name, fmt);
    fvlm_recipes *all = &r->out->recipes;
    char *kept = fvlm_strdup(name);
    if (!kept || !fvlm_grow(&all->items, &all->capacity, all->n + 1, sizeof *all->items)) {
        free(kept);
        r->st = fvlm_fail_nomem(r->err);
        return &r->nowhere;
    }
    fvlm_recipe *m = &all->items[all->n++];
    *m = (fvlm_recipe){.name = kept, .groups = 1, .k = 1, .stride = 1, .q_scale = 1};
    return m;
}

void fvlm_resolver_drop(fvlm_resolver *r, const fvlm_source_tensor *t, const char *rule)
{
    fvlm_names *out = r->out;
    r->used[t - fvlm_source_tensor_at(r->src, 0)] = true;
    unsigned k = 0;
    while (k < out->n_dropped && strcmp(out->dropped[k].rule, rule) != 0) k++;
    assert(k < FVLM_MAX_DROP_RULES); /* rules are in the code, not in the file */
    if (k == out->n_dropped) out->dropped[out->n_dropped++].rule = rule;
    out->dropped[k].n_tensors++;
    out->dropped[k].n_bytes += t->n_bytes;
}

/* "A", "B" and 3 more */
static size_t list(char *to, size_t size, const char *const *names, size_t n_names, size_t n)
{
    size_t used = 0;
    to[0] = 0;
    for (size_t i = 0; i < n_names && used < size; i++)
        used += (size_t)snprintf(to + used, size - used, "%s\"%.150s\"", i ? ", " : "", names[i]);
    if (n > n_names && used < size) used += (size_t)snprintf(to + used, size - used, " and %zu more", n - n_names);
    return used < size ? used : size - 1;
}

fvlm_status fvlm_resolver_balance(fvlm_resolver *r)
{
    const char *left[FVLM_LISTED];
    const size_t n_all = fvlm_source_n_tensors(r->src);
    size_t n_left = 0;
    for (size_t i = 0; i < n_all; i++) {
        if (r->used[i]) continue;
        if (n_left < FVLM_LISTED) left[n_left] = fvlm_source_tensor_at(r->src, i)->name;
        n_left++;
    }
    if (!r->n_missing && !n_left) {
        if (r->shape.code && r->err) *r->err = r->shape;
        return r->shape.code;
    }
    if (r->n_found == 0 && !(r->naming && r->naming->forced))
        return fvlm_fail(r->err, FVLM_UNSUPPORTED,
                         "\"%s\" is not a FastVLM: none of its %zu tensors has a name of FastVLM's, the first is "
                         "\"%.200s\"; give Apple's own checkpoint folder",
                         fvlm_source_folder(r->src), n_all, fvlm_source_tensor_at(r->src, 0)->name);
    char text[1900], theirs[FVLM_LISTED][FVLM_PATTERN_MAX_NAME];
    const char *missing[FVLM_LISTED];
    size_t n = 0, n_shown = r->n_missing < FVLM_LISTED ? r->n_missing : FVLM_LISTED;
    for (size_t i = 0; i < n_shown; i++) {
        fvlm_naming_original(r->naming, r->missing[i], theirs[i]);
        missing[i] = theirs[i];
    }
    if (r->n_missing) {
        n = (size_t)snprintf(text, sizeof text, "%zu tensor%s missing: ", r->n_missing,
                             r->n_missing == 1 ? " is" : "s are");
        n += list(text + n, sizeof text / 2 - n, missing, n_shown, r->n_missing);
    }
    if (n_left) {
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%zu tensor%s left over: ", n ? "; " : "", n_left,
                              n_left == 1 ? " is" : "s are");
        list(text + n, sizeof text - n, left, n_left < FVLM_LISTED ? n_left : FVLM_LISTED, n_left);
    }
    const char *hint = "";
    for (size_t i = 0; i < n_shown; i++)
        if (fvlm_source_is_unlisted(r->src, missing[i]))
            hint = "; a shard holds it, but the index does not list it: download the index again";
    if (r->n_missing == 1 && n_left == 0 && !strcmp(r->missing[0], "lm_head.weight"))
        hint = "; config.json says that it is not tied to the embedding: --head tied uses the embedding anyway";
    return fvlm_fail(r->err, FVLM_BAD_INPUT, "%s%s", text, hint);
}
