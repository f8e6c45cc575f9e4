/* SPDX-License-Identifier: Apache-2.0 */
/* byte_letters.c - see byte_letters.h. */
#include "format/byte_letters.h"

#include <string.h>

#include "format/base/utf8.h"

int fvlm_byte_letters_value(int32_t c)
{
    if ((c >= '!' && c <= '~') || (c >= 0xa1 && c <= 0xac) || (c >= 0xae && c <= 0xff)) return c;
    const int32_t other = c - 0x100; /* bytes 0x00 - 0x20, 0x7f - 0xa0, 0xad */
    if (other < 0 || other > 67) return -1;
    return other <= 0x20 ? other : other <= 66 ? other - 0x21 + 0x7f : 0xad;
}

bool fvlm_byte_letters_decode(const char *s, size_t n, char *out, size_t *n_out)
{
    *n_out = 0;
    for (size_t at = 0; at < n; ++*n_out) {
        int32_t c;
        at += fvlm_utf8_next((const uint8_t *)s + at, n - at, &c);
        const int byte = fvlm_byte_letters_value(c);
        if (byte < 0) return false;
        if (out) out[*n_out] = (char)byte;
    }
    return true;
}

int fvlm_byte_letters_from_hex(const char *s, size_t n)
{
    static const char digits[] = "0123456789ABCDEF";
    if (n != 6 || memcmp(s, "<0x", 3) != 0 || s[5] != '>') return -1;
    const char *high = memchr(digits, s[3], 16), *low = memchr(digits, s[4], 16);
    return high && low ? (int)(16 * (high - digits) + (low - digits)) : -1;
}
