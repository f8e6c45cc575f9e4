/* SPDX-License-Identifier: Apache-2.0 */
/* spaces.h - Llama's form of tokenizer.json: BPE over characters in which U+2581 stands for a space, as SentencePiece
 * has it, but merged by rank. Private to vocabulary/. */
#ifndef FVLM_CONVERT_VOCABULARY_SPACES_H
#define FVLM_CONVERT_VOCABULARY_SPACES_H

#include <jansson.h>

#include "format/base/base.h"

/* What the parts of the file say. The positions are for messages. */
typedef struct {
    bool prepend, replace;         /* normalizer: a prefix before each text; spaces */
    bool metaspace, first, prefix; /* pre_tokenizer: both; the prefix before the first text only, before any text */
    bool unsplit;                  /* pre_tokenizer is null */
    bool decoder, strip;           /* decoder: undoes it; removes the prefix */
    bool byte_fallback, fuse_unknown;
    const char *unknown; /* unk_token */
    size_t normalizer_at, pre_tokenizer_at, decoder_at, byte_fallback_at;
} fvlm_vocabulary_spaces;

/* Each reads one part; false if it is of another form. */
bool fvlm_vocabulary_spaces_normalizer(fvlm_vocabulary_spaces *x, const json_t *normalizer);
bool fvlm_vocabulary_spaces_pre_tokenizer(fvlm_vocabulary_spaces *x, const json_t *pre_tokenizer);
bool fvlm_vocabulary_spaces_decoder(fvlm_vocabulary_spaces *x, const json_t *decoder);

/* Whether the parts together are of this form. */
bool fvlm_vocabulary_spaces_are_used(const fvlm_vocabulary_spaces *x);

#endif
