/* SPDX-License-Identifier: Apache-2.0 */
/* vocabulary.h - the tokenizer files of a checkpoint to the container's one JSON text. */
#ifndef FVLM_CONVERT_VOCABULARY_VOCABULARY_H
#define FVLM_CONVERT_VOCABULARY_VOCABULARY_H

#include "convert/source/source.h"

/* From vocab.json + merges.txt + added_tokens.json (or tokenizer_config.json's added_tokens_decoder), or,
 * when there is no vocab.json, from tokenizer.json. *json is malloc'd; *n_ids = 1 + the highest id.
 * Same files, same bytes. The JSON is what reference/tokenizer/tokenizer.h reads. */
fvlm_status fvlm_vocabulary_read(char **json, size_t *n_bytes, uint32_t *n_ids, fvlm_source *src, fvlm_err *err);

#endif
