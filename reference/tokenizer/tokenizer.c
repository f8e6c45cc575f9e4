/* SPDX-License-Identifier: Apache-2.0 */
/* tokenizer.c - reads the tokenizer section, and encodes a text: it is repaired, cut at added tokens, normalized, cut
 * again, split into pre-tokens, and these are merged. */
#include "reference/tokenizer/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "format/base/grow.h"
#include "format/tokenizer_kind.h"
#include "reference/tokenizer/added_tokens.h"
#include "reference/tokenizer/bpe.h"
#include "reference/tokenizer/tokenizer_section.h"
#include "reference/tokenizer/sentencepiece.h"
#include "reference/tokenizer/split.h"
#include "reference/tokenizer/unicode.h"
#include "reference/tokenizer/token_table.h"

#define MAX_TEXT_BYTES ((size_t)64 << 20)
#define MAX_SECTION_BYTES ((size_t)1 << 30)

struct fvlm_tokenizer {
    fvlm_token_table vocab;
    fvlm_sentencepiece *pieces;        /* NULL: byte-level BPE, to which the rest belongs */
    fvlm_added_tokens raw, normalized; /* found in the text before and after NFC */
    fvlm_split_pattern *pattern;
    bool nfc;
    bool prefix_space, ignore_merges;
    const fvlm_stop *stop;
};

/* ---- reading the section ---- */

/* The first five are required. */
typedef enum { TOKENS, MERGES, ADDED, PATTERN, NORMALIZER, PREFIX_SPACE, IGNORE_MERGES, DROPS_BYTES, N_MEMBERS } member;
static const char *const member_names[N_MEMBERS] = {"tokens",     "merges",       "added",         "pattern",
                                                    "normalizer", "prefix_space", "ignore_merges", "drops_bytes"};

static fvlm_status put_added(void *ctx, const fvlm_tokenizer_section_added *x, fvlm_err *err)
{
    fvlm_tokenizer *t = ctx;
    const uint32_t id = (uint32_t)x->id;
    fvlm_status st = fvlm_token_table_add(&t->vocab, x->id, x->text.s, x->text.n, x->special, err);
    if (st) return st;
    if (!x->normalized || !t->nfc)
        return fvlm_added_tokens_add(x->normalized ? &t->normalized : &t->raw, x->text.s, x->text.n, id, err);
    fvlm_unicode_text nfc;
    st = fvlm_unicode_nfc(&nfc, x->text.s, x->text.n, err);
    if (st) return st;
    st = fvlm_added_tokens_add(&t->normalized, nfc.bytes, nfc.n_bytes, id, err);
    free(nfc.bytes);
    return st;
}

static void read_added(fvlm_tokenizer *t, fvlm_json_pull *p)
{
    fvlm_tokenizer_section_read_added(p, true, put_added, t);
    if (!p->st) p->st = fvlm_added_tokens_link(&t->raw, p->err);
    if (!p->st) p->st = fvlm_added_tokens_link(&t->normalized, p->err);
}

static void read_normalizer(fvlm_tokenizer *t, fvlm_json_pull *p)
{
    fvlm_json_text s;
    if (fvlm_json_pull_null(p) || !fvlm_json_pull_string(p, &s)) return;
    t->nfc = strcmp(s.s, "NFC") == 0;
    if (!t->nfc)
        p->st =
            fvlm_fail(p->err, FVLM_UNSUPPORTED, "tokenizer with normalizer \"%.64s\": only NFC is implemented", s.s);
}

static void read_member(fvlm_tokenizer *t, member m, fvlm_json_pull *p)
{
    fvlm_json_text s;
    switch (m) {
    case TOKENS:
        fvlm_token_table_read_tokens(&t->vocab, p);
        break;
    case MERGES:
        fvlm_token_table_read_merges(&t->vocab, p);
        break;
    case ADDED:
        read_added(t, p);
        break;
    case NORMALIZER:
        read_normalizer(t, p);
        break;
    case PREFIX_SPACE:
        fvlm_json_pull_bool(p, &t->prefix_space);
        break;
    case IGNORE_MERGES:
        fvlm_json_pull_bool(p, &t->ignore_merges);
        t->vocab.keep_index = t->ignore_merges;
        break;
    case DROPS_BYTES:
        fvlm_json_pull_bool(p, &t->vocab.drops_bytes);
        break;
    default:
        if (fvlm_json_pull_string(p, &s)) p->st = fvlm_split_pattern_create(&t->pattern, s.s, s.n, p->err);
    }
}

static void read_byte_level(fvlm_tokenizer *t, fvlm_json_pull *p)
{
    static const member order[N_MEMBERS] = {PREFIX_SPACE, IGNORE_MERGES, DROPS_BYTES, NORMALIZER,
                                            PATTERN,      TOKENS,        MERGES,      ADDED};
    size_t at[N_MEMBERS] = {0};
    fvlm_tokenizer_section_find(p, member_names, N_MEMBERS, NORMALIZER + 1, at);
    for (int i = 0; !p->st && i < N_MEMBERS; i++) {
        p->pos = at[order[i]];
        if (p->pos) read_member(t, order[i], p);
    }
}

fvlm_status fvlm_tokenizer_create(fvlm_tokenizer **out, const char *json, size_t n_bytes, const fvlm_stop *stop,
                                  fvlm_err *err)
{
    *out = NULL;
    if (n_bytes > MAX_SECTION_BYTES)
        return fvlm_fail(err, FVLM_LIMIT, "a tokenizer of %zu bytes: at most 1 GiB", n_bytes);
    fvlm_tokenizer *t = fvlm_alloc(1, sizeof *t);
    char *copy = malloc(n_bytes + 1); /* decoded in place */
    if (!t || !copy) {
        free(t);
        free(copy);
        return fvlm_fail_nomem(err);
    }
    t->stop = stop;
    memcpy(copy, json, n_bytes);
    fvlm_json_pull p = fvlm_json_pull_over(copy, n_bytes, "tokenizer section", 0, err);
    p.stop = stop;
    if (fvlm_tokenizer_has_kind(json, n_bytes))
        fvlm_sentencepiece_create(&t->pieces, &t->vocab, &p);
    else
        read_byte_level(t, &p);
    free(copy);
    *out = t;
    if (p.st) fvlm_tokenizer_destroy(out);
    return p.st;
}

void fvlm_tokenizer_destroy(fvlm_tokenizer **t)
{
    if (!*t) return;
    fvlm_token_table_free(&(*t)->vocab);
    fvlm_sentencepiece_destroy(&(*t)->pieces);
    fvlm_added_tokens_free(&(*t)->raw);
    fvlm_added_tokens_free(&(*t)->normalized);
    fvlm_split_pattern_destroy(&(*t)->pattern);
    free(*t);
    *t = NULL;
}

const char *fvlm_tokenizer_bytes(const fvlm_tokenizer *t, uint32_t id, size_t *n_bytes)
{
    const fvlm_token_table *v = &t->vocab;
    *n_bytes = 0;
    if (id >= v->n || v->tokens[id].n_bytes == FVLM_NO_TOKEN) return NULL;
    *n_bytes = v->tokens[id].n_bytes;
    return v->text + v->tokens[id].at;
}

const char *fvlm_tokenizer_decode(const fvlm_tokenizer *t, fvlm_decoding *d, uint32_t id, size_t *n_bytes)
{
    const char *s = fvlm_tokenizer_bytes(t, id, n_bytes);
    if (!s || fvlm_tokenizer_is_special(t, id)) {
        *n_bytes = 0;
        return NULL;
    }
    const size_t skip = t->pieces ? fvlm_sentencepiece_skip(t->pieces, id, *n_bytes, &d->later) : 0;
    *n_bytes -= skip;
    return s + skip;
}

bool fvlm_tokenizer_replaces_each_byte(const fvlm_tokenizer *t)
{
    return t->pieces;
}

bool fvlm_tokenizer_is_special(const fvlm_tokenizer *t, uint32_t id)
{
    return id < t->vocab.n && t->vocab.kinds[id] & FVLM_TOKEN_SPECIAL;
}

size_t fvlm_tokenizer_size(const fvlm_tokenizer *t)
{
    return t->vocab.n;
}

/* ---- encoding ---- */

/* One call of encode: the ids so far, and scratch memory for every step. */
typedef struct {
    const fvlm_tokenizer *t;
    uint32_t *ids;
    size_t n, capacity;
    fvlm_split_iter *split;
    fvlm_bpe bpe;
    fvlm_err *err;
} run;

static fvlm_status reserve_ids(run *r, size_t more)
{
    return fvlm_grow(&r->ids, &r->capacity, r->n + more, sizeof *r->ids) ? FVLM_OK : fvlm_fail_nomem(r->err);
}

/* The ids of a pre-token; there is memory for them. */
static fvlm_status encode_pretoken(run *r, const char *s, size_t n_bytes)
{
    const fvlm_token_table *v = &r->t->vocab;
    const uint32_t whole = r->t->ignore_merges ? fvlm_token_table_find(v, s, n_bytes) : FVLM_NO_TOKEN;
    if (whole != FVLM_NO_TOKEN) {
        r->ids[r->n++] = whole;
        return FVLM_OK;
    }
    size_t n_ids = 0;
    const fvlm_status st = fvlm_bpe_encode(&r->bpe, v, s, n_bytes, r->ids + r->n, &n_ids, r->err);
    if (!st) r->n += n_ids;
    return st;
}

/* A text without added tokens: splits it and merges each pre-token. */
static fvlm_status encode_split(run *r, const char *s, size_t n_bytes)
{
    const char *pretoken = NULL;
    size_t n = 0;
    fvlm_split_iter_start(r->split, s, n_bytes);
    for (;;) {
        fvlm_status st = fvlm_split_iter_next(r->split, &pretoken, &n, r->err);
        if (st || !n) return st;
        if ((st = reserve_ids(r, n))) return st; /* at most one id per byte */
        if (!(st = fvlm_stop_check(r->t->stop, r->err))) st = encode_pretoken(r, pretoken, n);
        if (st) return st;
    }
}

static fvlm_status encode_plain(run *r, const char *s, size_t n_bytes)
{
    if (!r->t->prefix_space || !n_bytes || *s == ' ') return encode_split(r, s, n_bytes);
    char *spaced = malloc(n_bytes + 1);
    if (!spaced) return fvlm_fail_nomem(r->err);
    *spaced = ' ';
    memcpy(spaced + 1, s, n_bytes);
    const fvlm_status st = encode_split(r, spaced, n_bytes + 1);
    free(spaced);
    return st;
}

typedef fvlm_status (*encode_fn)(run *r, const char *s, size_t n_bytes);

/* Cuts s at the added tokens and passes what lies between them to rest. */
static fvlm_status cut_at_added(run *r, const fvlm_added_tokens *added, const char *s, size_t n_bytes, encode_fn rest)
{
    fvlm_status st = FVLM_OK;
    if (!added->n) return n_bytes ? rest(r, s, n_bytes) : FVLM_OK;
    uint32_t *found = fvlm_alloc(n_bytes, sizeof *found);
    if (!found) return fvlm_fail_nomem(r->err);
    fvlm_added_tokens_find(added, s, n_bytes, found);
    for (size_t from = 0, at = 0; !st && from < n_bytes;) {
        while (at < n_bytes && !found[at]) at++;
        if (at > from) st = rest(r, s + from, at - from);
        if (!st && at < n_bytes) st = reserve_ids(r, 1);
        if (st || at == n_bytes) break;
        const fvlm_added_token *t = &added->tokens[found[at] - 1];
        r->ids[r->n++] = t->id;
        from = at += t->n_bytes;
    }
    free(found);
    return st;
}

static fvlm_status encode_normalized(run *r, const char *s, size_t n_bytes)
{
    return cut_at_added(r, &r->t->normalized, s, n_bytes, encode_plain);
}

static fvlm_status encode_raw(run *r, const char *s, size_t n_bytes)
{
    if (!r->t->nfc) return encode_normalized(r, s, n_bytes);
    fvlm_unicode_text nfc;
    fvlm_status st = fvlm_unicode_nfc(&nfc, s, n_bytes, r->err);
    if (st) return st;
    st = encode_normalized(r, nfc.bytes, nfc.n_bytes);
    free(nfc.bytes);
    return st;
}

fvlm_status fvlm_tokenizer_encode(const fvlm_tokenizer *t, const char *text, size_t n_bytes, uint32_t **ids, size_t *n,
                                  fvlm_err *err)
{
    run r = {.t = t, .bpe.stop = t->stop, .err = err};
    fvlm_unicode_text repaired = {0};
    *ids = NULL;
    *n = 0;
    if (n_bytes > MAX_TEXT_BYTES) return fvlm_fail(err, FVLM_LIMIT, "a text of %zu bytes: at most 64 MiB", n_bytes);
    if (t->pieces) return fvlm_sentencepiece_encode(t->pieces, text, n_bytes, t->stop, ids, n, err);
    fvlm_status st = fvlm_unicode_repair(&repaired, text, n_bytes, err);
    if (!st) st = fvlm_split_iter_create(&r.split, t->pattern, err);
    if (!st) st = reserve_ids(&r, 1);
    if (!st) st = cut_at_added(&r, &t->raw, repaired.bytes, repaired.n_bytes, encode_raw);
    free(repaired.bytes);
    fvlm_split_iter_destroy(&r.split);
    fvlm_bpe_free(&r.bpe);
    if (st) {
        free(r.ids);
        return st;
    }
    *ids = r.ids;
    *n = r.n;
    return FVLM_OK;
}
