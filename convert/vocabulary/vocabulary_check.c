/* SPDX-License-Identifier: Apache-2.0 */
/* vocabulary_check.c - a tokenizer that was read must be one that can run: every byte has a token, merges use and make
 * tokens, ids are unique. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "convert/vocabulary/vocabulary_parts.h"
#include "format/base/hash.h"
#include "format/base/utf8.h"
#include "format/byte_letters.h"

/* Ids by text: open addressing, at most half full. */
typedef struct {
    uint32_t *slots; /* id + 1; 0 is free */
    size_t mask;
    uint64_t seed;
    const char *const *tokens;
} text_index;

/* The slot that holds the text, or the free one where it would go. */
static uint32_t *slot_of(const text_index *x, const char *text)
{
    size_t i = (size_t)XXH3_64bits_withSeed(text, strlen(text), x->seed) & x->mask;
    while (x->slots[i] && strcmp(x->tokens[x->slots[i] - 1], text) != 0) i = (i + 1) & x->mask;
    return &x->slots[i];
}

static bool has(const text_index *x, const char *text)
{
    return *slot_of(x, text) != 0;
}

static fvlm_status index_tokens(text_index *x, const fvlm_vocabulary *v, fvlm_err *err)
{
    size_t size = 16;
    while (size < 2 * v->n_tokens) size *= 2;
    *x = (text_index){calloc(size, sizeof *x->slots), size - 1, fvlm_hash_seed(), v->tokens};
    if (!x->slots) return fvlm_fail_nomem(err);
    for (size_t i = 0; i < v->n_tokens; i++) {
        const fvlm_status st = fvlm_stop_check(v->stop, err);
        if (st) return st;
        if (!v->tokens[i]) continue;
        uint32_t *slot = slot_of(x, v->tokens[i]);
        if (*slot)
            return fvlm_fail(err, FVLM_BAD_INPUT, "the token \"%.64s\" is in the vocabulary twice", v->tokens[i]);
        *slot = (uint32_t)i + 1;
    }
    return FVLM_OK;
}

static fvlm_status check_bytes(fvlm_vocabulary *v, const text_index *x, fvlm_err *err)
{
    bool found[256] = {false};
    for (int32_t c = 0; c < 0x144; c++) {
        char letter[5] = "";
        const int byte = fvlm_byte_letters_value(c);
        if (byte < 0) continue;
        fvlm_utf8_put(c, (uint8_t *)letter);
        found[byte] = has(x, letter);
    }
    for (unsigned b = 0; b < 256; b++) {
        if (found[b]) continue;
        /* of a byte-level BPE without unk_token, tokenizers leaves such bytes out */
        const bool drops = v->may_add_bos && !v->has_unknown && (b < ' ' || b > '~');
        if (!drops)
            return fvlm_fail(err, FVLM_UNSUPPORTED,
                             "the vocabulary has no token for the byte 0x%02x; only byte-level BPE is supported", b);
        v->drops_bytes = true;
    }
    return FVLM_OK;
}

/* A token that merging may use, in a tokenizer that replaces spaces. */
static bool is_plain(const fvlm_vocabulary *v, const text_index *x, const char *text)
{
    return *text && !strchr(text, ' ') && fvlm_piece_model_is_normal(v->pieces, *slot_of(x, text) - 1);
}

static fvlm_status check_merges(const fvlm_vocabulary *v, const text_index *x, fvlm_err *err)
{
    char joined[1024];
    for (size_t i = 0; i < v->n_merges; i++) {
        const fvlm_vocabulary_merge *m = &v->merges[i];
        const size_t left = strlen(m->left), right = strlen(m->right);
        size_t n_bytes;
        const fvlm_status st = fvlm_stop_check(v->stop, err);
        if (st) return st;
        if (left + right >= sizeof joined)
            return fvlm_fail(err, FVLM_LIMIT, "merge %zu makes a token of %zu bytes, at most %zu are allowed", i,
                             left + right, sizeof joined - 1);
        memcpy(joined, m->left, left);
        memcpy(joined + left, m->right, right + 1);
        if (!has(x, m->left) || !has(x, m->right) || !has(x, joined))
            return fvlm_fail(err, FVLM_BAD_INPUT,
                             "merge %zu, \"%.64s %.64s\", uses or makes a token that is not in the vocabulary", i,
                             m->left, m->right);
        if (v->pieces) {
            if (!is_plain(v, x, m->left) || !is_plain(v, x, m->right) || !is_plain(v, x, joined))
                return fvlm_fail(
                    err, FVLM_UNSUPPORTED,
                    "merge %zu, \"%.64s %.64s\": expected tokens without spaces that are neither bytes nor "
                    "the unknown token",
                    i, m->left, m->right);
        } else if (!left || !right || !fvlm_byte_letters_decode(joined, left + right, NULL, &n_bytes))
            return fvlm_fail(err, FVLM_UNSUPPORTED,
                             "merge %zu, \"%.64s %.64s\": expected two tokens in the letters of byte-level BPE", i,
                             m->left, m->right);
    }
    return FVLM_OK;
}

/* ---- added tokens ---- */

static int by_id(const void *a, const void *b)
{
    const fvlm_vocabulary_added *x = a, *y = b;
    return x->id < y->id ? -1 : x->id > y->id;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(((const fvlm_vocabulary_added *)a)->text, ((const fvlm_vocabulary_added *)b)->text);
}

void fvlm_vocabulary_sort_added(fvlm_vocabulary *v)
{
    if (v->n_added) qsort(v->added, v->n_added, sizeof *v->added, by_id);
}

/* Expects the added tokens by text. */
static bool is_added(const fvlm_vocabulary *v, const char *text)
{
    const fvlm_vocabulary_added key = {.text = text};
    return v->n_added && bsearch(&key, v->added, v->n_added, sizeof key, by_text);
}

static fvlm_status check_names(fvlm_vocabulary *v, const char *needed, fvlm_err *err)
{
    char text[64];
    if (v->n_added) qsort(v->added, v->n_added, sizeof *v->added, by_text);
    for (size_t i = 1; i < v->n_added; i++)
        if (!strcmp(v->added[i].text, v->added[i - 1].text))
            return fvlm_fail(err, FVLM_BAD_INPUT, "the added token \"%.64s\" has the ids %" PRIu32 " and %" PRIu32,
                             v->added[i].text, v->added[i - 1].id, v->added[i].id);
    for (size_t n; *needed; needed += n + (needed[n] == ' ')) {
        n = strcspn(needed, " ");
        snprintf(text, sizeof text, "%.*s", (int)n, needed);
        if (!is_added(v, text))
            return fvlm_fail(err, FVLM_BAD_INPUT, "the tokenizer has no added token \"%s\", which the prompt needs",
                             text);
    }
    const char *name;
    json_t *unused;
    json_object_foreach(v->named_special, name, unused) /* transformers would give it a new id */
        if (!is_added(v, name)) return fvlm_fail(
            err, FVLM_BAD_INPUT, "\"%.64s\" is named as a special token, but is not among the added tokens of \"%s\"",
            name, v->added_file);
    return FVLM_OK;
}

/* Hugging Face's tokenizers does not read the ids of tokenizer.json's added tokens: one that is not in the vocabulary
 * gets the next free id, in the order of the list. */
static fvlm_status check_order(const fvlm_vocabulary *v, const text_index *x, fvlm_err *err)
{
    uint32_t next = 0;
    for (size_t i = 0; i < v->n_tokens; i++) next += v->tokens[i] != NULL;
    for (size_t i = 0; i < v->n_added; i++) {
        const fvlm_vocabulary_added *a = &v->added[i];
        if (!has(x, a->text) && a->id != next)
            return fvlm_fail(err, FVLM_BAD_INPUT,
                             "\"%s\": the added token \"%.64s\" has the id %" PRIu32
                             ", but Hugging Face's tokenizers gives it %" PRIu32 ", the next free one",
                             v->added_file, a->text, a->id, next);
        if (a->id >= next) next = a->id + 1;
    }
    return FVLM_OK;
}

static fvlm_status check_added(fvlm_vocabulary *v, const text_index *x, fvlm_err *err)
{
    size_t n_bytes = 0;
    for (size_t i = 0; i < v->n_added; i++) {
        const fvlm_vocabulary_added *a = &v->added[i];
        if (!a->text[0]) return fvlm_fail(err, FVLM_BAD_INPUT, "the added token %" PRIu32 " has no text", a->id);
        if (i > 0 && a->id == a[-1].id)
            return fvlm_fail(err, FVLM_BAD_INPUT, "the added tokens \"%.64s\" and \"%.64s\" have the same id %" PRIu32,
                             a[-1].text, a->text, a->id);
        const char *token = a->id < v->n_tokens ? v->tokens[a->id] : NULL;
        if (token && strcmp(token, a->text) != 0)
            return fvlm_fail(err, FVLM_BAD_INPUT,
                             "the id %" PRIu32 " is the token \"%.64s\" and the added token \"%.64s\"", a->id, token,
                             a->text);
        size_t n_letters;
        if (token && !v->pieces && fvlm_byte_letters_decode(token, strlen(token), NULL, &n_letters) &&
            n_letters < strlen(token))
            return fvlm_fail(err, FVLM_UNSUPPORTED,
                             "the added token \"%.64s\" is a token of the vocabulary too, where it spells other bytes",
                             token);
        const uint32_t other = *slot_of(x, a->text);
        if (other && other - 1 != a->id)
            return fvlm_fail(err, FVLM_BAD_INPUT, "\"%.64s\" is the token %" PRIu32 " and the added token %" PRIu32,
                             a->text, other - 1, a->id);
        n_bytes += strlen(a->text);
    }
    if (n_bytes > FVLM_MAX_ADDED_BYTES)
        return fvlm_fail(err, FVLM_LIMIT, "the added tokens have %zu bytes of text, at most %u are allowed", n_bytes,
                         FVLM_MAX_ADDED_BYTES);
    return FVLM_OK;
}

fvlm_status fvlm_vocabulary_check(fvlm_vocabulary *v, const char *needed, fvlm_err *err)
{
    text_index x = {0};
    if (v->n_tokens == 0) return fvlm_fail(err, FVLM_BAD_INPUT, "the tokenizer has no tokens");
    fvlm_status st = index_tokens(&x, v, err);
    st = st ? st : check_merges(v, &x, err);
    if (!st && v->added_file && !strcmp(v->added_file, "tokenizer.json")) st = check_order(v, &x, err);
    if (!st) st = check_names(v, needed ? needed : "<|im_start|> <|im_end|>", err);
    fvlm_vocabulary_sort_added(v);
    if (!st) st = check_added(v, &x, err);
    if (!st && !v->pieces) st = check_bytes(v, &x, err);
    free(x.slots);
    return st;
}
