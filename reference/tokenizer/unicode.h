/* SPDX-License-Identifier: Apache-2.0 */
/* unicode.h - repair and Unicode normalization of the text to encode. Private to reference/tokenizer. */
#ifndef FVLM_REFERENCE_TOKENIZER_UNICODE_H
#define FVLM_REFERENCE_TOKENIZER_UNICODE_H

#include "format/base/base.h"

/* Well-formed UTF-8; the caller frees bytes. */
typedef struct {
    char *bytes;
    size_t n_bytes;
} fvlm_unicode_text;

/* A copy of s with every ill-formed sequence replaced by U+FFFD. */
fvlm_status fvlm_unicode_repair(fvlm_unicode_text *out, const char *s, size_t n_bytes, fvlm_err *err);

/* NFC of well-formed s, by the Unicode version that `tokenizers` uses. */
fvlm_status fvlm_unicode_nfc(fvlm_unicode_text *out, const char *s, size_t n_bytes, fvlm_err *err);

#endif
