/* SPDX-License-Identifier: Apache-2.0 */
/* bpe.h - one pre-token to ids: merges the pair of lowest rank first, the leftmost among equals. Private to
 * reference/tokenizer. */
#ifndef FVLM_REFERENCE_TOKENIZER_BPE_H
#define FVLM_REFERENCE_TOKENIZER_BPE_H

#include "reference/tokenizer/token_table.h"

/* Scratch memory, which grows to the longest pre-token seen. Starts zeroed. */
typedef struct {
    struct fvlm_symbol *symbols;
    struct fvlm_candidate *heap;
    size_t capacity, n_heap;
    const fvlm_stop *stop;
} fvlm_bpe;

/* Writes the ids of s (n >= 1 bytes) to ids [n]; *n_ids says how many. */
fvlm_status fvlm_bpe_encode(fvlm_bpe *b, const fvlm_token_table *v, const char *s, size_t n, uint32_t *ids,
                            size_t *n_ids, fvlm_err *err);
void fvlm_bpe_free(fvlm_bpe *b);

#endif
