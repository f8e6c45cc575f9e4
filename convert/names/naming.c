/* SPDX-License-Identifier: Apache-2.0 */
/* naming.c - see naming.h. */
#include "convert/names/naming.h"

#include <stdio.h>
#include <string.h>

#include "convert/names/dialects.h"
#include "convert/source/renames.h"

/* ---- recognizing ---- */

typedef struct {
    const char *example; /* a name that holds the anchor */
    size_t prefix;       /* bytes before it */
} finding;

/* The anchor at the beginning of a name, or else after a dot. */
static finding find_anchor(const fvlm_source *src, const char *anchor)
{
    finding f = {0};
    for (size_t i = 0; i < fvlm_source_n_tensors(src); i++) {
        const char *name = fvlm_source_tensor_at(src, i)->name, *at = strstr(name, anchor);
        if (at == name) return (finding){name, 0};
        while (at && at[-1] != '.') at = strstr(at + 1, anchor);
        if (at && !f.example) f = (finding){name, (size_t)(at - name)};
    }
    return f;
}

static finding find_dialect(const fvlm_source *src, const fvlm_dialect *d)
{
    finding f = {0};
    for (size_t i = 0; i < sizeof d->anchors / sizeof *d->anchors && d->anchors[i] && !f.example; i++)
        f = find_anchor(src, d->anchors[i]);
    /* The anchors of towers alone are short: they count only if all names belong together. */
    for (size_t i = 0; d->bare && f.example && i < fvlm_source_n_tensors(src); i++)
        if (strncmp(fvlm_source_tensor_at(src, i)->name, f.example, f.prefix)) return (finding){0};
    return f;
}

/* The first row of the table that the names, or 'forced', speak for. If none of the forced dialect's anchors is there,
 * its first row: what is missing is reported later. */
static fvlm_status recognize(fvlm_naming *n, finding *f, const fvlm_source *src, const char *forced, fvlm_err *err)
{
    const fvlm_dialect *first = NULL;
    for (size_t i = 0; i < fvlm_n_dialects; i++) {
        const fvlm_dialect *d = &fvlm_dialects[i];
        if (forced && strcmp(d->name, forced)) continue;
        if (!first) first = d;
        *f = find_dialect(src, d);
        if (!f->example) continue;
        n->dialect = d;
        return FVLM_OK;
    }
    n->dialect = forced ? first : NULL;
    if (!forced || first) return FVLM_OK;
    return fvlm_fail(
        err, FVLM_USAGE,
        "--dialect: \"%.40s\" is not apple, transformers, mlx-vlm, apple-mlx, timm, openclip, mobileclip or "
        "apple-tower",
        forced);
}

/* ---- renaming ---- */

static const char *after(const char *name, const char *prefix)
{
    const size_t n = strlen(prefix);
    return strncmp(name, prefix, n) ? NULL : name + n;
}

/* One direction of a dialect; false if it does not have the name. */
static bool rewrite(const fvlm_naming *n, bool to_apple, const char *name, char out[FVLM_PATTERN_MAX_NAME])
{
    for (const fvlm_mount *m = n->dialect->mounts; m->theirs; m++) {
        const char *rest = after(name, to_apple ? m->theirs : m->apples);
        const bool tower = after(to_apple ? m->apples : name, FVLM_TOWER_PREFIX) != NULL;
        if (!rest || tower != (m->table != NULL)) continue; /* "model." is not the tower's "model.vision_tower." */
        size_t k = (size_t)snprintf(out, FVLM_PATTERN_MAX_NAME, "%s", to_apple ? m->apples : m->theirs);
        if (!m->table)
            return k + (size_t)snprintf(out + k, FVLM_PATTERN_MAX_NAME - k, "%s", rest) < FVLM_PATTERN_MAX_NAME;
        for (const fvlm_pattern_pair *p = m->table; p->theirs; p++)
            if (fvlm_pattern_rewrite(p, to_apple, &n->stages, rest, out + k, FVLM_PATTERN_MAX_NAME - k)) return true;
        return false;
    }
    return false;
}

/* No name of Apple's holds a space. */
static fvlm_status key_of(const void *ctx, const char *name, char **key, fvlm_err *err)
{
    char text[FVLM_PATTERN_MAX_NAME];
    *key = rewrite(ctx, true, name, text) ? fvlm_strdup(text) : fvlm_asprintf("left over: %s", name);
    return *key ? FVLM_OK : fvlm_fail_nomem(err);
}

/* Numbers the parts of the stages, if the tower has timm's names. */
static void number_stages(fvlm_naming *n, const fvlm_source *src)
{
    memset(&n->stages, 0xff, sizeof n->stages);
    const fvlm_mount *m = n->dialect->mounts; /* the tower is the first */
    for (size_t i = 0; i < fvlm_source_n_tensors(src); i++) {
        const char *rest = after(fvlm_source_tensor_at(src, i)->name, m->theirs);
        if (rest) fvlm_stage_map_note(&n->stages, rest);
    }
    fvlm_stage_map_number(&n->stages);
}

/* Of a depthwise kernel, [n, 1, k, k] or [n, k, k, 1], the shape tells the order. */
static bool has_channels_last(const fvlm_source *src)
{
    static const char *const depthwise[] = {FVLM_TOWER_PREFIX "patch_embed.1.reparam_conv.weight",
                                            FVLM_TOWER_PREFIX "patch_embed.1.rbr_conv.0.conv.weight"};
    for (size_t i = 0; i < 2; i++) {
        const fvlm_source_tensor *t = fvlm_source_find(src, depthwise[i]);
        if (t && t->rank == 4 && t->dims[1] == t->dims[2] && t->dims[1] > 1 && t->dims[3] == 1) return true;
    }
    return false;
}

fvlm_status fvlm_naming_apply(fvlm_naming *out, fvlm_source *src, const char *forced, fvlm_err *err)
{
    finding f = {0};
    *out = (fvlm_naming){.forced = forced != NULL};
    fvlm_status st = recognize(out, &f, src, forced, err);
    if (!st && !out->dialect) st = fvlm_source_refuse_unknown(src, err);
    if (!st && f.prefix) st = fvlm_source_strip(src, f.example, f.prefix, err);
    if (!st) st = fvlm_source_refuse_wrapped(src, err);
    if (st || !out->dialect) return st;
    if (out->dialect->mounts) {
        number_stages(out, src);
        st = fvlm_source_rename(src, key_of, out, err);
    }
    if (!st && has_channels_last(src)) fvlm_source_turn_channels(src, FVLM_TOWER_PREFIX);
    return st;
}

/* ---- queries ---- */

const char *fvlm_naming_dialect(const fvlm_naming *n)
{
    return n->dialect ? n->dialect->name : "apple";
}

const char *fvlm_naming_describe(const fvlm_naming *n)
{
    return n->dialect ? n->dialect->what : "Apple's LLaVA";
}

bool fvlm_naming_is_bare(const fvlm_naming *n)
{
    return n->dialect && n->dialect->bare;
}

void fvlm_naming_original(const fvlm_naming *n, const char *key, char out[FVLM_PATTERN_MAX_NAME])
{
    if (!n || !n->dialect || !n->dialect->mounts || !rewrite(n, false, key, out))
        snprintf(out, FVLM_PATTERN_MAX_NAME, "%s", key);
}
