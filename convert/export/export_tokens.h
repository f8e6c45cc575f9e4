/* SPDX-License-Identifier: Apache-2.0 */
/* export_tokens.h - private to convert/export: the tokenizer section of a model (SPEC.md, section 7), as a tree. */
#ifndef FVLM_CONVERT_EXPORT_EXPORT_TOKENS_H
#define FVLM_CONVERT_EXPORT_EXPORT_TOKENS_H

#include <jansson.h>

#include "format/reader.h"

typedef struct {
    json_t *root;                          /* owns what follows */
    const json_t *tokens, *merges, *added; /* arrays of strings or null, of strings, of objects */
    const char *pattern;
    bool nfc, prefix_space, ignore_merges, drops_bytes;
} fvlm_tokens;

/* What other programs call the regular expression that splits a text. */
typedef struct {
    const char *pattern;
    const char *class_name;  /* of transformers, which reads vocab.json and merges.txt; NULL: tokenizer.json only */
    const char *pre;         /* llama.cpp's "tokenizer.ggml.pre" */
    bool digits, byte_level; /* in tokenizer.json: a step "Digits" first; ByteLevel's own regular expression */
    bool ignores_merges;     /* llama.cpp does so under this name */
} fvlm_split_form;
const fvlm_split_form *fvlm_tokens_form(const fvlm_tokens *t); /* NULL: none has a name for it */

/* Refuses an empty section, and one that is not byte-level BPE. On failure nothing needs to be freed. */
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

#endif
