/* SPDX-License-Identifier: Apache-2.0 */
/* utf8.h - UTF-8 (Unicode table 3-7: shortest form, no surrogates, at most U+10FFFF). */
#ifndef FVLM_FORMAT_BASE_UTF8_H
#define FVLM_FORMAT_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Decodes the character at s, which has n >= 1 bytes: returns its length, its code point in *c. If ill-formed, *c is
 * -1 and the length is that of the "maximal subpart" that Unicode, and Python, replace by one U+FFFD. */
size_t fvlm_utf8_next(const uint8_t *s, size_t n, int32_t *c);

/* Characters that steer a terminal or reorder a line: C0, DEL, C1, bidirectional controls, the line and paragraph
 * separators, the byte order mark. */
bool fvlm_utf8_is_control(int32_t c);

/* Writes a code point (no surrogate, at most U+10FFFF) as 1 to 4 bytes; returns how many. */
size_t fvlm_utf8_put(int32_t c, uint8_t out[4]);

#endif
