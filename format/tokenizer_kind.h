/* SPDX-License-Identifier: Apache-2.0 */
/* tokenizer_kind.h - which kind of tokenizer a tokenizer section holds; all inline. SPEC.md, section 7. */
#ifndef FVLM_FORMAT_TOKENIZER_KIND_H
#define FVLM_FORMAT_TOKENIZER_KIND_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* Whether the section says its kind, and that as its first member; a byte-level BPE does not. Such a file sets
 * FVLM_FEATURE_TOKENIZER_KIND. */
static inline bool fvlm_tokenizer_has_kind(const char *json, size_t n_bytes)
{
    static const char key[] = "\"kind\"";
    size_t at = 0;
    while (at < n_bytes && memchr(" \t\r\n", json[at], 4)) at++;
    if (at == n_bytes || json[at++] != '{') return false;
    while (at < n_bytes && memchr(" \t\r\n", json[at], 4)) at++;
    return n_bytes - at >= sizeof key - 1 && !memcmp(json + at, key, sizeof key - 1);
}

#endif
