/* SPDX-License-Identifier: Apache-2.0 */
/* piece_compare.c - tokenizer.json against tokenizer.model. Where a text between added tokens begins with a space, the
 * two may differ by a prefix whatever they contain (SPEC.md, section 7.2); that is not compared. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "convert/vocabulary/vocabulary_parts.h"
#include "format/config.h"

#define DISAGREE "\"tokenizer.json\" and \"tokenizer.model\" disagree: "

typedef struct {
    const char *text;
    float score;
} scored;

static int by_text(const void *a, const void *b)
{
    return strcmp(((const scored *)a)->text, ((const scored *)b)->text);
}

static const scored *find(const scored *pieces, size_t n, const char *text)
{
    const scored key = {text, 0};
    return n ? bsearch(&key, pieces, n, sizeof key, by_text) : NULL;
}

/* In how many ways two of the pieces make this one. */
static size_t count_spellings(const scored *pieces, size_t n, const char *text)
{
    char left[FVLM_MAX_PIECE_BYTES + 1];
    size_t found = 0;
    for (size_t k = 1; text[k]; k++) {
        memcpy(left, text, k);
        left[k] = 0;
        found += find(pieces, n, left) && find(pieces, n, text + k);
    }
    return found;
}

/* The merges are all spellings of the pieces, by falling scores. */
static fvlm_status compare_merges(const scored *pieces, size_t n, const fvlm_vocabulary *full, fvlm_err *err)
{
    char text[2 * FVLM_MAX_PIECE_BYTES + 1];
    float last = INFINITY;
    size_t n_spellings = 0;
    for (size_t i = 0; i < full->n_merges; i++) {
        const fvlm_vocabulary_merge *m = &full->merges[i];
        const int length = snprintf(text, sizeof text, "%s%s", m->left, m->right);
        const scored *x = length < (int)sizeof text ? find(pieces, n, text) : NULL;
        if (!x || x->score > last)
            return fvlm_fail(err, FVLM_BAD_INPUT, DISAGREE "merge %zu of the first, \"%.64s %.64s\", %s", i, m->left,
                             m->right, x ? "is before one of a higher score" : "makes no piece of the second");
        last = x->score;
        const fvlm_status st = fvlm_stop_check(full->stop, err);
        if (st) return st;
    }
    for (size_t i = 0; i < n; i++) {
        const fvlm_status st = fvlm_stop_check(full->stop, err);
        if (st) return st;
        n_spellings += count_spellings(pieces, n, pieces[i].text);
    }
    if (n_spellings == full->n_merges) return FVLM_OK;
    return fvlm_fail(err, FVLM_BAD_INPUT, DISAGREE "the first has %zu merges, the pieces of the second make %zu",
                     full->n_merges, n_spellings);
}

/* How tokenizer.model, the second, treats the text around the merges unlike tokenizer.json; NULL: alike. */
static const char *find_difference(const FvlmSentencepiece__Model *second, const FvlmSentencepiece__Model *first)
{
    const FvlmSentencepiece__NormalizerSpec *rules = second->normalizer_spec;
    const bool prefix = first->normalizer_spec->add_dummy_prefix, bytes = first->trainer_spec->byte_fallback;
    if (prefix != (bool)rules->add_dummy_prefix)
        return prefix ? "only the first puts a space before a text" : "only the second puts a space before a text";
    if (bytes != (bool)second->trainer_spec->byte_fallback)
        return bytes ? "only the first spells unknown characters in bytes"
                     : "only the second spells unknown characters in bytes";
    if (rules->precompiled_charsmap.len) return "only the second has normalization rules";
    if (rules->remove_extra_whitespaces) return "only the second removes extra spaces";
    if (!rules->escape_whitespaces) return "only the first writes spaces as U+2581";
    return second->trainer_spec->treat_whitespace_as_suffix ? "only the second puts a space after a text" : NULL;
}

fvlm_status fvlm_vocabulary_compare_pieces(const fvlm_vocabulary *files, fvlm_vocabulary *full, fvlm_err *err)
{
    const FvlmSentencepiece__Model *model = files->pieces->message;
    if (!full->pieces || model->trainer_spec->model_type != FVLM_SENTENCEPIECE_BPE)
        return fvlm_fail(err, FVLM_BAD_INPUT, DISAGREE "the first is %s BPE, the second %s",
                         full->pieces ? "a" : "byte-level", full->pieces ? "unigram" : "SentencePiece");
    fvlm_vocabulary_sort_added(full);
    fvlm_vocabulary_clear_normalized(full);
    fvlm_status st = fvlm_vocabulary_compare_tokens(files, full, err);
    const char *difference = find_difference(model, full->pieces->message);
    if (!st && difference) st = fvlm_fail(err, FVLM_BAD_INPUT, DISAGREE "%s", difference);
    scored *pieces = st ? NULL : fvlm_alloc(model->n_pieces, sizeof *pieces);
    if (st || !pieces) return st ? st : fvlm_fail_nomem(err);
    size_t n = 0;
    for (size_t id = 0; id < model->n_pieces; id++)
        if (fvlm_piece_model_is_normal(files->pieces, id))
            pieces[n++] = (scored){model->pieces[id]->piece, model->pieces[id]->score};
    qsort(pieces, n, sizeof *pieces, by_text);
    st = compare_merges(pieces, n, full, err);
    free(pieces);
    return st;
}
