/* SPDX-License-Identifier: Apache-2.0 */
/* vocabulary.c - collects a tokenizer and checks that it is whole.
 *
 * Whole means: ids 0 .. n-1 each have one text and no text two ids; every merge joins two tokens
 * into a third; added tokens do not contradict the vocabulary; the prompt's markers exist. */
#include "convert/vocabulary/vocabulary.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "convert/vocabulary/vocabulary_parts.h"

static fvlm_status no_memory(fvlm_err *err)
{
    return fvlm_fail(err, FVLM_NOMEM, "out of memory for the tokenizer");
}

bool fvlm_vocabulary_grow(void *array, size_t *room, size_t need, size_t size)
{
    void **p = array;
    if (need <= *room) return true;
    size_t more = need > 2 * *room ? need : 2 * *room;
    if (more < 256) more = 256;
    char *bigger = realloc(*p, more * size);
    if (!bigger) return false;
    memset(bigger + *room * size, 0, (more - *room) * size);
    *p = bigger;
    *room = more;
    return true;
}

/* Notes one token; false once 's' has failed. at = its place in the text. */
static bool add_token(fvlm_vocabulary *v, fvlm_scan *s, size_t at, const char *text, uint64_t id)
{
    if (id >= FVLM_MAX_TOKENS)
        return fvlm_scan_refuse(s, at, FVLM_LIMIT, "token \"%.64s\" has the id %" PRIu64 ", at most %u are allowed",
                                text, id, FVLM_MAX_TOKENS - 1);
    if (!fvlm_vocabulary_grow(&v->tokens, &v->tokens_room, (size_t)id + 1, sizeof *v->tokens))
        return fvlm_scan_refuse(s, at, FVLM_NOMEM, "out of memory for the tokenizer");
    if (v->tokens[id])
        return fvlm_scan_refuse(s, at, FVLM_BAD_INPUT, "tokens \"%.64s\" and \"%.64s\" have the same id %" PRIu64,
                                v->tokens[id], text, id);
    v->tokens[id] = text;
    if (id >= v->n_tokens) v->n_tokens = (size_t)id + 1;
    return true;
}

fvlm_status fvlm_vocabulary_add_merge(fvlm_vocabulary *v, const char *left, const char *right, fvlm_err *err)
{
    if (v->n_merges == FVLM_MAX_TOKENS) return fvlm_fail(err, FVLM_LIMIT, "more than %u merges", FVLM_MAX_TOKENS);
    if (!fvlm_vocabulary_grow(&v->merges, &v->merges_room, v->n_merges + 1, sizeof *v->merges)) return no_memory(err);
    v->merges[v->n_merges++] = (fvlm_vocabulary_merge){left, right};
    return FVLM_OK;
}

fvlm_status fvlm_vocabulary_add_added(fvlm_vocabulary *v, const char *what, json_int_t id, const char *text,
                                      const json_t *flags, fvlm_err *err)
{
    static const char *const unsupported[] = {"lstrip", "rstrip", "single_word"};
    if (id < 0 || id >= (json_int_t)FVLM_MAX_TOKENS)
        return fvlm_fail(err, FVLM_LIMIT,
                         "\"%s\": token \"%.64s\" has the id %" JSON_INTEGER_FORMAT ", expected 0 to %u", what, text,
                         id, FVLM_MAX_TOKENS - 1);
    for (unsigned i = 0; i < 3; i++)
        if (json_is_true(json_object_get(flags, unsupported[i])))
            return fvlm_fail(err, FVLM_UNSUPPORTED, "\"%s\": token \"%.64s\" has \"%s\" set, which is not supported",
                             what, text, unsupported[i]);
    if (!fvlm_vocabulary_grow(&v->added, &v->added_room, v->n_added + 1, sizeof *v->added)) return no_memory(err);
    const json_t *special = json_object_get(flags, "special");
    v->added[v->n_added++] = (fvlm_vocabulary_added){(uint32_t)id, text, .special = !special || json_is_true(special),
                                                     .normalized = json_is_true(json_object_get(flags, "normalized"))};
    return FVLM_OK;
}

bool fvlm_vocabulary_scan_tokens(fvlm_vocabulary *v, fvlm_scan *s)
{
    bool first = true;
    char *text;
    size_t at;
    uint64_t id;
    if (!fvlm_scan_expect(s, '{', "'{', the vocabulary")) return false;
    while (fvlm_scan_member(s, &first, &text, &at))
        if (!fvlm_scan_u64(s, &id) || !add_token(v, s, at, text, id)) return false;
    return !s->st;
}

/* ---- checks ---- */

/* A set of texts: open addressing over hashes, at most half full. */
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

/* The slot that holds the text or would. */
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
    if (!set_init(set, v->n_tokens)) return no_memory(err);
    for (size_t i = 0; i < v->n_tokens; i++) {
        if (!v->tokens[i]) return fvlm_fail(err, FVLM_BAD_INPUT, "the vocabulary has no token with the id %zu", i);
        size_t slot = set_slot(set, v->tokens[i]);
        if (set->slots[slot])
            return fvlm_fail(err, FVLM_BAD_INPUT, "the vocabulary has the token \"%.64s\" twice", v->tokens[i]);
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
                             "merge %zu, \"%.64s %.64s\", uses or makes a token that the vocabulary lacks", i, m->left,
                             m->right);
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

static void free_parts(fvlm_vocabulary *v)
{
    for (unsigned i = 0; i < v->n_texts; i++) free(v->texts[i]);
    for (unsigned i = 0; i < v->n_trees; i++) json_decref(v->trees[i]);
    free(v->tokens);
    free(v->merges);
    free(v->added);
}

fvlm_status fvlm_vocabulary_read(char **json, size_t *n_bytes, uint32_t *n_ids, fvlm_source *src, fvlm_err *err)
{
    fvlm_vocabulary v = {0};
    text_set set = {0};
    fvlm_status st;
    *json = NULL;
    if (fvlm_source_has(src, "vocab.json"))
        st = fvlm_vocabulary_from_files(&v, src, err);
    else if (fvlm_source_has(src, "tokenizer.json"))
        st = fvlm_vocabulary_from_tokenizer_json(&v, src, err);
    else
        st = fvlm_fail(err, FVLM_BAD_INPUT,
                       "the folder holds no tokenizer: neither vocab.json with merges.txt nor tokenizer.json");
    if (!st) st = check_tokens(&v, &set, err);
    if (!st) st = check_merges(&v, &set, err);
    if (!st) st = check_added(&v, err);
    if (!st) st = fvlm_vocabulary_json(json, n_bytes, &v, err);
    if (!st) {
        uint32_t last = v.added[v.n_added - 1].id; /* check_added: there are some, sorted */
        *n_ids = 1 + (last >= v.n_tokens ? last : (uint32_t)v.n_tokens - 1);
    }
    free(set.slots);
    free_parts(&v);
    return st;
}
