/* SPDX-License-Identifier: Apache-2.0 */
/* tokenizer_section.h - reading what both kinds of tokenizer sections have: members in any order, and added tokens.
 * Private to reference/tokenizer. */
#ifndef FVLM_REFERENCE_TOKENIZER_TOKENIZER_SECTION_H
#define FVLM_REFERENCE_TOKENIZER_TOKENIZER_SECTION_H

#include "format/base/json_pull.h"

/* Sets at[i] to the offset of the value of names[i], 0 where it is missing. No other member, none twice, and the first
 * n_required are there. */
bool fvlm_tokenizer_section_find(fvlm_json_pull *p, const char *const *names, int n, int n_required, size_t *at);

typedef struct {
    uint64_t id; /* any */
    fvlm_json_text text;
    bool special, normalized;
} fvlm_tokenizer_section_added;

typedef fvlm_status (*fvlm_tokenizer_section_fn)(void *ctx, const fvlm_tokenizer_section_added *t, fvlm_err *err);

/* Passes each element of the array "added" to put, until one fails. */
bool fvlm_tokenizer_section_read_added(fvlm_json_pull *p, bool may_normalize, fvlm_tokenizer_section_fn put, void *ctx);

#endif
