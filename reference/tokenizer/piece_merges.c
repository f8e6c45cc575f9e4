/* SPDX-License-Identifier: Apache-2.0 */
/* piece_merges.c - merges by rank, as Hugging Face's tokenizers has them: which two pieces make a third, and when. They
 * are kept with the piece that they make. */
#include <stdlib.h>
#include <string.h>

#include "format/base/grow.h"
#include "reference/tokenizer/piece_table.h"

struct fvlm_piece_split {
    uint32_t left_bytes, rank;
};

typedef struct {
    uint32_t id, left_bytes;
} merge;

static bool is_normal(const fvlm_piece_table *v, const char *s, size_t n)
{
    const uint32_t id = n ? fvlm_piece_table_find(v, s, n) : FVLM_NO_PIECE;
    return id != FVLM_NO_PIECE && v->pieces[id].type == FVLM_PIECE_NORMAL;
}

/* "left right" */
static bool read_one(const fvlm_piece_table *v, fvlm_json_pull *p, merge *out)
{
    fvlm_json_text s;
    if (!fvlm_json_pull_string(p, &s)) return false;
    char *space = memchr(s.s, ' ', s.n);
    const size_t left = space ? (size_t)(space - s.s) : s.n, right = space ? s.n - left - 1 : 0;
    bool ok = is_normal(v, s.s, left) && right && is_normal(v, space + 1, right);
    if (ok) memmove(space, space + 1, right);
    ok = ok && is_normal(v, s.s, left + right);
    if (!ok) return fvlm_json_pull_refuse(p, s.at, FVLM_BAD_INPUT, "a merge that is not of two pieces into a third");
    *out = (merge){fvlm_piece_table_find(v, s.s, left + right), (uint32_t)left};
    return true;
}

/* Sorts by piece, and by rank among those of one. */
static bool sort(fvlm_piece_table *v, const merge *merges, size_t n)
{
    v->first_split = fvlm_alloc(v->n + 1, sizeof *v->first_split);
    v->splits = fvlm_alloc(n + 1, sizeof *v->splits);
    if (!v->first_split || !v->splits) return false;
    for (size_t i = 0; i < n; i++) v->first_split[merges[i].id]++;
    uint32_t end = 0;
    for (size_t id = 0; id <= v->n; id++) v->first_split[id] = end += v->first_split[id];
    for (size_t i = n; i-- > 0;)
        v->splits[--v->first_split[merges[i].id]] = (struct fvlm_piece_split){merges[i].left_bytes, (uint32_t)i};
    return true;
}

bool fvlm_piece_table_read_merges(fvlm_piece_table *v, fvlm_json_pull *p)
{
    merge *merges = NULL;
    size_t n = 0, capacity = 0;
    bool first = true;
    fvlm_json_pull_expect(p, '[', "'[', the merges");
    while (fvlm_json_pull_element(p, &first)) {
        if (n == FVLM_MAX_TOKENS)
            fvlm_json_pull_refuse(p, p->pos, FVLM_LIMIT, "more than %u merges", FVLM_MAX_TOKENS);
        else if (!fvlm_grow(&merges, &capacity, n + 1, sizeof *merges))
            fvlm_json_pull_nomem(p);
        else if (read_one(v, p, &merges[n]))
            n++;
        if (p->st) break;
    }
    if (!p->st && !sort(v, merges, n)) fvlm_json_pull_nomem(p);
    free(merges);
    return !p->st;
}

uint32_t fvlm_piece_table_rank(const fvlm_piece_table *v, uint32_t id, uint32_t left_bytes)
{
    uint32_t rank = FVLM_NO_PIECE; /* of two alike, the last counts */
    for (uint32_t i = v->first_split[id]; i < v->first_split[id + 1]; i++)
        if (v->splits[i].left_bytes == left_bytes) rank = v->splits[i].rank;
    return rank;
}
