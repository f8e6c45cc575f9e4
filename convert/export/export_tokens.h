/* SPDX-License-Identifier: Apache-2.0 */
/* export_tokens.h - private to convert/export: the tokenizer section of a model (SPEC.md, section 7), as a tree. */
#ifndef FVLM_CONVERT_EXPORT_EXPORT_TOKENS_H
#define FVLM_CONVERT_EXPORT_EXPORT_TOKENS_H

#include <jansson.h>

#include "format/reader.h"

typedef struct {
    json_t *root;                 /* owns what follows */
    const json_t *tokens, *added; /* arrays of strings, for byte-level BPE also null, and of objects */
    const json_t *merges;         /* of byte-level BPE, as are the rest up to pieces: an array of strings */
    const char *pattern;          /* NULL: SentencePiece */
    bool nfc, prefix_space, ignore_merges, drops_bytes;
    struct {                  /* of SentencePiece, whose tokens are its pieces */
        bool unigram;         /* else BPE */
        const json_t *scores; /* bits of an f32 for each piece */
        const char *types;    /* a letter for each piece, one of them 'u' */
        const char *unknown;  /* the text of the unknown piece when decoded */
        const json_t *trie;   /* the charsmap's units, and its texts; NULL: there is none */
        const json_t *targets;
        bool dummy_prefix, remove_whitespace, escape_whitespace, whitespace_suffix, legacy;
    } pieces;
} fvlm_tokens;

/* The letters of pieces.types in the order of SentencePiece's and llama.cpp's numbers of types, which begin with 1. */
extern const char fvlm_piece_letters[];

static inline bool fvlm_tokens_are_pieces(const fvlm_tokens *t)
{
    return !t->pattern;
}

/* What other programs call the regular expression that splits a text. */
typedef struct {
    const char *pattern;
    const char *class_name;  /* of transformers, which reads vocab.json and merges.txt; NULL: tokenizer.json only */
    const char *pre;         /* llama.cpp's "tokenizer.ggml.pre" */
    bool digits, byte_level; /* in tokenizer.json: a step "Digits" first; ByteLevel's own regular expression */
    bool ignores_merges;     /* llama.cpp does so under this name */
} fvlm_split_form;
const fvlm_split_form *fvlm_tokens_form(const fvlm_tokens *t); /* NULL: none has a name for it, or SentencePiece */

/* Refuses an empty section, a kind that is not known, and SentencePiece with ranks. On failure nothing needs to be
 * freed. */
fvlm_status fvlm_tokens_read(fvlm_tokens *out, fvlm_reader *r, fvlm_err *err);
void fvlm_tokens_free(fvlm_tokens *t);

/* The i-th added token: its id, text and whether it is special; false at the end. */
typedef struct {
    uint32_t id;
    const char *text;
    bool special, normalized;
} fvlm_added_token;
bool fvlm_tokens_added_at(const fvlm_tokens *t, size_t i, fvlm_added_token *out);

bool fvlm_tokens_find_added(const fvlm_tokens *t, const char *text, uint32_t *id);
const char *fvlm_tokens_added_text(const fvlm_tokens *t, uint32_t id); /* NULL: no added token has this id */

#endif
