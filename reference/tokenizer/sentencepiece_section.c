/* SPDX-License-Identifier: Apache-2.0 */
/* sentencepiece_section.c - reads a tokenizer section of the kind "sentencepiece". */
#include <float.h>
#include <stdlib.h>
#include <string.h>

#include "reference/tokenizer/tokenizer_section.h"
#include "format/byte_letters.h"
#include "reference/tokenizer/sentencepiece.h"
#include "reference/tokenizer/sentencepiece_internal.h"

/* In the order in which they are read: the types complete the pieces, which need the unknown piece's text. */
typedef enum {
    KIND,
    MODEL,
    UNKNOWN,
    PIECES,
    SCORES,
    TYPES,
    CHARSMAP,
    DUMMY_PREFIX,
    REMOVE_WHITESPACE,
    ESCAPE_WHITESPACE,
    WHITESPACE_SUFFIX,
    LEGACY,
    ADDED,
    PREFIX_ONCE, /* this and the next are optional */
    MERGES,
    N_MEMBERS
} member;

static const char *const names[N_MEMBERS] = {[KIND] = "kind",
                                             [MODEL] = "model",
                                             [UNKNOWN] = "unknown",
                                             [PIECES] = "pieces",
                                             [SCORES] = "scores",
                                             [TYPES] = "types",
                                             [CHARSMAP] = "charsmap",
                                             [DUMMY_PREFIX] = "dummy_prefix",
                                             [REMOVE_WHITESPACE] = "remove_whitespace",
                                             [ESCAPE_WHITESPACE] = "escape_whitespace",
                                             [WHITESPACE_SUFFIX] = "whitespace_suffix",
                                             [LEGACY] = "legacy",
                                             [ADDED] = "added",
                                             [PREFIX_ONCE] = "prefix_once",
                                             [MERGES] = "merges"};

typedef struct {
    fvlm_sentencepiece *s;
    fvlm_token_table *surfaces;
    fvlm_json_pull *p;
} reader;

/* The text must be one of two; *second tells which. */
static void read_choice(fvlm_json_pull *p, const char *a, const char *b, const char *what, bool *second)
{
    fvlm_json_text s;
    if (!fvlm_json_pull_string(p, &s)) return;
    *second = b && !strcmp(s.s, b);
    if (!*second && strcmp(s.s, a) != 0)
        p->st = fvlm_fail(p->err, FVLM_UNSUPPORTED, "tokenizer whose %s is \"%.64s\", which this fvlm does not have",
                          what, s.s);
}

static void read_unknown(reader *r)
{
    fvlm_json_text s;
    if (!fvlm_json_pull_string(r->p, &s)) return;
    r->s->unknown = fvlm_strdup(s.s);
    r->s->n_unknown = s.n;
    if (!r->s->unknown) r->p->st = fvlm_fail_nomem(r->p->err);
}

/* ---- added tokens ---- */

static fvlm_status put_added(void *ctx, const fvlm_tokenizer_section_added *t, fvlm_err *err)
{
    const reader *r = ctx;
    const fvlm_piece_table *v = &r->s->table;
    fvlm_status st = FVLM_OK;
    if (t->id >= v->n) {
        st = fvlm_token_table_add(r->surfaces, t->id, t->text.s, t->text.n, t->special, err);
    } else {
        const fvlm_piece *x = &v->pieces[t->id];
        if (x->n_bytes != t->text.n || memcmp(v->text + x->at, t->text.s, t->text.n) != 0)
            st = fvlm_fail(err, FVLM_BAD_INPUT,
                           "damaged tokenizer: added token \"%.64s\" has the id of the piece \"%.*s\"", t->text.s,
                           (int)(x->n_bytes < 64 ? x->n_bytes : 64), v->text + x->at);
        else if (t->special)
            r->surfaces->kinds[t->id] |= FVLM_TOKEN_SPECIAL;
    }
    return st ? st : fvlm_added_tokens_add(&r->s->added, t->text.s, t->text.n, (uint32_t)t->id, err);
}

static void read_added(reader *r)
{
    fvlm_json_pull *p = r->p;
    fvlm_tokenizer_section_read_added(p, false, put_added, r);
    if (!p->st) p->st = fvlm_added_tokens_link(&r->s->added, p->err);
}

/* ---- what follows from the pieces ---- */

static fvlm_status add_surface(reader *r, uint32_t id)
{
    const fvlm_piece *x = &r->s->table.pieces[id];
    const char *s = r->s->table.text + x->at;
    char text[FVLM_MAX_PIECE_BYTES];
    size_t n = 0;
    if (x->type == FVLM_PIECE_UNKNOWN)
        return fvlm_token_table_add(r->surfaces, id, r->s->unknown, r->s->n_unknown, false, r->p->err);
    for (size_t i = 0; i < x->n_bytes;) {
        const bool space = x->n_bytes - i >= 3 && !memcmp(s + i, FVLM_SPACE_SYMBOL, 3);
        text[n++] = space ? ' ' : s[i];
        i += space ? 3 : 1;
    }
    if (x->type == FVLM_PIECE_BYTE) {
        text[0] = (char)fvlm_byte_letters_from_hex(s, x->n_bytes);
        n = 1;
    }
    return fvlm_token_table_add(r->surfaces, id, text, n, x->type == FVLM_PIECE_CONTROL, r->p->err);
}

/* Once the pieces are complete. */
static void link_pieces(reader *r)
{
    fvlm_sentencepiece *s = r->s;
    fvlm_json_pull *p = r->p;
    p->st = fvlm_piece_table_link(&s->table, p->err);
    s->least = FLT_MAX;
    s->most = FLT_MIN; /* as in sentencepiece: not the lowest float, but the smallest above 0 */
    for (uint32_t id = 0; !p->st && id < s->table.n; id++) {
        const fvlm_piece *x = &s->table.pieces[id];
        const bool normal = x->type == FVLM_PIECE_NORMAL;
        if (normal && x->score < s->least) s->least = x->score;
        if (normal && x->score > s->most) s->most = x->score;
        if (x->type == FVLM_PIECE_USER)
            p->st = fvlm_added_tokens_add(&s->rules.user, s->table.text + x->at, x->n_bytes, id, p->err);
        if (!p->st) p->st = add_surface(r, id);
        if (!p->st) p->st = fvlm_stop_check(p->stop, p->err);
    }
    if (!p->st) p->st = fvlm_added_tokens_link(&s->rules.user, p->err);
}

static void read_member(reader *r, member m)
{
    fvlm_sentencepiece *s = r->s;
    bool ignored;
    switch (m) {
    case KIND:
        read_choice(r->p, "sentencepiece", NULL, "kind", &ignored);
        break;
    case MODEL:
        read_choice(r->p, "bpe", "unigram", "model", &s->unigram);
        break;
    case PIECES:
        fvlm_piece_table_read_texts(&s->table, r->p);
        break;
    case SCORES:
        fvlm_piece_table_read_scores(&s->table, r->p);
        break;
    case TYPES:
        if (fvlm_piece_table_read_types(&s->table, r->p)) link_pieces(r);
        break;
    case UNKNOWN:
        read_unknown(r);
        break;
    case CHARSMAP:
        fvlm_piece_rules_read_charsmap(&s->rules, r->p);
        break;
    case ADDED:
        read_added(r);
        break;
    case MERGES:
        if (s->unigram)
            fvlm_json_pull_refuse(r->p, r->p->pos, FVLM_BAD_INPUT, "\"merges\" of a unigram model");
        else
            fvlm_piece_table_read_merges(&s->table, r->p);
        break;
    default: {
        bool *const flags[] = {[DUMMY_PREFIX] = &s->rules.dummy_prefix,
                               [REMOVE_WHITESPACE] = &s->rules.remove_whitespace,
                               [ESCAPE_WHITESPACE] = &s->rules.escape_whitespace,
                               [WHITESPACE_SUFFIX] = &s->rules.suffix,
                               [LEGACY] = &s->legacy,
                               [PREFIX_ONCE] = &s->prefix_once};
        fvlm_json_pull_bool(r->p, flags[m]);
    }
    }
}

fvlm_status fvlm_sentencepiece_create(fvlm_sentencepiece **out, fvlm_token_table *surfaces, fvlm_json_pull *p)
{
    size_t at[N_MEMBERS] = {0};
    fvlm_sentencepiece *s = *out = fvlm_alloc(1, sizeof *s);
    if (!s) return p->st = fvlm_fail_nomem(p->err);
    reader r = {s, surfaces, p};
    s->surfaces = surfaces;
    fvlm_tokenizer_section_find(p, names, N_MEMBERS, ADDED + 1, at);
    for (int m = 0; !p->st && m < N_MEMBERS; m++) {
        p->pos = at[m];
        if (p->pos) read_member(&r, (member)m);
    }
    if (p->st) fvlm_sentencepiece_destroy(out);
    return p->st;
}

void fvlm_sentencepiece_destroy(fvlm_sentencepiece **s)
{
    if (!*s) return;
    fvlm_piece_table_free(&(*s)->table);
    fvlm_piece_rules_free(&(*s)->rules);
    fvlm_added_tokens_free(&(*s)->added);
    free((*s)->unknown);
    free(*s);
    *s = NULL;
}
