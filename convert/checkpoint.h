/* SPDX-License-Identifier: Apache-2.0 */
/* checkpoint.h - what the small files beside the weights say: config.json, generation_config.json
 * and the tokenizer's. Their numbers are claims; names.c holds them against the tensors' shapes. */
#ifndef FVLM_CONVERT_CHECKPOINT_H
#define FVLM_CONVERT_CHECKPOINT_H

#include "convert/source/source.h"

typedef struct {
    fvlm_config config;    /* llm, projector, eos, prompt, image_size; the tower comes from the tensors */
    uint32_t embed_rows;   /* vocab_size: rows the embedding is stored with */
    bool tied_given, tied; /* tie_word_embeddings */
    char *tokenizer;       /* JSON as reference/tokenizer/tokenizer.h reads it, malloc'd */
    size_t tokenizer_bytes;
    uint32_t n_ids; /* 1 + the highest id: rows of the embedding that can be reached */
} fvlm_checkpoint;

fvlm_status fvlm_checkpoint_read(fvlm_checkpoint *out, fvlm_source *src, fvlm_err *err);
void fvlm_checkpoint_free(fvlm_checkpoint *c);

#endif
