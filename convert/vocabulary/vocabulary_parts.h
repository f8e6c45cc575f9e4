/* SPDX-License-Identifier: Apache-2.0 */
/* vocabulary_parts.h - a tokenizer while it is being read; private to vocabulary/. */
#ifndef FVLM_CONVERT_VOCABULARY_VOCABULARY_PARTS_H
#define FVLM_CONVERT_VOCABULARY_VOCABULARY_PARTS_H

#include <jansson.h>

#include "format/base/json_pull.h"
#include "convert/source/source.h"
#include "convert/vocabulary/piece_model.h"
#include "convert/vocabulary/spaces.h"
#include "convert/vocabulary/text_writer.h"
#include "convert/vocabulary/vocabulary.h"

#define FVLM_MAX_VOCABULARY_BYTES (64u << 20)

typedef struct {
    const char *left, *right;
} fvlm_vocabulary_merge;

typedef struct {
    bool special;
    bool normalized; /* searched for after NFC, not before */
    bool lstrip, rstrip, single_word;
} fvlm_vocabulary_flags;

typedef struct {
    uint32_t id;
    const char *text;
    fvlm_vocabulary_flags flags;
} fvlm_vocabulary_added;

typedef struct {
    const char **tokens; /* [n_tokens] by id, in the GPT-2 byte alphabet; NULL where an id is not used */
    size_t n_tokens, tokens_capacity;
    fvlm_vocabulary_merge *merges; /* [n_merges] by rank */
    size_t n_merges, merges_capacity;
    fvlm_vocabulary_added *added; /* [n_added] in the file's order; by id after fvlm_vocabulary_check */
    size_t n_added, added_capacity;
    const char *added_file;        /* where the added tokens are from */
    bool nfc;                      /* text is normalized to NFC */
    const char *pattern;           /* the regex that splits text; static */
    bool prefix_space;             /* a space precedes each text that does not begin with one */
    bool ignore_merges;            /* a chunk that is a token is that token, whatever the merges make of it */
    bool has_unknown;              /* "unk_token" stands for bytes without a token */
    bool drops_bytes;              /* some bytes have no token and are left out of a text */
    char *bos;                     /* text of the added token that begins each text; malloc'd; NULL: none */
    bool may_add_bos;              /* otherwise a tokenizer with such a token is refused */
    fvlm_vocabulary_spaces spaces; /* of tokenizer.json */
    fvlm_piece_model *pieces; /* of tokenizer.model, or tokenizer.json of Llama's form; NULL: byte-level BPE. tokens are
                                 their texts */
    json_t *config;           /* tokenizer_config.json; NULL if absent */
    json_t *named_special;    /* an object whose keys are the special tokens that files name; NULL: none are named */
    char *texts[4];           /* file texts, decoded in place, that the above point into */
    unsigned n_texts;
    json_t *added_json;    /* added_tokens.json; the same */
    const fvlm_stop *stop; /* may be NULL */
} fvlm_vocabulary;

/* The splitting regexes of transformers' Qwen2Tokenizer and GPT2Tokenizer, which vocab.json and merges.txt do not
 * contain. */
extern const char fvlm_qwen2_pattern[], fvlm_gpt2_pattern[];

/* pre_tokenizer.c: pattern and prefix_space from tokenizer.json's "pre_tokenizer"; false if it is not a known form. */
bool fvlm_vocabulary_read_pre_tokenizer(fvlm_vocabulary *v, const json_t *p);

fvlm_status fvlm_vocabulary_add_merge(fvlm_vocabulary *v, const char *left, const char *right, fvlm_err *err);

/* Refuses flags that are not supported, with the file's name. */
fvlm_status fvlm_vocabulary_add_added(fvlm_vocabulary *v, const char *file, int64_t id, const char *text,
                                      fvlm_vocabulary_flags flags, fvlm_err *err);

/* Where a tokenizer has no normalizer, or finds all added tokens before it, the flag makes no difference. */
void fvlm_vocabulary_clear_normalized(fvlm_vocabulary *v);

/* The elements of "added" and of "merges". */
void fvlm_vocabulary_write_added(fvlm_text_writer *w, const fvlm_vocabulary *v);
void fvlm_vocabulary_write_merges(fvlm_text_writer *w, const fvlm_vocabulary *v);

void fvlm_vocabulary_free(fvlm_vocabulary *v);

/* Reads {"token": id, ...} at the parser's position. */
bool fvlm_vocabulary_scan_tokens(fvlm_vocabulary *v, fvlm_json_pull *s);

/* spaces.c: sets pieces, of a tokenizer.json of that form; and checks what is in the files beside it. */
fvlm_status fvlm_vocabulary_make_pieces(fvlm_vocabulary *v, fvlm_err *err);
fvlm_status fvlm_vocabulary_check_spaces(fvlm_vocabulary *v, fvlm_err *err);

/* tokenizer_json.c */
fvlm_status fvlm_vocabulary_from_tokenizer_json(fvlm_vocabulary *v, fvlm_source *src, fvlm_err *err);
/* The same from its text, malloc'd, which v owns afterwards. */
fvlm_status fvlm_vocabulary_parse_tokenizer_json(fvlm_vocabulary *v, char *text, size_t n_bytes, fvlm_err *err);

/* vocab_files.c: vocab.json and merges.txt. What is missing is taken from full, what tokenizer.json contains, whose
 * strings must outlive v; NULL: there is none. merges.txt without vocab.json is not read. */
fvlm_status fvlm_vocabulary_from_files(fvlm_vocabulary *v, fvlm_source *src, const fvlm_vocabulary *full,
                                       fvlm_err *err);

/* piece_files.c: tokenizer.model, with the added tokens of the files beside it. */
fvlm_status fvlm_vocabulary_from_pieces(fvlm_vocabulary *v, fvlm_source *src, fvlm_err *err);

/* added_files.c: config and named_special, and refuses what it does not support; how text is split, from what is in the
 * files; then the added tokens, from full where no other file has any. */
fvlm_status fvlm_vocabulary_read_config(fvlm_vocabulary *v, fvlm_source *src, fvlm_err *err);
fvlm_status fvlm_vocabulary_choose_splitting(fvlm_vocabulary *v, const fvlm_source *src, const fvlm_vocabulary *full,
                                             fvlm_err *err);
fvlm_status fvlm_vocabulary_choose_bos(fvlm_vocabulary *v, const char *full_bos, fvlm_err *err);
fvlm_status fvlm_vocabulary_read_added(fvlm_vocabulary *v, fvlm_source *src, const fvlm_vocabulary *full,
                                       fvlm_err *err);

/* The token that a value of tokenizer_config.json names: its text, or an object with "content"; NULL: none. */
const char *fvlm_vocabulary_token_text(const json_t *value);

/* vocabulary_check.c: refuses what contradicts itself, and a tokenizer without one of the added tokens that the prompt
 * needs (separated by spaces). Sorts the added tokens by id. Sets drops_bytes. */
fvlm_status fvlm_vocabulary_check(fvlm_vocabulary *v, const char *needed, fvlm_err *err);
void fvlm_vocabulary_sort_added(fvlm_vocabulary *v);

/* vocabulary_compare.c: refuses the first difference that would change an id or an answer's text. Both are sorted. */
fvlm_status fvlm_vocabulary_compare(const fvlm_vocabulary *files, const fvlm_vocabulary *full, fvlm_err *err);

/* piece_compare.c: the same for tokenizer.model and the tokenizer.json beside it, whose merges must be those that the
 * scores make. Sorts full's added tokens. */
fvlm_status fvlm_vocabulary_compare_pieces(const fvlm_vocabulary *files, fvlm_vocabulary *full, fvlm_err *err);
/* vocabulary_compare.c: its first half. */
fvlm_status fvlm_vocabulary_compare_tokens(const fvlm_vocabulary *files, const fvlm_vocabulary *full, fvlm_err *err);

/* piece_json.c: the section of the kind "sentencepiece". */
void fvlm_vocabulary_write_pieces(fvlm_text_writer *w, const fvlm_vocabulary *v);

/* The container's JSON; *json is malloc'd, with a NUL after its n_bytes. */
fvlm_status fvlm_vocabulary_json(char **json, size_t *n_bytes, const fvlm_vocabulary *v, fvlm_err *err);

#endif
