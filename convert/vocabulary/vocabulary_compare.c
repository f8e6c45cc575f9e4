/* SPDX-License-Identifier: Apache-2.0 */
/* vocabulary_compare.c - tokenizer.json against the files beside it, in everything that changes ids or an answer's
 * text. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "convert/vocabulary/vocabulary_parts.h"

/* The text of an id; NULL if it has none. *at moves through the added tokens, which are sorted. */
static const char *text_of(const fvlm_vocabulary *v, size_t id, size_t *at)
{
    while (*at < v->n_added && v->added[*at].id < id) ++*at;
    if (id < v->n_tokens && v->tokens[id]) return v->tokens[id];
    return *at < v->n_added && v->added[*at].id == id ? v->added[*at].text : NULL;
}

static size_t n_ids(const fvlm_vocabulary *v)
{
    const size_t last = v->n_added ? v->added[v->n_added - 1].id + (size_t)1 : 0;
    return last > v->n_tokens ? last : v->n_tokens;
}

/* Fails with the difference; a, b: what tokenizer.json and the other file have, NULL for nothing. */
static fvlm_status differ(const char *file, const char *what, const char *a, const char *b, fvlm_err *err)
{
    const char *quote_a = a ? "\"" : "", *quote_b = b ? "\"" : "";
    return fvlm_fail(err, FVLM_BAD_INPUT,
                     "\"tokenizer.json\" and \"%s\" disagree: %s is %s%.64s%s in the first and %s%.64s%s in the second",
                     file, what, quote_a, a ? a : "missing", quote_a, quote_b, b ? b : "missing", quote_b);
}

static fvlm_status compare_texts(const fvlm_vocabulary *files, const fvlm_vocabulary *full, fvlm_err *err)
{
    const size_t n_files = n_ids(files), n_full = n_ids(full);
    size_t at_files = 0, at_full = 0;
    for (size_t id = 0; id < n_files || id < n_full; id++) {
        const char *a = text_of(full, id, &at_full), *b = text_of(files, id, &at_files);
        const fvlm_status st = fvlm_stop_check(files->stop, err);
        if (st) return st;
        if (a == b || (a && b && !strcmp(a, b))) continue;
        const bool added = (at_full < full->n_added && full->added[at_full].id == id) ||
                           (at_files < files->n_added && files->added[at_files].id == id);
        char what[48];
        snprintf(what, sizeof what, "%stoken %zu", added ? "added " : "", id);
        return differ(added ? files->added_file : files->pieces ? "tokenizer.model" : "vocab.json", what, a, b, err);
    }
    return FVLM_OK;
}

static fvlm_status compare_merges(const fvlm_vocabulary *files, const fvlm_vocabulary *full, fvlm_err *err)
{
    for (size_t i = 0; i < files->n_merges || i < full->n_merges; i++) {
        const fvlm_vocabulary_merge *a = i < full->n_merges ? &full->merges[i] : NULL,
                                    *b = i < files->n_merges ? &files->merges[i] : NULL;
        const fvlm_status st = fvlm_stop_check(files->stop, err);
        if (st) return st;
        if (a && b && !strcmp(a->left, b->left) && !strcmp(a->right, b->right)) continue;
        char what[48], texts[2][64];
        snprintf(what, sizeof what, "merge %zu", i);
        if (a) snprintf(texts[0], sizeof texts[0], "%.30s %.30s", a->left, a->right);
        if (b) snprintf(texts[1], sizeof texts[1], "%.30s %.30s", b->left, b->right);
        return differ("merges.txt", what, a ? texts[0] : NULL, b ? texts[1] : NULL, err);
    }
    return FVLM_OK;
}

/* The texts agree; so both have the same ids, but an id may be added in one only. */
static fvlm_status compare_added(const fvlm_vocabulary *files, const fvlm_vocabulary *full, fvlm_err *err)
{
    for (size_t i = 0; i < files->n_added || i < full->n_added; i++) {
        const fvlm_vocabulary_added *a = i < full->n_added ? &full->added[i] : NULL,
                                    *b = i < files->n_added ? &files->added[i] : NULL;
        char what[64];
        if (a && b && a->id == b->id) {
            const bool special = a->flags.special != b->flags.special;
            if (!special && a->flags.normalized == b->flags.normalized) continue;
            snprintf(what, sizeof what, "\"%s\" of added token %" PRIu32, special ? "special" : "normalized", a->id);
            const bool set = special ? a->flags.special : a->flags.normalized;
            return differ(files->added_file, what, set ? "true" : "false", set ? "false" : "true", err);
        }
        if (a && b && a->id > b->id)
            a = NULL;
        else if (a && b)
            b = NULL;
        snprintf(what, sizeof what, "added token %" PRIu32, a ? a->id : b->id);
        return differ(files->added_file, what, a ? a->text : NULL, b ? b->text : NULL, err);
    }
    return FVLM_OK;
}

fvlm_status fvlm_vocabulary_compare_tokens(const fvlm_vocabulary *files, const fvlm_vocabulary *full, fvlm_err *err)
{
    const fvlm_status st = compare_texts(files, full, err);
    return st ? st : compare_added(files, full, err);
}

fvlm_status fvlm_vocabulary_compare(const fvlm_vocabulary *files, const fvlm_vocabulary *full, fvlm_err *err)
{
    fvlm_status st = compare_texts(files, full, err);
    if (!st) st = compare_merges(files, full, err);
    if (!st) st = compare_added(files, full, err);
    if (!st && files->pattern && strcmp(files->pattern, full->pattern) != 0)
        st = differ("vocab.json", "the regex that splits text", full->pattern, files->pattern, err);
    if (!st && files->ignore_merges != full->ignore_merges)
        st = differ("vocab.json", "\"ignore_merges\"", full->ignore_merges ? "true" : "false",
                    files->ignore_merges ? "true" : "false", err);
    if (!st && files->nfc != full->nfc)
        st = differ("vocab.json", "the normalizer", full->nfc ? "NFC" : NULL, files->nfc ? "NFC" : NULL, err);
    return st;
}
