/* SPDX-License-Identifier: Apache-2.0 */
/* piece_rules.c - see piece_rules.h. What sentencepiece's normalizer.cc computes: longest rule first, then spaces. */
#include "reference/tokenizer/piece_rules.h"

#include <stdlib.h>
#include <string.h>

#include "format/base/grow.h"
#include "format/base/utf8.h"

/* ---- reading ---- */

static bool read_trie(fvlm_piece_rules *r, fvlm_json_pull *p)
{
    bool first = true;
    size_t capacity = 0;
    uint64_t unit;
    if (r->trie) return fvlm_json_pull_refuse(p, p->pos, FVLM_BAD_INPUT, "\"trie\" is given twice");
    fvlm_json_pull_expect(p, '[', "'[', the trie");
    while (fvlm_json_pull_element(p, &first) && fvlm_json_pull_u64(p, &unit)) {
        if (unit > UINT32_MAX) return fvlm_json_pull_refuse(p, p->pos, FVLM_BAD_INPUT, "a unit of over 32 bits");
        if (!fvlm_grow(&r->trie, &capacity, r->n_units + 1, sizeof *r->trie)) return fvlm_json_pull_nomem(p);
        r->trie[r->n_units++] = (uint32_t)unit;
    }
    return !p->st;
}

static bool read_targets(fvlm_piece_rules *r, fvlm_json_pull *p)
{
    bool first = true;
    size_t capacity = 0;
    fvlm_json_text s;
    if (r->targets) return fvlm_json_pull_refuse(p, p->pos, FVLM_BAD_INPUT, "\"targets\" is given twice");
    fvlm_json_pull_expect(p, '[', "'[', the targets");
    while (fvlm_json_pull_element(p, &first) && fvlm_json_pull_string(p, &s)) {
        if (!fvlm_grow(&r->targets, &capacity, r->n_targets + s.n + 1, 1)) return fvlm_json_pull_nomem(p);
        memcpy(r->targets + r->n_targets, s.s, s.n + 1);
        r->n_targets += s.n + 1;
    }
    return !p->st;
}

bool fvlm_piece_rules_read_charsmap(fvlm_piece_rules *r, fvlm_json_pull *p)
{
    bool first = true;
    fvlm_json_text key;
    if (fvlm_json_pull_null(p) || p->st) return !p->st;
    fvlm_json_pull_expect(p, '{', "'{', the rules");
    const size_t begin = p->pos;
    while (fvlm_json_pull_member(p, &first, &key)) {
        if (!strcmp(key.s, "trie"))
            read_trie(r, p);
        else if (!strcmp(key.s, "targets"))
            read_targets(r, p);
        else
            fvlm_json_pull_refuse(p, key.at, FVLM_BAD_INPUT, "unknown member of the charsmap");
    }
    if (!r->trie || !r->targets) fvlm_json_pull_refuse(p, begin, FVLM_BAD_INPUT, "a charsmap without trie or targets");
    return !p->st;
}

void fvlm_piece_rules_free(fvlm_piece_rules *r)
{
    free(r->trie);
    free(r->targets);
    fvlm_added_tokens_free(&r->user);
    *r = (fvlm_piece_rules){0};
}

/* ---- the trie: a double array of Darts-clone ---- */

static uint32_t offset_of(uint32_t unit)
{
    return (unit >> 10) << ((unit & 0x200) >> 6);
}

/* The target of the longest rule for the beginning of s; *n_key is the rule's length, 0 if there is none. Every index
 * is checked, since the units may be anything. */
static const char *longest_rule(const fvlm_piece_rules *r, const uint8_t *s, size_t n, size_t *n_key)
{
    const char *target = NULL;
    *n_key = 0;
    size_t at = r->n_units ? offset_of(r->trie[0]) : 0;
    for (size_t i = 0; i < n && r->n_units; i++) {
        at ^= s[i];
        if (at >= r->n_units || (r->trie[at] & 0x800000ff) != s[i]) break;
        const uint32_t unit = r->trie[at];
        at ^= offset_of(unit);
        if (!(unit & 0x100)) continue;
        const size_t value = at < r->n_units ? r->trie[at] & 0x7fffffff : SIZE_MAX;
        if (value >= r->n_targets) continue;
        target = r->targets + value;
        *n_key = i + 1;
    }
    return target;
}

/* ---- applying ---- */

typedef struct {
    const fvlm_piece_rules *r;
    const char *s;
    size_t n_bytes, at;
    const uint32_t *user; /* [n_bytes] user-defined pieces; NULL: none */
} reader;

/* What the beginning of the rest becomes; moves past it. */
static const char *next_part(reader *x, size_t *n)
{
    const char *s = x->s + x->at;
    const size_t left = x->n_bytes - x->at;
    size_t n_key;
    if (x->user && x->user[x->at]) {
        *n = x->r->user.tokens[x->user[x->at] - 1].n_bytes;
        x->at += *n;
        return s;
    }
    const char *target = longest_rule(x->r, (const uint8_t *)s, left, &n_key);
    if (target) {
        *n = strlen(target);
        x->at += n_key;
        return target;
    }
    int32_t c;
    *n = fvlm_utf8_next((const uint8_t *)s, left, &c);
    x->at += c < 0 ? 1 : *n; /* each byte of an ill-formed sequence by itself */
    if (c >= 0) return s;
    *n = 3;
    return "\xef\xbf\xbd";
}

static fvlm_status put(fvlm_piece_text *out, const char *s, size_t n, fvlm_err *err)
{
    if (out->n_bytes + n > FVLM_MAX_NORMALIZED_BYTES)
        return fvlm_fail(err, FVLM_LIMIT, "the normalized text has more than %zu MiB", FVLM_MAX_NORMALIZED_BYTES >> 20);
    if (!fvlm_grow(&out->bytes, &out->capacity, out->n_bytes + n + 1, 1)) return fvlm_fail_nomem(err);
    memcpy(out->bytes + out->n_bytes, s, n);
    out->n_bytes += n;
    return FVLM_OK;
}

static fvlm_status put_spaces(const fvlm_piece_rules *r, fvlm_piece_text *out, const char *s, size_t n, fvlm_err *err)
{
    fvlm_status st = FVLM_OK;
    for (size_t i = 0, run; !st && i < n; i += run) {
        const char *space = r->escape_whitespace ? memchr(s + i, ' ', n - i) : NULL;
        run = space ? (size_t)(space - (s + i)) : n - i;
        if (run) st = put(out, s + i, run, err);
        if (!st && space) st = put(out, FVLM_SPACE_SYMBOL, 3, err);
        run += space != NULL;
    }
    return st;
}

static void remove_trailing(const fvlm_piece_rules *r, fvlm_piece_text *out)
{
    const char *space = r->escape_whitespace ? FVLM_SPACE_SYMBOL : " ";
    const size_t n = strlen(space);
    while (out->n_bytes >= n && !memcmp(out->bytes + out->n_bytes - n, space, n)) out->n_bytes -= n;
}

static fvlm_status normalize(reader *x, fvlm_piece_context c, fvlm_piece_text *out, fvlm_err *err)
{
    const fvlm_piece_rules *r = x->r;
    bool after_space = r->remove_whitespace && !c.keep_leading;
    fvlm_status st = FVLM_OK;
    size_t n;
    while (after_space && x->at < x->n_bytes) {
        const size_t before = x->at;
        const char *part = next_part(x, &n);
        if (n == 1 && *part == ' ') continue;
        x->at = before;
        break;
    }
    if (x->at == x->n_bytes) return FVLM_OK;
    const bool dummy = r->dummy_prefix && c.prefix;
    if (dummy && !r->suffix) st = put_spaces(r, out, " ", 1, err);
    while (!st && x->at < x->n_bytes) {
        const char *part = next_part(x, &n);
        while (after_space && n && *part == ' ') part++, n--;
        if (n) after_space = r->remove_whitespace && part[n - 1] == ' ';
        st = put_spaces(r, out, part, n, err);
    }
    if (r->remove_whitespace) remove_trailing(r, out);
    if (!st && dummy && r->suffix) st = put_spaces(r, out, " ", 1, err);
    return st;
}

fvlm_status fvlm_piece_rules_apply(const fvlm_piece_rules *r, fvlm_piece_context c, const char *s, size_t n_bytes,
                                   fvlm_piece_text *out, fvlm_err *err)
{
    uint32_t *user = NULL;
    out->n_bytes = 0;
    if (r->user.n) {
        user = fvlm_alloc(n_bytes, sizeof *user);
        if (!user) return fvlm_fail_nomem(err);
        fvlm_added_tokens_find(&r->user, s, n_bytes, user);
    }
    reader x = {.r = r, .s = s, .n_bytes = n_bytes, .user = user};
    const fvlm_status st = normalize(&x, c, out, err);
    free(user);
    return st;
}
