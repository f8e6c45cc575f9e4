/* SPDX-License-Identifier: Apache-2.0 */
/* vocab_files.c - reads vocab.json and merges.txt, the files of a byte-level BPE; how it splits text they do not say.
 */
#include <string.h>

#include "convert/vocabulary/vocabulary_parts.h"
#include "format/base/grow.h"

static fvlm_status read_vocab(fvlm_vocabulary *v, fvlm_source *src, fvlm_err *err)
{
    char *text;
    size_t n_bytes;
    fvlm_status st = fvlm_source_text(src, "vocab.json", FVLM_MAX_VOCABULARY_BYTES, &text, &n_bytes, err);
    if (st) return st;
    v->texts[v->n_texts++] = text;
    fvlm_json_pull s = fvlm_json_pull_over(text, n_bytes, "vocab.json", 0, err);
    s.stop = v->stop;
    if (fvlm_vocabulary_scan_tokens(v, &s)) fvlm_json_pull_end(&s);
    return s.st;
}

/* One line of merges.txt, without its end: "left right", an empty line, or at the top "#version...". */
static fvlm_status read_line(fvlm_vocabulary *v, char *s, size_t n, size_t line, uint64_t at, fvlm_err *err)
{
    if (n > 0 && s[n - 1] == '\r') s[--n] = 0;
    if (n == 0 || (line == 1 && !strncmp(s, "#version", 8))) return FVLM_OK;
    char *space = strchr(s, ' ');
    if (!space || space == s || !space[1] || strchr(space + 1, ' '))
        return fvlm_refuse(err, at, "\"merges.txt\": line %zu: expected two tokens separated by one space", line);
    *space = 0;
    return fvlm_vocabulary_add_merge(v, s, space + 1, err);
}

static fvlm_status read_merges(fvlm_vocabulary *v, fvlm_source *src, fvlm_err *err)
{
    char *text;
    size_t n_bytes, line = 0;
    fvlm_status st = fvlm_source_text(src, "merges.txt", FVLM_MAX_VOCABULARY_BYTES, &text, &n_bytes, err);
    if (!st && !text) st = fvlm_fail(err, FVLM_CHANGED, "\"merges.txt\" was removed while it was being read");
    if (st) return st;
    v->texts[v->n_texts++] = text;
    if (strlen(text) != n_bytes)
        return fvlm_refuse(err, strlen(text), "\"merges.txt\": byte %zu: NUL in a text file", strlen(text));
    for (char *next, *at = text; !st && *at; at = next) {
        char *end = strchr(at, '\n');
        const size_t n = end ? (size_t)(end - at) : strlen(at);
        next = at + n + (end != NULL);
        at[n] = 0;
        st = read_line(v, at, n, ++line, (uint64_t)(at - text), err);
    }
    return st;
}

/* A copy of the n elements of from in the growing array to. */
static fvlm_status borrow(void *to, size_t *n_to, size_t *capacity, const void *from, size_t n, size_t size,
                          fvlm_err *err)
{
    void *block;
    if (!fvlm_grow(to, capacity, n, size)) return fvlm_fail_nomem(err);
    memcpy(&block, to, sizeof block);
    if (n) memcpy(block, from, n * size);
    *n_to = n;
    return FVLM_OK;
}

fvlm_status fvlm_vocabulary_from_files(fvlm_vocabulary *v, fvlm_source *src, const fvlm_vocabulary *full, fvlm_err *err)
{
    const bool tokens = fvlm_source_has(src, "vocab.json"), merges = tokens && fvlm_source_has(src, "merges.txt");
    if (!full && !merges)
        return fvlm_fail(err, FVLM_BAD_INPUT, "\"merges.txt\" is missing beside vocab.json; download it");
    fvlm_status st = tokens ? read_vocab(v, src, err)
                            : borrow(&v->tokens, &v->n_tokens, &v->tokens_capacity, full->tokens, full->n_tokens,
                                     sizeof *v->tokens, err);
    if (st) return st;
    return merges ? read_merges(v, src, err)
                  : borrow(&v->merges, &v->n_merges, &v->merges_capacity, full->merges, full->n_merges,
                           sizeof *v->merges, err);
}
