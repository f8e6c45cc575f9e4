/* SPDX-License-Identifier: Apache-2.0 */
/* checkpoint.h - the contents of the small files beside the weights: config.json, generation_config.json and the
 * tokenizer. Their numbers are claims, which names/ checks against the shapes of the tensors. */
#ifndef FVLM_CONVERT_CHECKPOINT_H
#define FVLM_CONVERT_CHECKPOINT_H

#include "convert/source/source.h"
#include "convert/vocabulary/vocabulary.h"

#define FVLM_CONVERSATION_WHY_BYTES 160

typedef struct {
    fvlm_config config;    /* all but the shape of the tower, which names/ adds; llm.vocab = 1 + the highest token id */
    uint32_t embed_rows;   /* vocab_size: stored rows of the embedding */
    bool tied_given, tied; /* tie_word_embeddings: whether it is there, and its value */
    const char *conversation; /* name of the prompt's template; static; NULL without a language model */
    char conversation_why[FVLM_CONVERSATION_WHY_BYTES]; /* how it was chosen, for people */
    char *tokenizer;                                    /* the container's JSON (SPEC.md, section 7), malloc'd */
    size_t tokenizer_bytes;
} fvlm_checkpoint;

/* Refuses, by name, what the executor does not implement. conversation names the prompt's template (conversations.h);
 * NULL: the one that the checkpoint states, or its family's. On failure nothing needs to be freed. */
fvlm_status fvlm_checkpoint_read(fvlm_checkpoint *out, fvlm_source *src, const fvlm_vocabulary_options *tokenizer,
                                 const char *conversation, fvlm_err *err);

/* The same for a tower without a language model, whose folder may hold nothing but weights. */
fvlm_status fvlm_checkpoint_read_tower(fvlm_checkpoint *out, fvlm_source *src, fvlm_err *err);

void fvlm_checkpoint_free(fvlm_checkpoint *c);

#endif
