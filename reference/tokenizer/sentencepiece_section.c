/* SPDX-License-Identifier: Apache-2.0 */
/* sentencepiece_section.c - reads a tokenizer section of the kind "sentencepiece". */
#include <float.h>
#include <stdlib.h>
#include <string.h>

#include "reference/tokenizer/sentencepiece.h"
#include "reference/tokenizer/sentencepiece_internal.h"

typedef enum {
    KIND,
    MODEL,
    PIECES,
    SCORES,
    TYPES,
    UNKNOWN,
    CHARSMAP,
    DUMMY_PREFIX,
    REMOVE_WHITESPACE,
    ESCAPE_WHITESPACE,
    WHITESPACE_SUFFIX,
    LEGACY,
    ADDED,
    N_MEMBERS
} member;

static const char *const names[N_MEMBERS] = {"kind",
                                             "model",
                                             "pieces",
                                             "scores",
                                             "types",
                                             "unknown",
                                             "charsmap",
                                             "dummy_prefix",
                                             "remove_whitespace",
                                             "escape_whitespace",
                                             "whitespace_suffix",
                                             "legacy",
                                             "added"};

typedef struct {
    fvlm_sentencepiece *s;
    fvlm_token_table *surfaces;
    fvlm_json_pull *p;
} reader;

/* The offset of each member's value. All are required, once each. */
static bool find_members(fvlm_json_pull *p, size_t at[N_MEMBERS])
{
    bool first = true;
    fvlm_json_text key;
    fvlm_json_pull_expect(p, '{', "'{', the tokenizer");
    while (fvlm_json_pull_member(p, &first, &key)) {
        int m = 0;
        size_t end;
        while (m < N_MEMBERS && strcmp(key.s, names[m]) != 0) m++;
        if (m == N_MEMBERS) return fvlm_json_pull_refuse(p, key.at, FVLM_BAD_INPUT, "unknown member");
        if (at[m]) return fvlm_json_pull_refuse(p, key.at, FVLM_BAD_INPUT, "\"%s\" is given twice", key.s);
        fvlm_json_pull_skip(p, &at[m], &end);
    }
    fvlm_json_pull_end(p);
    for (int m = 0; m < N_MEMBERS; m++)
        if (!at[m]) fvlm_json_pull_refuse(p, p->pos, FVLM_BAD_INPUT, "\"%s\" is missing", names[m]);
    return !p->st;
}

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

static fvlm_status put_added(reader *r, uint64_t id, const fvlm_json_text *text, bool special)
{
    const fvlm_piece_table *v = &r->s->table;
    fvlm_err *err = r->p->err;
    fvlm_status st = FVLM_OK;
    if (id >= v->n) {
        st = fvlm_token_table_add(r->surfaces, id, text->s, text->n, special, err);
    } else {
        const fvlm_piece *x = &v->pieces[id];
        if (x->n_bytes != text->n || memcmp(v->text + x->at, text->s, text->n) != 0)
            st = fvlm_fail(err, FVLM_BAD_INPUT,
                           "damaged tokenizer: added token \"%.64s\" has the id of the piece \"%.*s\"", text->s,
                           (int)(x->n_bytes < 64 ? x->n_bytes : 64), v->text + x->at);
        else if (special)
            r->surfaces->kinds[id] |= FVLM_TOKEN_SPECIAL;
    }
    return st ? st : fvlm_added_tokens_add(&r->s->added, text->s, text->n, (uint32_t)id, err);
}

static bool read_added_token(reader *r)
{
    fvlm_json_pull *p = r->p;
    fvlm_json_text key, text = {0};
    uint64_t id = UINT64_MAX;
    bool first = true, special = false;
    fvlm_json_pull_expect(p, '{', "'{', an added token");
    const size_t begin = p->pos;
    while (fvlm_json_pull_member(p, &first, &key)) {
        if (!strcmp(key.s, "id"))
            fvlm_json_pull_u64(p, &id);
        else if (!strcmp(key.s, "special"))
            fvlm_json_pull_bool(p, &special);
        else if (!strcmp(key.s, "text") && !text.s)
            fvlm_json_pull_string(p, &text);
        else
            fvlm_json_pull_refuse(p, key.at, FVLM_BAD_INPUT, "unknown member of an added token");
    }
    if (!text.n || id == UINT64_MAX)
        fvlm_json_pull_refuse(p, begin - 1, FVLM_BAD_INPUT, "an added token without id or text");
    if (!p->st) p->st = put_added(r, id, &text, special);
    return !p->st;
}

static void read_added(reader *r)
{
    fvlm_json_pull *p = r->p;
    size_t n = 0;
    bool first = true;
    fvlm_json_pull_expect(p, '[', "'[', the added tokens");
    while (fvlm_json_pull_element(p, &first) && read_added_token(r))
        if (++n > FVLM_MAX_ADDED_TOKENS)
            fvlm_json_pull_refuse(p, p->pos, FVLM_LIMIT, "more than %d added tokens", FVLM_MAX_ADDED_TOKENS);
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
        for (n = 0; r->s->table.of_byte[n] != id;) n++;
        text[0] = (char)n;
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
    default: {
        bool *const flags[] = {[DUMMY_PREFIX] = &s->rules.dummy_prefix,
                               [REMOVE_WHITESPACE] = &s->rules.remove_whitespace,
                               [ESCAPE_WHITESPACE] = &s->rules.escape_whitespace,
                               [WHITESPACE_SUFFIX] = &s->rules.suffix,
                               [LEGACY] = &s->legacy};
        fvlm_json_pull_bool(r->p, flags[m]);
    }
    }
}

fvlm_status fvlm_sentencepiece_create(fvlm_sentencepiece **out, fvlm_token_table *surfaces, fvlm_json_pull *p)
{
    static const member order[N_MEMBERS] = {KIND,
                                            MODEL,
                                            UNKNOWN,
                                            PIECES,
                                            SCORES,
                                            TYPES,
                                            CHARSMAP,
                                            DUMMY_PREFIX,
                                            LEGACY,
                                            REMOVE_WHITESPACE,
                                            ESCAPE_WHITESPACE,
                                            ADDED,
                                            WHITESPACE_SUFFIX};
    size_t at[N_MEMBERS] = {0};
    fvlm_sentencepiece *s = *out = fvlm_alloc(1, sizeof *s);
    if (!s) return p->st = fvlm_fail_nomem(p->err);
    reader r = {s, surfaces, p};
    find_members(p, at);
    for (int i = 0; !p->st && i < N_MEMBERS; i++) {
        p->pos = at[order[i]];
        read_member(&r, order[i]);
    }
    if (!p->st && !(s->special = fvlm_alloc(surfaces->n, sizeof *s->special))) p->st = fvlm_fail_nomem(p->err);
    for (size_t i = 0; !p->st && i < surfaces->n; i++) s->special[i] = surfaces->kinds[i] & FVLM_TOKEN_SPECIAL;
    if (p->st) fvlm_sentencepiece_destroy(out);
    return p->st;
}

void fvlm_sentencepiece_destroy(fvlm_sentencepiece **s)
{
    if (!*s) return;
    fvlm_piece_table_free(&(*s)->table);
    fvlm_piece_rules_free(&(*s)->rules);
    fvlm_added_tokens_free(&(*s)->added);
    free((*s)->special);
    free((*s)->unknown);
    free(*s);
    *s = NULL;
}
