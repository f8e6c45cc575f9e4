/* SPDX-License-Identifier: Apache-2.0 */
/* unicode.h - UTF-8 and Unicode normalization for the tokenizer. */
#ifndef FVLM_REFERENCE_TOKENIZER_UNICODE_H
#define FVLM_REFERENCE_TOKENIZER_UNICODE_H

#include "format/base/base.h"
#include "format/base/utf8.h"

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
