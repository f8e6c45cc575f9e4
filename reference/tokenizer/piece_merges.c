/* SPDX-License-Identifier: Apache-2.0 */
/* piece_merges.c - merges by rank, as Hugging Face's tokenizers has them: which two pieces make a third, and when. A
 * merge is stored where its second piece begins in the text of the third, so each is found at once, however many there
 * are. */
#include <string.h>

#include "reference/tokenizer/piece_table.h"

static bool is_normal(const fvlm_piece_table *v, const char *s, size_t n)
{
    const uint32_t id = n ? fvlm_piece_table_find(v, s, n) : FVLM_NO_PIECE;
    return id != FVLM_NO_PIECE && v->pieces[id].type == FVLM_PIECE_NORMAL;
}

/* "left right". Of two merges alike, the last counts. */
static bool read_one(fvlm_piece_table *v, fvlm_json_pull *p, uint32_t rank)
{
    fvlm_json_text s;
    if (!fvlm_json_pull_string(p, &s)) return false;
    char *space = memchr(s.s, ' ', s.n);
    const size_t left = space ? (size_t)(space - s.s) : s.n, right = space ? s.n - left - 1 : 0;
    bool ok = is_normal(v, s.s, left) && right && is_normal(v, space + 1, right);
    if (ok) memmove(space, space + 1, right);
    ok = ok && is_normal(v, s.s, left + right);
    if (!ok) return fvlm_json_pull_refuse(p, s.at, FVLM_BAD_INPUT, "a merge that is not of two pieces into a third");
    v->ranks[v->pieces[fvlm_piece_table_find(v, s.s, left + right)].at + left] = rank + 1;
    return true;
}

bool fvlm_piece_table_read_merges(fvlm_piece_table *v, fvlm_json_pull *p)
{
    uint32_t n = 0;
    bool first = true;
    v->ranks = fvlm_alloc(v->n_text, sizeof *v->ranks);
    if (!v->ranks) return fvlm_json_pull_nomem(p);
    fvlm_json_pull_expect(p, '[', "'[', the merges");
    while (fvlm_json_pull_element(p, &first)) {
        if (n == FVLM_MAX_TOKENS)
            return fvlm_json_pull_refuse(p, p->pos, FVLM_LIMIT, "more than %u merges", FVLM_MAX_TOKENS);
        if (!read_one(v, p, n++)) return false;
    }
    return !p->st;
}

uint32_t fvlm_piece_table_rank(const fvlm_piece_table *v, uint32_t id, uint32_t left_bytes)
{
    return v->ranks[v->pieces[id].at + left_bytes] - 1; /* 0 becomes FVLM_NO_PIECE */
}
