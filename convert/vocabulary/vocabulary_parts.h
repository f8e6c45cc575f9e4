/* SPDX-License-Identifier: Apache-2.0 */
/* vocabulary_parts.h - a tokenizer while it is being read; private to vocabulary/. */
#ifndef FVLM_CONVERT_VOCABULARY_VOCABULARY_PARTS_H
#define FVLM_CONVERT_VOCABULARY_VOCABULARY_PARTS_H

#include <jansson.h>

#include "format/base/json_pull.h"
#include "convert/source/source.h"

#define FVLM_MAX_VOCABULARY_BYTES (64u << 20)

typedef struct {
    const char *left, *right;
} fvlm_vocabulary_merge;

typedef struct {
    uint32_t id;
    const char *text;
    bool special;
    bool normalized; /* searched for after NFC, not before */
} fvlm_vocabulary_added;

typedef struct {
    const char **tokens; /* [n_tokens] by id, in the GPT-2 byte alphabet */
    size_t n_tokens, tokens_capacity;
    fvlm_vocabulary_merge *merges; /* [n_merges] by rank */
    size_t n_merges, merges_capacity;
    fvlm_vocabulary_added *added; /* [n_added] by id */
    size_t n_added, added_capacity;
    const char *pattern, *normalizer; /* normalizer may be NULL */
    char *texts[4];                   /* file texts, decoded in place, that the above point into */
    json_t *trees[4];                 /* the same for small files */
    unsigned n_texts, n_trees;
    const fvlm_stop *stop; /* may be NULL */
} fvlm_vocabulary;

fvlm_status fvlm_vocabulary_add_merge(fvlm_vocabulary *v, const char *left, const char *right, fvlm_err *err);

/* what: the file's name in messages. flags: the token's JSON object, or NULL. */
fvlm_status fvlm_vocabulary_add_added(fvlm_vocabulary *v, const char *what, json_int_t id, const char *text,
                                      const json_t *flags, fvlm_err *err);

void fvlm_vocabulary_free(fvlm_vocabulary *v);

/* Reads {"token": id, ...} at the parser's position. */
bool fvlm_vocabulary_scan_tokens(fvlm_vocabulary *v, fvlm_json_pull *s);

fvlm_status fvlm_vocabulary_from_files(fvlm_vocabulary *v, fvlm_source *src, fvlm_err *err);
fvlm_status fvlm_vocabulary_from_tokenizer_json(fvlm_vocabulary *v, fvlm_source *src, fvlm_err *err);

/* The container's JSON; *json is malloc'd, with a NUL after its n_bytes. */
fvlm_status fvlm_vocabulary_json(char **json, size_t *n_bytes, const fvlm_vocabulary *v, fvlm_err *err);

#endif
