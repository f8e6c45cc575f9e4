/* SPDX-License-Identifier: Apache-2.0 */
/* added_tokens.c - added tokens, sorted by text and found byte by byte. */
#include "reference/tokenizer/added_tokens.h"

#include <stdlib.h>
#include <string.h>

#include "format/base/grow.h"

fvlm_status fvlm_added_tokens_add(fvlm_added_tokens *a, const char *text, size_t n_bytes, uint32_t id, fvlm_err *err)
{
    char *copy = fvlm_alloc(n_bytes + 1, 1);
    if (!copy || !fvlm_grow(&a->tokens, &a->capacity, a->n + 1, sizeof *a->tokens)) {
        free(copy);
        return fvlm_fail_nomem(err);
    }
    memcpy(copy, text, n_bytes);
    a->tokens[a->n++] = (fvlm_added_token){copy, n_bytes, id};
    return FVLM_OK;
}

static int by_text(const void *x, const void *y)
{
    const fvlm_added_token *a = x, *b = y;
    const int c = memcmp(a->text, b->text, a->n_bytes < b->n_bytes ? a->n_bytes : b->n_bytes);
    return c ? c : (a->n_bytes > b->n_bytes) - (a->n_bytes < b->n_bytes);
}

fvlm_status fvlm_added_tokens_sort(fvlm_added_tokens *a, fvlm_err *err)
{
    if (a->n) qsort(a->tokens, a->n, sizeof *a->tokens, by_text);
    for (size_t i = 1; i < a->n; i++)
        if (by_text(&a->tokens[i - 1], &a->tokens[i]) == 0)
            return fvlm_fail(err, FVLM_BAD_INPUT, "damaged tokenizer: added token \"%.64s\" is given twice",
                             a->tokens[i].text);
    return FVLM_OK;
}

void fvlm_added_tokens_free(fvlm_added_tokens *a)
{
    for (size_t i = 0; i < a->n; i++) free(a->tokens[i].text);
    free(a->tokens);
    *a = (fvlm_added_tokens){0};
}

/* The first of tokens [lo, hi), equal up to depth, whose byte there is at least c. */
static size_t lower_bound(const fvlm_added_tokens *a, size_t lo, size_t hi, size_t depth, int c)
{
    while (lo < hi) {
        const size_t mid = lo + (hi - lo) / 2;
        if ((uint8_t)a->tokens[mid].text[depth] < c)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* The longest token that s begins with. [lo, hi) are the tokens that agree with s so far. */
static const fvlm_added_token *longest_at(const fvlm_added_tokens *a, const char *s, size_t n_bytes)
{
    const fvlm_added_token *best = NULL;
    size_t lo = 0, hi = a->n;
    for (size_t depth = 0; lo < hi; depth++) {
        if (a->tokens[lo].n_bytes == depth) best = &a->tokens[lo++]; /* the shortest sorts first */
        if (depth == n_bytes) break;
        const int c = (uint8_t)s[depth];
        hi = lower_bound(a, lo, hi, depth, c + 1);
        lo = lower_bound(a, lo, hi, depth, c);
    }
    return best;
}

const fvlm_added_token *fvlm_added_tokens_find(const fvlm_added_tokens *a, const char *s, size_t n_bytes, size_t *at)
{
    if (!a->n) return NULL;
    for (size_t i = 0; i < n_bytes; i++) {
        const fvlm_added_token *t = longest_at(a, s + i, n_bytes - i);
        if (!t) continue;
        *at = i;
        return t;
    }
    return NULL;
}
