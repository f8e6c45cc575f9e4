/* SPDX-License-Identifier: Apache-2.0 */
/* vocabulary_parts.c - see vocabulary_parts.h. */
#include "convert/vocabulary/vocabulary_parts.h"

#include <inttypes.h>
#include <stdio.h>
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
    return fvlm_stop_check(v->stop, err);
}

fvlm_status fvlm_vocabulary_add_added(fvlm_vocabulary *v, const char *file, int64_t id, const char *text,
                                      fvlm_vocabulary_flags flags, fvlm_err *err)
{
    if (id < 0 || id >= (int64_t)FVLM_MAX_TOKENS)
        return fvlm_fail(err, FVLM_LIMIT, "\"%s\": token \"%.64s\" has the id %" PRId64 ", expected 0 to %u", file,
                         text, id, FVLM_MAX_TOKENS - 1);
    const char *unsupported = flags.lstrip        ? "lstrip"
                              : flags.rstrip      ? "rstrip"
                              : flags.single_word ? "single_word"
                                                  : NULL;
    if (unsupported)
        return fvlm_fail(err, FVLM_UNSUPPORTED, "\"%s\": token \"%.64s\" has \"%s\" set, which is not supported", file,
                         text, unsupported);
    if (v->n_added == FVLM_MAX_ADDED_TOKENS)
        return fvlm_fail(err, FVLM_LIMIT, "\"%s\": more than %u added tokens", file, FVLM_MAX_ADDED_TOKENS);
    if (!fvlm_grow(&v->added, &v->added_capacity, v->n_added + 1, sizeof *v->added)) return fvlm_fail_nomem(err);
    v->added[v->n_added++] = (fvlm_vocabulary_added){(uint32_t)id, text, flags};
    v->added_file = file;
    return fvlm_stop_check(v->stop, err);
}

void fvlm_vocabulary_clear_normalized(fvlm_vocabulary *v)
{
    for (size_t i = 0; i < v->n_added; i++) v->added[i].flags.normalized = false;
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

void fvlm_vocabulary_write_added(fvlm_text_writer *w, const fvlm_vocabulary *v)
{
    for (size_t i = 0; i < v->n_added; i++) {
        char head[48];
        snprintf(head, sizeof head, "%s{\"id\":%" PRIu32 ",\"text\":", i ? "," : "", v->added[i].id);
        fvlm_text_writer_put(w, head);
        fvlm_text_writer_quote(w, v->added[i].text);
        fvlm_text_writer_put(w, v->added[i].flags.special ? ",\"special\":true" : ",\"special\":false");
        fvlm_text_writer_put(w, v->added[i].flags.normalized ? ",\"normalized\":true}" : "}");
    }
}

void fvlm_vocabulary_write_merges(fvlm_text_writer *w, const fvlm_vocabulary *v)
{
    for (size_t i = 0; i < v->n_merges; i++) {
        fvlm_text_writer_put(w, i ? ",\"" : "\"");
        fvlm_text_writer_escape(w, v->merges[i].left);
        fvlm_text_writer_put(w, " ");
        fvlm_text_writer_escape(w, v->merges[i].right);
        fvlm_text_writer_put(w, "\"");
    }
}

void fvlm_vocabulary_free(fvlm_vocabulary *v)
{
    for (unsigned i = 0; i < v->n_texts; i++) free(v->texts[i]);
    json_decref(v->added_json);
    json_decref(v->config);
    json_decref(v->named_special);
    fvlm_piece_model_destroy(&v->pieces);
    free(v->tokens);
    free(v->merges);
    free(v->added);
    free(v->bos);
}
