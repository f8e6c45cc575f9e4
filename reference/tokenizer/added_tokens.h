/* SPDX-License-Identifier: Apache-2.0 */
/* added_tokens.h - finds added tokens in a text, before it is split. Private to reference/tokenizer. */
#ifndef FVLM_REFERENCE_TOKENIZER_ADDED_TOKENS_H
#define FVLM_REFERENCE_TOKENIZER_ADDED_TOKENS_H

#include "format/base/base.h"

typedef struct {
    char *text;
    size_t n_bytes;
    uint32_t id;
} fvlm_added_token;

/* Sorted by text, without duplicates, once fvlm_added_tokens_sort has succeeded. */
typedef struct {
    fvlm_added_token *tokens;
    size_t n, capacity;
} fvlm_added_tokens;

fvlm_status fvlm_added_tokens_add(fvlm_added_tokens *a, const char *text, size_t n_bytes, uint32_t id, fvlm_err *err);
fvlm_status fvlm_added_tokens_sort(fvlm_added_tokens *a, fvlm_err *err); /* refuses duplicates */
void fvlm_added_tokens_free(fvlm_added_tokens *a);

/* The leftmost token in s, the longest of those that begin there; NULL if there is none. */
const fvlm_added_token *fvlm_added_tokens_find(const fvlm_added_tokens *a, const char *s, size_t n_bytes, size_t *at);

#endif
