/* SPDX-License-Identifier: Apache-2.0 */
/* added_tokens.h - finds added tokens in a text, before it is split. Private to reference/tokenizer. */
#ifndef FVLM_REFERENCE_TOKENIZER_ADDED_TOKENS_H
#define FVLM_REFERENCE_TOKENIZER_ADDED_TOKENS_H

#include "format/base/base.h"

typedef struct {
    uint32_t id;
    uint32_t n_bytes;
} fvlm_added_token;

/* Starts zeroed. */
typedef struct {
    fvlm_added_token *tokens;
    size_t n, capacity;
    struct fvlm_added_node *nodes; /* the tokens' texts, read backwards, as a tree */
    size_t n_nodes, node_capacity;
} fvlm_added_tokens;

/* Refuses a text that is there already, and texts of more than FVLM_MAX_ADDED_BYTES together. */
fvlm_status fvlm_added_tokens_add(fvlm_added_tokens *a, const char *text, size_t n_bytes, uint32_t id, fvlm_err *err);

/* Call it after the last token was added. */
fvlm_status fvlm_added_tokens_link(fvlm_added_tokens *a, fvlm_err *err);
void fvlm_added_tokens_free(fvlm_added_tokens *a);

/* found [n_bytes]: for each position of s, 1 + the index of the longest token that begins there, or 0. Linear in
 * n_bytes, whatever the tokens are. */
void fvlm_added_tokens_find(const fvlm_added_tokens *a, const char *s, size_t n_bytes, uint32_t *found);

#endif
