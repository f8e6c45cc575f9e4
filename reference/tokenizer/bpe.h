/* SPDX-License-Identifier: Apache-2.0 */
/* bpe.h - one piece of text to ids: the merge of lowest rank first, leftmost among equals. */
#ifndef FVLM_REFERENCE_TOKENIZER_BPE_H
#define FVLM_REFERENCE_TOKENIZER_BPE_H

#include "reference/tokenizer/token_table.h"

/* Scratch that grows to the longest piece seen. Start it zeroed. */
typedef struct {
    struct fvlm_symbol *symbols;
    struct fvlm_candidate *heap;
    size_t room, n_heap;
} fvlm_bpe;

/* Ids of s (n >= 1 bytes) into ids, which has room for n; returns how many, or 0 when out of memory. */
size_t fvlm_bpe_encode(fvlm_bpe *b, const fvlm_token_table *v, const char *s, size_t n, uint32_t *ids);
void fvlm_bpe_free(fvlm_bpe *b);

#endif
