/* SPDX-License-Identifier: Apache-2.0 */
/* vocabulary.h - turns the tokenizer files of a checkpoint into the container's JSON (SPEC.md, section 7). */
#ifndef FVLM_CONVERT_VOCABULARY_VOCABULARY_H
#define FVLM_CONVERT_VOCABULARY_VOCABULARY_H

#include "convert/source/source.h"

typedef struct {
    const char *use;       /* "tokenizer.json" or "vocab.json": which to believe where they disagree; NULL: refuse */
    const fvlm_stop *stop; /* may be NULL */
    uint32_t rows;         /* of the embedding; 0: not known */
} fvlm_vocabulary_options;

/* Reads vocab.json, merges.txt and added_tokens.json (or tokenizer_config.json's added_tokens_decoder), and
 * tokenizer.json, which supplies what the others lack. Where both are there, they must agree, unless o->use chooses.
 * The token <image> is left out if it is the last and has no row: ports of FastVLM add it to mark where the picture's
 * rows go, Apple's tokenizer has none. *json is malloc'd, NULL on failure; *n_ids = 1 + the highest id,
 * *turn_end = the id of <|im_end|>. The same files give the same bytes. */
fvlm_status fvlm_vocabulary_read(char **json, size_t *n_bytes, uint32_t *n_ids, uint32_t *turn_end, fvlm_source *src,
                                 const fvlm_vocabulary_options *o, fvlm_err *err);

#endif
