/* SPDX-License-Identifier: Apache-2.0 */
/* tokenizer.c - the section read, and the way of a text: repaired, cut at added tokens, normalized, cut again,
 * split, merged. */
#include "reference/tokenizer/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "reference/tokenizer/added_tokens.h"
#include "reference/tokenizer/bpe.h"
#include "reference/tokenizer/split.h"
#include "reference/tokenizer/unicode.h"
#include "reference/tokenizer/token_table.h"

#define MAX_TEXT_BYTES ((size_t)64 << 20)
#define MAX_SECTION_BYTES ((size_t)1 << 30)
#define MAX_ADDED 65536

struct fvlm_tokenizer {
    fvlm_token_table vocab;
    fvlm_added_tokens raw, normalized; /* looked for before and after NFC */
    fvlm_splitter *splitter;
    bool nfc;
};

/* ---- the section ---- */

typedef enum { TOKENS, MERGES, ADDED, PATTERN, NORMALIZER, N_MEMBERS } member;
static const char *const member_names[N_MEMBERS] = {"tokens", "merges", "added", "pattern", "normalizer"};

/* Where each member's value begins; all five must be there, once. */
static fvlm_status find_members(fvlm_pull *j, const uint8_t *at[N_MEMBERS])
{
    size_t n = 0;
    bool more = true;
    fvlm_slice key;
    fvlm_status st = fvlm_pull_expect(j, '{');
    while (!st && !(st = fvlm_pull_more(j, '}', &n, &more)) && more) {
        int m = 0;
        if ((st = fvlm_pull_key(j, &key))) return st;
        while (m < N_MEMBERS && !fvlm_slice_is(key, member_names[m])) m++;
        if (m == N_MEMBERS) return fvlm_pull_refuse(j, "unknown member");
        if (at[m]) return fvlm_pull_refuse(j, "a member given twice");
        at[m] = j->at;
        st = fvlm_pull_skip(j);
    }
    if (!st && fvlm_pull_peek(j) >= 0) st = fvlm_pull_refuse(j, "text after the end");
    for (int m = 0; !st && m < N_MEMBERS; m++)
        if (!at[m]) st = fvlm_fail(j->err, FVLM_BAD_INPUT, "damaged tokenizer: no member \"%s\"", member_names[m]);
    return st;
}

static fvlm_status put_added(fvlm_tokenizer *t, const char *text, size_t n_bytes, uint32_t id, bool normalized,
                             fvlm_err *err)
{
    if (!normalized || !t->nfc)
        return fvlm_added_tokens_add(normalized ? &t->normalized : &t->raw, text, n_bytes, id, err);
    fvlm_unicode_text nfc;
    fvlm_status st = fvlm_unicode_nfc(&nfc, text, n_bytes, err);
    if (st) return st;
    st = fvlm_added_tokens_add(&t->normalized, nfc.bytes, nfc.n_bytes, id, err);
    free(nfc.bytes);
    return st;
}

static fvlm_status read_added_token(fvlm_tokenizer *t, fvlm_pull *j)
{
    char *text = NULL;
    size_t n_text = 0, n = 0;
    uint32_t id = FVLM_NO_TOKEN;
    bool more = true, special = false, normalized = false;
    fvlm_slice key, s;
    fvlm_status st = fvlm_pull_expect(j, '{');
    while (!st && !(st = fvlm_pull_more(j, '}', &n, &more)) && more) {
        if ((st = fvlm_pull_key(j, &key))) break;
        if (fvlm_slice_is(key, "id")) {
            st = fvlm_pull_u32(j, &id);
        } else if (fvlm_slice_is(key, "special")) {
            st = fvlm_pull_bool(j, &special);
        } else if (fvlm_slice_is(key, "normalized")) {
            st = fvlm_pull_bool(j, &normalized);
        } else if (fvlm_slice_is(key, "text") && !text) {
            if ((st = fvlm_pull_string(j, &s))) break;
            text = fvlm_alloc(s.n + 1, 1);
            n_text = s.n;
            if (text)
                memcpy(text, s.s, s.n);
            else
                st = fvlm_fail(j->err, FVLM_NOMEM, "not enough memory for the tokenizer");
        } else {
            st = fvlm_pull_refuse(j, "unknown member of an added token");
        }
    }
    if (!st && (!n_text || id == FVLM_NO_TOKEN)) st = fvlm_pull_refuse(j, "an added token without id or text");
    if (!st) st = fvlm_token_table_add(&t->vocab, id, (fvlm_slice){text, n_text}, special, j->err);
    if (!st) st = put_added(t, text, n_text, id, normalized, j->err);
    free(text);
    return st;
}

static fvlm_status read_added(fvlm_tokenizer *t, fvlm_pull *j)
{
    size_t n = 0;
    bool more = true;
    fvlm_status st = fvlm_pull_expect(j, '[');
    while (!st && !(st = fvlm_pull_more(j, ']', &n, &more)) && more)
        st = n > MAX_ADDED ? fvlm_pull_refuse(j, "more than 65536 added tokens") : read_added_token(t, j);
    if (!st) st = fvlm_added_tokens_sort(&t->raw, j->err);
    if (!st) st = fvlm_added_tokens_sort(&t->normalized, j->err);
    return st;
}

static fvlm_status read_normalizer(fvlm_tokenizer *t, fvlm_pull *j)
{
    fvlm_slice s;
    if (fvlm_pull_peek(j) == 'n') return fvlm_pull_null(j);
    const fvlm_status st = fvlm_pull_string(j, &s);
    if (st) return st;
    t->nfc = fvlm_slice_is(s, "NFC");
    if (t->nfc) return FVLM_OK;
    return fvlm_fail(j->err, FVLM_UNSUPPORTED, "tokenizer with normalizer \"%.*s\": only NFC is implemented",
                     (int)(s.n < 64 ? s.n : 64), s.s);
}

static fvlm_status read_member(fvlm_tokenizer *t, member m, fvlm_pull *j)
{
    fvlm_slice s;
    fvlm_status st;
    switch (m) {
    case TOKENS:
        return fvlm_token_table_read_tokens(&t->vocab, j);
    case MERGES:
        return fvlm_token_table_read_merges(&t->vocab, j);
    case ADDED:
        return read_added(t, j);
    case NORMALIZER:
        return read_normalizer(t, j);
    default:
        st = fvlm_pull_string(j, &s);
        return st ? st : fvlm_splitter_create(&t->splitter, s.s, s.n, j->err);
    }
}

static fvlm_status read_section(fvlm_tokenizer *t, fvlm_pull *j)
{
    static const member order[N_MEMBERS] = {NORMALIZER, PATTERN, TOKENS, MERGES, ADDED};
    const uint8_t *at[N_MEMBERS] = {0};
    fvlm_status st = find_members(j, at);
    for (int i = 0; !st && i < N_MEMBERS; i++) {
        j->at = at[order[i]];
        st = read_member(t, order[i], j);
        const int next = st ? ',' : fvlm_pull_peek(j);
        if (next != ',' && next != '}') st = fvlm_pull_refuse(j, "',' or '}' expected");
    }
    return st;
}

fvlm_status fvlm_tokenizer_create(fvlm_tokenizer **out, const char *json, size_t n_bytes, fvlm_err *err)
{
    fvlm_pull j = {0};
    fvlm_tokenizer *t = fvlm_alloc(1, sizeof *t);
    *out = t;
    if (!t) return fvlm_fail(err, FVLM_NOMEM, "not enough memory for the tokenizer");
    fvlm_status st = n_bytes > MAX_SECTION_BYTES
                         ? fvlm_fail(err, FVLM_LIMIT, "a tokenizer of %zu bytes: at most 1 GiB", n_bytes)
                         : FVLM_OK;
    if (!st) st = fvlm_pull_over(&j, json, n_bytes, err);
    if (!st) st = read_section(t, &j);
    fvlm_pull_free(&j);
    if (st) fvlm_tokenizer_destroy(out);
    return st;
}

void fvlm_tokenizer_destroy(fvlm_tokenizer **t)
{
    if (!*t) return;
    fvlm_token_table_free(&(*t)->vocab);
    fvlm_added_tokens_free(&(*t)->raw);
    fvlm_added_tokens_free(&(*t)->normalized);
    fvlm_splitter_destroy(&(*t)->splitter);
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

bool fvlm_tokenizer_is_special(const fvlm_tokenizer *t, uint32_t id)
{
    return id < t->vocab.n && t->vocab.special[id];
}

size_t fvlm_tokenizer_size(const fvlm_tokenizer *t)
{
    return t->vocab.n;
}

/* ---- a text ---- */

/* One call of encode: ids as they grow, and the scratch memory of every step. */
typedef struct {
    const fvlm_tokenizer *t;
    uint32_t *ids;
    size_t n, room;
    fvlm_split *split;
    fvlm_bpe bpe;
    fvlm_err *err;
} run;

static fvlm_status out_of_memory(const run *r)
{
    return fvlm_fail(r->err, FVLM_NOMEM, "not enough memory to tokenize this text");
}

static fvlm_status reserve_ids(run *r, size_t more)
{
    if (more <= r->room - r->n) return FVLM_OK;
    const size_t room = (r->n + more) * 2;
    uint32_t *bigger = fvlm_alloc(room, sizeof *bigger);
    if (!bigger) return out_of_memory(r);
    if (r->n) memcpy(bigger, r->ids, r->n * sizeof *bigger);
    free(r->ids);
    r->ids = bigger;
    r->room = room;
    return FVLM_OK;
}

/* Text without added tokens: pieces, and each piece merged. */
static fvlm_status encode_plain(run *r, const char *s, size_t n_bytes)
{
    const char *piece = NULL;
    size_t n = 0;
    fvlm_split_text(r->split, s, n_bytes);
    for (;;) {
        fvlm_status st = fvlm_split_next(r->split, &piece, &n, r->err);
        if (st || !n) return st;
        if ((st = reserve_ids(r, n))) return st; /* at most one id a byte */
        const size_t n_ids = fvlm_bpe_encode(&r->bpe, &r->t->vocab, piece, n, r->ids + r->n);
        if (!n_ids) return out_of_memory(r);
        r->n += n_ids;
    }
}

typedef fvlm_status (*encode_fn)(run *r, const char *s, size_t n_bytes);

/* Cuts s at the added tokens; what lies between them goes to rest. */
static fvlm_status cut_at_added(run *r, const fvlm_added_tokens *added, const char *s, size_t n_bytes, encode_fn rest)
{
    fvlm_status st = FVLM_OK;
    while (n_bytes) {
        size_t at = n_bytes;
        const fvlm_added_token *found = fvlm_added_tokens_find(added, s, n_bytes, &at);
        if (at) st = rest(r, s, at);
        if (!st && found) st = reserve_ids(r, 1);
        if (st || !found) return st;
        r->ids[r->n++] = found->id;
        s += at + found->n_bytes;
        n_bytes -= at + found->n_bytes;
    }
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
    run r = {.t = t, .err = err};
    fvlm_unicode_text repaired = {0};
    *ids = NULL;
    *n = 0;
    if (n_bytes > MAX_TEXT_BYTES) return fvlm_fail(err, FVLM_LIMIT, "a text of %zu bytes: at most 64 MiB", n_bytes);
    fvlm_status st = fvlm_unicode_repair(&repaired, text, n_bytes, err);
    if (!st) st = fvlm_split_begin(&r.split, t->splitter, err);
    if (!st) st = reserve_ids(&r, 1);
    if (!st) st = cut_at_added(&r, &t->raw, repaired.bytes, repaired.n_bytes, encode_raw);
    free(repaired.bytes);
    fvlm_split_end(&r.split);
    fvlm_bpe_free(&r.bpe);
    if (st) {
        free(r.ids);
        return st;
    }
    *ids = r.ids;
    *n = r.n;
    return FVLM_OK;
}
