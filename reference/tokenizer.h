/* tokenizer.h - Qwen2's byte-level BPE: NFC, split by regex, merge by rank, and
 * back. Reads the container's tokenizer section:
 *   {"tokens": [text of id 0, 1, ...],        in the GPT-2 byte alphabet
 *    "merges": ["a b", ...],                  by rank
 *    "added": [{"id": 151644, "text": "<|im_start|>", "special": true}, ...],
 *    "pattern": "the pre-tokenizer's regex", "normalizer": "NFC" or null} */
#ifndef FVLM_TOKENIZER_H
#define FVLM_TOKENIZER_H

#include "format/base.h"

typedef struct fvlm_tokenizer fvlm_tokenizer;

fvlm_status fvlm_tokenizer_create(fvlm_tokenizer **out, const char *json, size_t n_bytes, fvlm_err *err);
void fvlm_tokenizer_destroy(fvlm_tokenizer **t);

/* Ids of text (any bytes; ill-formed UTF-8 is replaced by U+FFFD as Python's errors="replace" does).
 * Added tokens inside the text become their ids. *ids is malloc'd. */
fvlm_status fvlm_tokenizer_encode(const fvlm_tokenizer *t, const char *text, size_t n_bytes, uint32_t **ids, size_t *n,
                                  fvlm_err *err);

/* Bytes of one id (may be part of a UTF-8 sequence); NULL for an id that has no text. */
const char *fvlm_tokenizer_bytes(const fvlm_tokenizer *t, uint32_t id, size_t *n_bytes);
bool fvlm_tokenizer_is_special(const fvlm_tokenizer *t, uint32_t id);
size_t fvlm_tokenizer_size(const fvlm_tokenizer *t); /* 1 + the highest id */

#endif
