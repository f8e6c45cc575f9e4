/* SPDX-License-Identifier: Apache-2.0 */
/* utf8.c - see utf8.h. */
#include "format/base/utf8.h"

size_t fvlm_utf8_next(const uint8_t *s, size_t n, int32_t *c)
{
    const uint8_t lead = s[0];
    *c = -1;
    if (lead < 0x80) return *c = lead, 1;
    if (lead < 0xc2 || lead > 0xf4) return 1;
    const size_t length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    /* The second byte rules out overlong forms, surrogates and what lies above U+10FFFF. */
    const uint8_t low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    const uint8_t high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    int32_t point = lead & (0x7f >> length);
    for (size_t i = 1; i < length; i++) {
        if (i >= n || s[i] < (i == 1 ? low : 0x80) || s[i] > (i == 1 ? high : 0xbf)) return i;
        point = point << 6 | (s[i] & 0x3f);
    }
    *c = point;
    return length;
}

bool fvlm_utf8_is_control(int32_t c)
{
    return (c >= 0 && c < 0x20) || (c >= 0x7f && c < 0xa0) || c == 0x61c || c == 0x200e || c == 0x200f ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

size_t fvlm_utf8_put(int32_t c, uint8_t out[4])
{
    const size_t length = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const uint8_t lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = length - 1; i > 0; i--, c >>= 6) out[i] = (uint8_t)(0x80 | (c & 0x3f));
    out[0] = (uint8_t)(lead[length] | c);
    return length;
}
