/* SPDX-License-Identifier: Apache-2.0 */
/* sentencepiece_internal.h - the struct behind fvlm_sentencepiece. Private to sentencepiece*.c. */
#ifndef FVLM_REFERENCE_TOKENIZER_SENTENCEPIECE_INTERNAL_H
#define FVLM_REFERENCE_TOKENIZER_SENTENCEPIECE_INTERNAL_H

#include "reference/tokenizer/added_tokens.h"
#include "reference/tokenizer/piece_rules.h"
#include "reference/tokenizer/piece_table.h"
#include "reference/tokenizer/pieces_encode.h"
#include "reference/tokenizer/token_table.h"

struct fvlm_sentencepiece {
    fvlm_piece_table table;
    fvlm_piece_rules rules;
    fvlm_added_tokens added;          /* found in the text before anything else */
    const fvlm_token_table *surfaces; /* the caller's */
    char *unknown;                    /* what the unknown piece spells */
    size_t n_unknown;
    bool unigram;
    bool prefix_once;  /* no dummy prefix before a text that begins with a space */
    bool legacy;       /* each text between added tokens gets the dummy prefix, not only the first */
    float least, most; /* scores of the normal pieces; see pieces_unigram.c */
};

#endif
