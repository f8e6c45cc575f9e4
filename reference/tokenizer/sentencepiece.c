/* SPDX-License-Identifier: Apache-2.0 */
/* sentencepiece.c - encodes and decodes with a SentencePiece model: cut at added tokens, normalize, cut into pieces,
 * spell unknown characters as bytes. */
#include "reference/tokenizer/sentencepiece.h"

#include <stdlib.h>
#include <string.h>

#include "format/base/grow.h"
#include "reference/tokenizer/sentencepiece_internal.h"

/* One call of encode. */
typedef struct {
    const fvlm_sentencepiece *s;
    fvlm_pieces pieces;
    fvlm_piece_text normalized;
    bool after_unknown;
    uint32_t *ids;
    size_t n, capacity;
    fvlm_err *err;
} run;

static fvlm_status put_id(run *r, uint32_t id)
{
    if (!fvlm_grow(&r->ids, &r->capacity, r->n + 1, sizeof *r->ids)) return fvlm_fail_nomem(r->err);
    r->ids[r->n++] = id;
    return FVLM_OK;
}

/* An unknown piece becomes its bytes, or one id for a run of such pieces. */
static fvlm_status put_piece(void *ctx, uint32_t id, const char *s, size_t n, fvlm_err *err)
{
    run *r = ctx;
    const fvlm_piece_table *v = &r->s->table;
    const bool unknown = id == v->unknown, after_unknown = r->after_unknown;
    fvlm_status st = FVLM_OK;
    (void)err;
    r->after_unknown = unknown;
    if (!unknown) return put_id(r, id);
    if (!v->has_bytes) return after_unknown ? FVLM_OK : put_id(r, id);
    for (size_t i = 0; !st && i < n; i++) st = put_id(r, v->of_byte[(uint8_t)s[i]]);
    return st;
}

static fvlm_status encode_normalized(run *r, const char *s, size_t n_bytes)
{
    return (r->s->unigram ? fvlm_pieces_unigram : fvlm_pieces_bpe)(&r->pieces, s, n_bytes, put_piece, r, r->err);
}

/* A text without added tokens, maybe empty; first: nothing comes before it. */
static fvlm_status encode_plain(run *r, const char *s, size_t n_bytes, bool first)
{
    const fvlm_sentencepiece *m = r->s;
    const bool space = n_bytes && (*s == ' ' || (n_bytes >= 3 && !memcmp(s, FVLM_SPACE_SYMBOL, 3)));
    const fvlm_piece_context c = {.prefix = (m->legacy || first) && !(m->prefix_once && space),
                                  .keep_leading = !m->legacy && !first && space};
    if (!n_bytes) return FVLM_OK;
    fvlm_status st = fvlm_piece_rules_apply(&m->rules, c, s, n_bytes, &r->normalized, r->err);
    r->after_unknown = false;
    return st || !r->normalized.n_bytes ? st : encode_normalized(r, r->normalized.bytes, r->normalized.n_bytes);
}

/* Where a text begins with a token that is not special, transformers encodes the prefix by itself. */
static fvlm_status encode_lone_prefix(run *r, uint32_t id)
{
    const fvlm_sentencepiece *m = r->s;
    const bool special = m->surfaces->kinds[id] & FVLM_TOKEN_SPECIAL;
    if (m->legacy || m->prefix_once || !m->rules.dummy_prefix || !m->table.n_sorted || special) return FVLM_OK;
    return encode_normalized(r, FVLM_SPACE_SYMBOL, 3);
}

static fvlm_status encode_all(run *r, const char *s, size_t n_bytes)
{
    const fvlm_added_tokens *added = &r->s->added;
    fvlm_status st = FVLM_OK;
    if (!added->n || !n_bytes) return encode_plain(r, s, n_bytes, true);
    uint32_t *found = fvlm_alloc(n_bytes, sizeof *found);
    if (!found) return fvlm_fail_nomem(r->err);
    fvlm_added_tokens_find(added, s, n_bytes, found);
    for (size_t from = 0, at = 0; !st && from < n_bytes;) {
        while (at < n_bytes && !found[at]) at++;
        if (at > from) st = encode_plain(r, s + from, at - from, from == 0);
        if (st || at == n_bytes) break;
        const fvlm_added_token *t = &added->tokens[found[at] - 1];
        if (at == 0) st = encode_lone_prefix(r, t->id);
        if (!st) st = put_id(r, t->id);
        if (!st) st = fvlm_stop_check(r->pieces.stop, r->err);
        from = at += t->n_bytes;
    }
    free(found);
    return st;
}

fvlm_status fvlm_sentencepiece_encode(const fvlm_sentencepiece *s, const char *text, size_t n_bytes,
                                      const fvlm_stop *stop, uint32_t **ids, size_t *n, fvlm_err *err)
{
    run r = {.s = s, .err = err};
    r.pieces =
        (fvlm_pieces){.table = &s->table, .user = &s->rules.user, .least = s->least, .most = s->most, .stop = stop};
    fvlm_status st = fvlm_grow(&r.ids, &r.capacity, 1, sizeof *r.ids) ? FVLM_OK : fvlm_fail_nomem(err);
    if (!st && s->table.has_unused && !s->unigram) {
        r.pieces.left_bytes = fvlm_alloc(s->table.n, sizeof *r.pieces.left_bytes);
        if (!r.pieces.left_bytes) st = fvlm_fail_nomem(err);
    }
    if (!st) st = encode_all(&r, text, n_bytes);
    free(r.pieces.left_bytes);
    free(r.normalized.bytes);
    if (st) {
        free(r.ids);
        return st;
    }
    *ids = r.ids;
    *n = r.n;
    return FVLM_OK;
}

size_t fvlm_sentencepiece_skip(const fvlm_sentencepiece *s, uint32_t id, size_t n_surface, bool *later)
{
    const fvlm_piece_rules *r = &s->rules;
    const fvlm_piece *x = id < s->table.n ? &s->table.pieces[id] : NULL;
    bool space =
        x && x->type != FVLM_PIECE_UNKNOWN && x->n_bytes >= 3 && !memcmp(s->table.text + x->at, FVLM_SPACE_SYMBOL, 3);
    if (s->table.ranks) { /* tokenizers strips the text: the space may be a byte, or of an added token */
        const fvlm_token *t = &s->surfaces->tokens[id];
        space = n_surface && s->surfaces->text[t->at] == ' ';
    }
    space = space && !*later && (r->dummy_prefix || r->remove_whitespace);
    /* Only one space is left out, unless whitespace at both ends is removed. */
    *later = *later || n_surface > space || (space && !r->remove_whitespace);
    return space;
}
