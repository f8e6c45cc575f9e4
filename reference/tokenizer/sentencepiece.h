/* SPDX-License-Identifier: Apache-2.0 */
/* sentencepiece.h - a tokenizer section of the kind "sentencepiece" (SPEC.md, section 7.2). Private to
 * reference/tokenizer.
 *
 * Ids equal those of the package sentencepiece 0.2 for a text without added tokens. With added tokens they are those of
 * transformers' LlamaTokenizer (4.x, not "Fast") with the same files: each text between them is encoded by itself. */
#ifndef FVLM_REFERENCE_TOKENIZER_SENTENCEPIECE_H
#define FVLM_REFERENCE_TOKENIZER_SENTENCEPIECE_H

#include "reference/tokenizer/token_table.h"

typedef struct fvlm_sentencepiece fvlm_sentencepiece;

/* Reads the section from p, and writes what each id spells to surfaces (zeroed), which must outlive *out: U+2581 is a
 * space there, and a byte piece its byte. On failure *out is NULL. */
fvlm_status fvlm_sentencepiece_create(fvlm_sentencepiece **out, fvlm_token_table *surfaces, fvlm_json_pull *p);
void fvlm_sentencepiece_destroy(fvlm_sentencepiece **s);

/* As fvlm_tokenizer_encode. Each byte of an ill-formed sequence is U+FFFD. */
fvlm_status fvlm_sentencepiece_encode(const fvlm_sentencepiece *s, const char *text, size_t n_bytes,
                                      const fvlm_stop *stop, uint32_t **ids, size_t *n, fvlm_err *err);

/* How many leading bytes of the id's surface, which has n_surface, are left out of a decoded text. *later: the id is
 * not the first; it is updated for the next. */
size_t fvlm_sentencepiece_skip(const fvlm_sentencepiece *s, uint32_t id, size_t n_surface, bool *later);

#endif
