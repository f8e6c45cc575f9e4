/* SPDX-License-Identifier: Apache-2.0 */
/* json_pull.h - reads JSON text piece by piece, in the order its reader expects.
 *
 * For the texts of a checkpoint that can be large and whose shape is known: safetensors
 * headers, vocabularies. No tree and no recursion: memory does not grow with the text, and
 * every refusal carries the byte where it happened. Strict RFC 8259: no leading zeros, no
 * raw control characters, UTF-8 well formed, surrogates in pairs.
 *
 * Strings are decoded in place, which is why the text is not const: a decoded string is never
 * longer than its source, and its closing quote becomes the terminating NUL. */
#ifndef FVLM_FORMAT_BASE_JSON_PULL_H
#define FVLM_FORMAT_BASE_JSON_PULL_H

#include "format/base/base.h"

#define FVLM_SCAN_MAX_DEPTH 64

typedef struct {
    char *text;
    size_t n_bytes, pos;
    const char *what; /* file name for messages */
    uint64_t base;    /* where the text begins in that file */
    fvlm_err *err;
    fvlm_status st; /* the first failure; all calls after it return false */
} fvlm_scan;

fvlm_scan fvlm_scan_over(char *text, size_t n_bytes, const char *what, uint64_t base, fvlm_err *err);

/* Fails with: "WHAT": byte N: text. Always returns false. */
bool fvlm_scan_refuse(fvlm_scan *s, size_t pos, fvlm_status code, const char *fmt, ...) FVLM_PRINTF(4, 5);

/* Skips white space and tells the next character, 0 at the end. */
char fvlm_scan_peek(fvlm_scan *s);

/* The next character must be c; noun says what was expected there. */
bool fvlm_scan_expect(fvlm_scan *s, char c, const char *noun);

/* Inside '{': true with the next key (its colon eaten), false at '}' or on failure.
 * Inside '[': true when another element follows, false at ']' or on failure.
 * *first starts as true. */
bool fvlm_scan_member(fvlm_scan *s, bool *first, char **key, size_t *key_at);
bool fvlm_scan_element(fvlm_scan *s, bool *first);

/* A string, decoded in place, NUL-terminated, without inner NUL. *at = where it begins. */
bool fvlm_scan_string(fvlm_scan *s, char **out, size_t *at);

/* A whole number 0 .. 2^64 - 1, written in plain digits. */
bool fvlm_scan_u64(fvlm_scan *s, uint64_t *out);

/* Any value, checked and left as it is; *begin and *end bound it in the text. */
bool fvlm_scan_skip(fvlm_scan *s, size_t *begin, size_t *end);

/* Nothing but white space may be left. */
bool fvlm_scan_end(fvlm_scan *s);

#endif
