/* SPDX-License-Identifier: Apache-2.0 */
/* vocabulary.c - reads a tokenizer and checks it: each id 0 .. n-1 has one text, and no text has two ids; every merge
 * joins two tokens into a third; added tokens do not contradict the vocabulary; the prompt's markers exist. */
#include "convert/vocabulary/vocabulary.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "convert/vocabulary/vocabulary_parts.h"

/* A set of strings: open addressing, at most half full. */
typedef struct {
    const char **slots;
    size_t mask;
} text_set;

static bool set_init(text_set *set, size_t n)
{
    size_t size = 16;
    while (size < 2 * n) size *= 2;
    set->slots = calloc(size, sizeof *set->slots);
    set->mask = size - 1;
    return set->slots != NULL;
}

/* The slot that holds the text, or the empty one where it would go. */
static size_t set_slot(const text_set *set, const char *text)
{
    size_t i = (size_t)XXH3_64bits(text, strlen(text)) & set->mask;
    while (set->slots[i] && strcmp(set->slots[i], text) != 0) i = (i + 1) & set->mask;
    return i;
}

static bool set_has(const text_set *set, const char *text)
{
    return set->slots[set_slot(set, text)] != NULL;
}

static fvlm_status check_tokens(const fvlm_vocabulary *v, text_set *set, fvlm_err *err)
{
    if (v->n_tokens == 0) return fvlm_fail(err, FVLM_BAD_INPUT, "the tokenizer has no tokens");
    if (!set_init(set, v->n_tokens)) return fvlm_fail_nomem(err);
    for (size_t i = 0; i < v->n_tokens; i++) {
        if (!v->tokens[i]) return fvlm_fail(err, FVLM_BAD_INPUT, "the vocabulary has no token with the id %zu", i);
        size_t slot = set_slot(set, v->tokens[i]);
        if (set->slots[slot])
            return fvlm_fail(err, FVLM_BAD_INPUT, "the token \"%.64s\" is in the vocabulary twice", v->tokens[i]);
        set->slots[slot] = v->tokens[i];
    }
    return FVLM_OK;
}

static fvlm_status check_merges(const fvlm_vocabulary *v, const text_set *set, fvlm_err *err)
{
    char joined[1024];
    for (size_t i = 0; i < v->n_merges; i++) {
        const fvlm_vocabulary_merge *m = &v->merges[i];
        int n = snprintf(joined, sizeof joined, "%s%s", m->left, m->right);
        if (n < 0 || (size_t)n >= sizeof joined)
            return fvlm_fail(err, FVLM_LIMIT, "merge %zu makes a token of %d bytes, at most %zu are allowed", i, n,
                             sizeof joined - 1);
        if (!set_has(set, m->left) || !set_has(set, m->right) || !set_has(set, joined))
            return fvlm_fail(err, FVLM_BAD_INPUT,
                             "merge %zu, \"%.64s %.64s\", uses or makes a token that is not in the vocabulary", i,
                             m->left, m->right);
    }
    return FVLM_OK;
}

static int by_id(const void *a, const void *b)
{
    const fvlm_vocabulary_added *x = a, *y = b;
    return x->id < y->id ? -1 : x->id > y->id;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(((const fvlm_vocabulary_added *)a)->text, ((const fvlm_vocabulary_added *)b)->text);
}

static fvlm_status check_added(fvlm_vocabulary *v, fvlm_err *err)
{
    static const char *const needed[] = {"<|im_start|>", "<|im_end|>"};
    if (v->n_added) qsort(v->added, v->n_added, sizeof *v->added, by_text);
    for (size_t i = 1; i < v->n_added; i++)
        if (!strcmp(v->added[i].text, v->added[i - 1].text))
            return fvlm_fail(err, FVLM_BAD_INPUT, "the added token \"%.64s\" has the ids %" PRIu32 " and %" PRIu32,
                             v->added[i].text, v->added[i - 1].id, v->added[i].id);
    for (unsigned k = 0; k < 2; k++) {
        fvlm_vocabulary_added key = {.text = needed[k]};
        if (!v->n_added || !bsearch(&key, v->added, v->n_added, sizeof key, by_text))
            return fvlm_fail(err, FVLM_BAD_INPUT, "the tokenizer has no added token \"%s\", which the prompt needs",
                             needed[k]);
    }
    qsort(v->added, v->n_added, sizeof *v->added, by_id);
    for (size_t i = 0; i < v->n_added; i++) {
        const fvlm_vocabulary_added *a = &v->added[i];
        if (!a->text[0]) return fvlm_fail(err, FVLM_BAD_INPUT, "the added token %" PRIu32 " has no text", a->id);
        if (i > 0 && a->id == a[-1].id)
            return fvlm_fail(err, FVLM_BAD_INPUT, "the added tokens \"%.64s\" and \"%.64s\" have the same id %" PRIu32,
                             a[-1].text, a->text, a->id);
        if (a->id < v->n_tokens && strcmp(v->tokens[a->id], a->text) != 0)
            return fvlm_fail(err, FVLM_BAD_INPUT,
                             "the id %" PRIu32 " is the token \"%.64s\" and the added token \"%.64s\"", a->id,
                             v->tokens[a->id], a->text);
    }
    return FVLM_OK;
}

fvlm_status fvlm_vocabulary_read(char **json, size_t *n_bytes, uint32_t *n_ids, fvlm_source *src,
                                 const fvlm_vocabulary_options *o, fvlm_err *err)
{
    fvlm_vocabulary v = {.stop = o->stop};
    text_set set = {0};
    fvlm_status st;
    *json = NULL;
    if (fvlm_source_has(src, "vocab.json"))
        st = fvlm_vocabulary_from_files(&v, src, err);
    else if (fvlm_source_has(src, "tokenizer.json"))
        st = fvlm_vocabulary_from_tokenizer_json(&v, src, err);
    else
        st = fvlm_fail(err, FVLM_BAD_INPUT,
                       "the folder has no tokenizer: neither vocab.json and merges.txt nor tokenizer.json");
    if (!st) st = check_tokens(&v, &set, err);
    if (!st) st = check_merges(&v, &set, err);
    if (!st) st = check_added(&v, err);
    if (!st) st = fvlm_vocabulary_json(json, n_bytes, &v, err);
    if (!st) {
        uint32_t last = v.added[v.n_added - 1].id; /* sorted and not empty: see check_added */
        *n_ids = 1 + (last >= v.n_tokens ? last : (uint32_t)v.n_tokens - 1);
    }
    free(set.slots);
    fvlm_vocabulary_free(&v);
    return st;
}
