/* SPDX-License-Identifier: Apache-2.0 */
/* vocabulary_parts.c - see vocabulary_parts.h. */
#include "convert/vocabulary/vocabulary_parts.h"

#include <inttypes.h>
#include <stdlib.h>

#include "format/base/grow.h"

/* Adds one token, found at position 'at'; false if that fails. */
static bool add_token(fvlm_vocabulary *v, fvlm_json_pull *s, size_t at, const char *text, uint64_t id)
{
    if (id >= FVLM_MAX_TOKENS)
        return fvlm_json_pull_refuse(s, at, FVLM_LIMIT,
                                     "token \"%.64s\" has the id %" PRIu64 ", at most %u are allowed", text, id,
                                     FVLM_MAX_TOKENS - 1);
    if (!fvlm_grow(&v->tokens, &v->tokens_capacity, (size_t)id + 1, sizeof *v->tokens))
        return fvlm_json_pull_refuse(s, at, FVLM_NOMEM, "out of memory");
    if (v->tokens[id])
        return fvlm_json_pull_refuse(s, at, FVLM_BAD_INPUT, "tokens \"%.64s\" and \"%.64s\" have the same id %" PRIu64,
                                     v->tokens[id], text, id);
    v->tokens[id] = text;
    if (id >= v->n_tokens) v->n_tokens = (size_t)id + 1;
    return true;
}

fvlm_status fvlm_vocabulary_add_merge(fvlm_vocabulary *v, const char *left, const char *right, fvlm_err *err)
{
    if (v->n_merges == FVLM_MAX_TOKENS) return fvlm_fail(err, FVLM_LIMIT, "more than %u merges", FVLM_MAX_TOKENS);
    if (!fvlm_grow(&v->merges, &v->merges_capacity, v->n_merges + 1, sizeof *v->merges)) return fvlm_fail_nomem(err);
    v->merges[v->n_merges++] = (fvlm_vocabulary_merge){left, right};
    return FVLM_OK;
}

fvlm_status fvlm_vocabulary_add_added(fvlm_vocabulary *v, const char *what, json_int_t id, const char *text,
                                      const json_t *flags, fvlm_err *err)
{
    static const char *const unsupported[] = {"lstrip", "rstrip", "single_word"};
    if (id < 0 || id >= (json_int_t)FVLM_MAX_TOKENS)
        return fvlm_fail(err, FVLM_LIMIT,
                         "\"%s\": token \"%.64s\" has the id %" JSON_INTEGER_FORMAT ", expected 0 to %u", what, text,
                         id, FVLM_MAX_TOKENS - 1);
    for (unsigned i = 0; i < 3; i++)
        if (json_is_true(json_object_get(flags, unsupported[i])))
            return fvlm_fail(err, FVLM_UNSUPPORTED, "\"%s\": token \"%.64s\" has \"%s\" set, which is not supported",
                             what, text, unsupported[i]);
    if (!fvlm_grow(&v->added, &v->added_capacity, v->n_added + 1, sizeof *v->added)) return fvlm_fail_nomem(err);
    const json_t *special = json_object_get(flags, "special");
    v->added[v->n_added++] = (fvlm_vocabulary_added){(uint32_t)id, text, .special = !special || json_is_true(special),
                                                     .normalized = json_is_true(json_object_get(flags, "normalized"))};
    return FVLM_OK;
}

bool fvlm_vocabulary_scan_tokens(fvlm_vocabulary *v, fvlm_json_pull *s)
{
    bool first = true;
    fvlm_json_text text;
    uint64_t id;
    if (!fvlm_json_pull_expect(s, '{', "'{', the vocabulary")) return false;
    while (fvlm_json_pull_member(s, &first, &text))
        if (!fvlm_json_pull_u64(s, &id) || !add_token(v, s, text.at, text.s, id)) return false;
    return !s->st;
}

void fvlm_vocabulary_free(fvlm_vocabulary *v)
{
    for (unsigned i = 0; i < v->n_texts; i++) free(v->texts[i]);
    for (unsigned i = 0; i < v->n_trees; i++) json_decref(v->trees[i]);
    free(v->tokens);
    free(v->merges);
    free(v->added);
}
