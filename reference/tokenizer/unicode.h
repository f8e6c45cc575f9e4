/* SPDX-License-Identifier: Apache-2.0 */
/* unicode.h - UTF-8 and Unicode normalization for the tokenizer. */
#ifndef FVLM_REFERENCE_TOKENIZER_UNICODE_H
#define FVLM_REFERENCE_TOKENIZER_UNICODE_H

#include "format/base/base.h"

/* The character at s (n >= 1 bytes left): returns its length, its code point in *c. Ill-formed: *c is -1 and the
 * length is that of the "maximal subpart" that Unicode, and Python, replace by one U+FFFD. */
size_t fvlm_utf8_next(const uint8_t *s, size_t n, int32_t *c);

/* 1 to 4 bytes of a valid code point into out; returns how many. */
size_t fvlm_utf8_put(int32_t c, uint8_t out[4]);

/* Text as the tokenizer sees it. bytes is malloc'd. */
typedef struct {
    char *bytes;
    size_t n_bytes;
} fvlm_unicode_text;

/* A copy of s with every ill-formed sequence replaced by U+FFFD. */
fvlm_status fvlm_unicode_repair(fvlm_unicode_text *out, const char *s, size_t n_bytes, fvlm_err *err);

/* NFC of well-formed s, as of the Unicode version that `tokenizers` uses. */
fvlm_status fvlm_unicode_nfc(fvlm_unicode_text *out, const char *s, size_t n_bytes, fvlm_err *err);

#endif
