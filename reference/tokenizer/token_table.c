/* SPDX-License-Identifier: Apache-2.0 */
/* token_table.c - reading tokens and merges into tables. The files spell bytes in GPT-2's alphabet; the spelling is
 * undone here, once, so that everything else works on bytes. */
#include "reference/tokenizer/token_table.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "format/base/grow.h"
#include "format/base/hash.h"
#include "format/byte_letters.h"

/* Ids of spelled tokens by text. The upper half of the hash is stored beside the id, so that most collisions are
 * resolved without comparing text. */
typedef struct {
    uint32_t id, hash;
} text_slot;

typedef struct fvlm_text_index {
    text_slot *slots;
    size_t mask;
    uint64_t seed;
} text_index;

static void free_index(text_index *x)
{
    if (x) free(x->slots);
    free(x);
}

static bool grow_ids(fvlm_token_table *v, size_t n)
{
    return fvlm_grow(&v->tokens, &v->token_capacity, n, sizeof *v->tokens) &&
           fvlm_grow(&v->kinds, &v->kind_capacity, n, sizeof *v->kinds);
}

static bool grow_text(fvlm_token_table *v, size_t more)
{
    return fvlm_grow(&v->text, &v->text_capacity, v->n_text + more + 1, 1); /* never NULL, not even for "" */
}

static bool read_token(fvlm_token_table *v, fvlm_json_pull *p)
{
    fvlm_json_text s;
    size_t n;
    if (v->n >= FVLM_MAX_TOKENS)
        return fvlm_json_pull_refuse(p, p->pos, FVLM_LIMIT, "more than %u tokens", FVLM_MAX_TOKENS);
    if (!grow_ids(v, v->n + 1)) return fvlm_json_pull_nomem(p);
    if (fvlm_json_pull_null(p)) {
        v->tokens[v->n++].n_bytes = FVLM_NO_TOKEN;
        return true;
    }
    if (!fvlm_json_pull_string(p, &s)) return false;
    if (!grow_text(v, s.n)) return fvlm_json_pull_nomem(p);
    char *to = v->text + v->n_text;
    const bool spelled = s.n && fvlm_byte_letters_decode(s.s, s.n, to, &n);
    if (!spelled) { /* it stands for itself */
        memcpy(to, s.s, s.n);
        n = s.n;
    }
    v->kinds[v->n] = spelled ? FVLM_TOKEN_SPELLED : 0;
    v->tokens[v->n++] = (fvlm_token){(uint32_t)v->n_text, (uint32_t)n};
    v->n_text += n;
    return true;
}

bool fvlm_token_table_read_tokens(fvlm_token_table *v, fvlm_json_pull *p)
{
    bool first = true;
    if (!fvlm_json_pull_expect(p, '[', "'[', the tokens")) return false;
    while (fvlm_json_pull_element(p, &first))
        if (!read_token(v, p)) return false;
    if (p->st) return false;
    memset(v->of_byte, 0xff, sizeof v->of_byte);
    for (size_t id = 0; id < v->n; id++)
        if (v->tokens[id].n_bytes == 1 && v->kinds[id] & FVLM_TOKEN_SPELLED)
            v->of_byte[(uint8_t)v->text[v->tokens[id].at]] = (uint32_t)id;
    for (unsigned b = 0; b < 256 && !p->st && !v->drops_bytes; b++)
        if (v->of_byte[b] == FVLM_NO_TOKEN)
            p->st = fvlm_fail(p->err, FVLM_UNSUPPORTED,
                              "tokenizer without a token for byte 0x%02x: only byte-level BPE is implemented", b);
    return !p->st;
}

fvlm_status fvlm_token_table_add(fvlm_token_table *v, uint64_t id, const char *text, size_t n_bytes, bool special,
                                 fvlm_err *err)
{
    if (id >= FVLM_MAX_TOKENS)
        return fvlm_fail(err, FVLM_LIMIT, "added token id %" PRIu64 ": at most %u", id, FVLM_MAX_TOKENS - 1);
    if (!grow_ids(v, (size_t)id + 1) || !grow_text(v, n_bytes)) return fvlm_fail_nomem(err);
    while (v->n <= id) v->tokens[v->n++].n_bytes = FVLM_NO_TOKEN;
    const fvlm_token t = v->tokens[id];
    if (t.n_bytes == FVLM_NO_TOKEN) {
        memcpy(v->text + v->n_text, text, n_bytes);
        v->tokens[id] = (fvlm_token){(uint32_t)v->n_text, (uint32_t)n_bytes};
        v->n_text += n_bytes;
    } else if (t.n_bytes != n_bytes || memcmp(v->text + t.at, text, n_bytes) != 0) {
        return fvlm_fail(err, FVLM_BAD_INPUT,
                         "damaged tokenizer: added token \"%.64s\" has id %" PRIu64 ", which is \"%.*s\"", text, id,
                         (int)(t.n_bytes < 64 ? t.n_bytes : 64), v->text + t.at);
    }
    if (special) v->kinds[id] |= FVLM_TOKEN_SPECIAL;
    return FVLM_OK;
}

void fvlm_token_table_free(fvlm_token_table *v)
{
    free(v->text);
    free(v->tokens);
    free(v->kinds);
    free(v->merges);
    free_index(v->index);
    *v = (fvlm_token_table){0};
}

static size_t slots_for(size_t n)
{
    size_t slots = 16;
    while (slots < n * 2) slots *= 2;
    return slots;
}

/* The slot of this text, or the free slot where it would go. */
static text_slot *find_slot(const text_index *x, const fvlm_token_table *v, const char *s, size_t n)
{
    const uint64_t h = XXH3_64bits_withSeed(s, n, x->seed);
    text_slot *slot;
    for (size_t i = h & x->mask; slot = &x->slots[i], slot->id != FVLM_NO_TOKEN; i = (i + 1) & x->mask) {
        const fvlm_token t = v->tokens[slot->id];
        if (slot->hash == h >> 32 && t.n_bytes == n && memcmp(v->text + t.at, s, n) == 0) return slot;
    }
    return slot;
}

static bool index_tokens(text_index *x, const fvlm_token_table *v, fvlm_json_pull *p)
{
    const size_t n_slots = slots_for(v->n);
    x->mask = n_slots - 1;
    x->seed = fvlm_hash_seed();
    x->slots = fvlm_alloc(n_slots, sizeof *x->slots);
    if (!x->slots) return fvlm_json_pull_nomem(p);
    memset(x->slots, 0xff, n_slots * sizeof *x->slots);
    for (size_t id = 0; id < v->n; id++) {
        const fvlm_token t = v->tokens[id];
        if (!p->st) p->st = fvlm_stop_check(p->stop, p->err);
        if (p->st) return false;
        if (t.n_bytes == FVLM_NO_TOKEN || !(v->kinds[id] & FVLM_TOKEN_SPELLED)) continue;
        text_slot *slot = find_slot(x, v, v->text + t.at, t.n_bytes);
        if (slot->id != FVLM_NO_TOKEN)
            p->st =
                fvlm_fail(p->err, FVLM_BAD_INPUT, "damaged tokenizer: ids %u and %zu have the same text", slot->id, id);
        if (p->st) return false;
        const uint64_t h = XXH3_64bits_withSeed(v->text + t.at, t.n_bytes, x->seed);
        *slot = (text_slot){(uint32_t)id, (uint32_t)(h >> 32)};
    }
    return true;
}

static fvlm_bpe_merge *merge_slot(const fvlm_token_table *v, uint32_t left, uint32_t right)
{
    const uint32_t pair[2] = {left, right};
    size_t i = (size_t)XXH3_64bits_withSeed(pair, sizeof pair, v->seed) & v->merge_mask;
    while (v->merges[i].result != FVLM_NO_TOKEN && (v->merges[i].left != left || v->merges[i].right != right))
        i = (i + 1) & v->merge_mask;
    return &v->merges[i];
}

const fvlm_bpe_merge *fvlm_token_table_merge(const fvlm_token_table *v, uint32_t left, uint32_t right)
{
    const fvlm_bpe_merge *m = merge_slot(v, left, right);
    return m->result == FVLM_NO_TOKEN ? NULL : m;
}

static bool grow_merges(fvlm_token_table *v, size_t n)
{
    if (v->merges && n * 2 <= v->merge_mask + 1) return true;
    const size_t old = v->merges ? v->merge_mask + 1 : 0, slots = old ? old * 2 : slots_for(v->n);
    fvlm_bpe_merge *from = v->merges, *to = fvlm_alloc(slots, sizeof *to);
    if (!to) return false;
    memset(to, 0xff, slots * sizeof *to);
    if (!old) v->seed = fvlm_hash_seed();
    v->merges = to;
    v->merge_mask = slots - 1;
    for (size_t i = 0; i < old; i++)
        if (from[i].result != FVLM_NO_TOKEN) *merge_slot(v, from[i].left, from[i].right) = from[i];
    free(from);
    return true;
}

/* "left right" in the byte alphabet, which has no space. A pair given twice keeps its last rank, as in
 * Hugging Face's map. */
static bool read_merge(fvlm_token_table *v, fvlm_json_pull *p, const text_index *x, uint32_t rank)
{
    fvlm_json_text s;
    size_t n_left, n_right;
    char bytes[1024];
    if (!fvlm_json_pull_string(p, &s)) return false;
    if (s.n > sizeof bytes) return fvlm_json_pull_refuse(p, s.at, FVLM_LIMIT, "a merge of over 1024 bytes");
    const char *space = memchr(s.s, ' ', s.n);
    const size_t left_text = space ? (size_t)(space - s.s) : 0;
    if (!left_text || !fvlm_byte_letters_decode(s.s, left_text, bytes, &n_left) ||
        !fvlm_byte_letters_decode(space + 1, s.n - left_text - 1, bytes + n_left, &n_right) || !n_right)
        return fvlm_json_pull_refuse(p, s.at, FVLM_BAD_INPUT, "a merge that is not two tokens");
    const uint32_t left = find_slot(x, v, bytes, n_left)->id, right = find_slot(x, v, bytes + n_left, n_right)->id;
    const uint32_t result = find_slot(x, v, bytes, n_left + n_right)->id;
    if (left == FVLM_NO_TOKEN || right == FVLM_NO_TOKEN || result == FVLM_NO_TOKEN)
        return fvlm_json_pull_refuse(p, s.at, FVLM_BAD_INPUT, "a merge of tokens that are not in the vocabulary");
    if (!grow_merges(v, (size_t)rank + 1)) return fvlm_json_pull_nomem(p);
    *merge_slot(v, left, right) = (fvlm_bpe_merge){left, right, rank, result};
    return true;
}

uint32_t fvlm_token_table_find(const fvlm_token_table *v, const char *s, size_t n)
{
    return find_slot(v->index, v, s, n)->id;
}

bool fvlm_token_table_read_merges(fvlm_token_table *v, fvlm_json_pull *p)
{
    text_index *x = fvlm_alloc(1, sizeof *x);
    uint32_t n = 0;
    bool first = true;
    v->index = x;
    if (!x) return fvlm_json_pull_nomem(p);
    bool ok = index_tokens(x, v, p) && (grow_merges(v, 1) || fvlm_json_pull_nomem(p)) &&
              fvlm_json_pull_expect(p, '[', "'[', the merges");
    while (ok && fvlm_json_pull_element(p, &first)) {
        ok = n < FVLM_MAX_TOKENS ? read_merge(v, p, x, n)
                                 : fvlm_json_pull_refuse(p, p->pos, FVLM_LIMIT, "more than %u merges", FVLM_MAX_TOKENS);
        n++;
    }
    if (!v->keep_index) {
        free_index(x);
        v->index = NULL;
    }
    return !p->st;
}
