/* SPDX-License-Identifier: Apache-2.0 */
/* tokenizer.h - text to ids and back, as the container's tokenizer section says. A section that begins with "kind" is
 * that of a SentencePiece model: see sentencepiece.h. Any other is a byte-level BPE (NFC, split by regex,
 * merge by rank), a JSON object whose members may come in any order:
 *   {"tokens": [text of id 0, 1, ...],        in the GPT-2 byte alphabet; null for an id not used
 *    "merges": ["a b", ...],                  by rank
 *    "added": [{"id": 151644, "text": "<|im_start|>", "special": true}, ...],
 *    "pattern": "the pre-tokenizer's regex", "normalizer": "NFC" or null}
 * An added token may carry "normalized": true (found after NFC rather than before; default false). Optional members,
 * false by default: "prefix_space", "ignore_merges", "drops_bytes" (SPEC.md, section 7).
 * Unknown members are refused, and so is a vocabulary that lacks one of the 256 bytes unless it drops them. A token
 * that is empty or not in the alphabet stands for itself: it can be generated, but no text becomes it.
 *
 * Ids equal those of Hugging Face `tokenizers` 0.23 with the same files, for every text tried. It normalizes by
 * Unicode 9 and matches \p{L}, \p{N} and \s by Unicode 16; unicode.c and split.c do the same. */
#ifndef FVLM_REFERENCE_TOKENIZER_TOKENIZER_H
#define FVLM_REFERENCE_TOKENIZER_TOKENIZER_H

#include "format/base/stop.h"

typedef struct fvlm_tokenizer fvlm_tokenizer;

/* json need not outlive the call. stop ends this and any encoding early; it must outlive *out; NULL: never. On failure
 * *out is NULL. */
fvlm_status fvlm_tokenizer_create(fvlm_tokenizer **out, const char *json, size_t n_bytes, const fvlm_stop *stop,
                                  fvlm_err *err);
void fvlm_tokenizer_destroy(fvlm_tokenizer **t);

/* Ids of text (any bytes, at most 64 MiB; ill-formed UTF-8 is replaced by U+FFFD as Python's errors="replace"
 * does, or as sentencepiece does). Added tokens inside the text become their ids. The caller frees *ids, also when *n
 * is 0; it is NULL on failure. Threads may encode at the same time. Time is O(n log n) for any text. */
fvlm_status fvlm_tokenizer_encode(const fvlm_tokenizer *t, const char *text, size_t n_bytes, uint32_t **ids, size_t *n,
                                  fvlm_err *err);

/* The bytes of one id (perhaps part of a UTF-8 sequence), owned by t; NULL for an id without text. */
const char *fvlm_tokenizer_bytes(const fvlm_tokenizer *t, uint32_t id, size_t *n_bytes);

/* How far a text has been decoded; zero at its beginning. */
typedef struct {
    bool later; /* a space at the beginning of a piece is one */
} fvlm_decoding;

/* The bytes that the next id of a text adds to it, owned by t; NULL for none, and for special tokens. They are those of
 * fvlm_tokenizer_bytes, but SentencePiece leaves out the space that it put before the text. */
const char *fvlm_tokenizer_decode(const fvlm_tokenizer *t, fvlm_decoding *d, uint32_t id, size_t *n_bytes);
/* Whether each byte of an ill-formed sequence in a decoded text is one U+FFFD, as SentencePiece has it; otherwise each
 * maximal subpart is, as in Python. */
bool fvlm_tokenizer_replaces_each_byte(const fvlm_tokenizer *t);

bool fvlm_tokenizer_is_special(const fvlm_tokenizer *t, uint32_t id);
size_t fvlm_tokenizer_size(const fvlm_tokenizer *t); /* 1 + the highest id */

#endif
