/* SPDX-License-Identifier: Apache-2.0 */
/* encoding.c - see encoding.h. */
#include "format/base/encoding.h"

#include <string.h>

static bool begins(const char *text, size_t n_bytes, const char *with, size_t n)
{
    return n_bytes >= n && memcmp(text, with, n) == 0;
}

fvlm_status fvlm_encoding_check(char *text, size_t *n_bytes, const char *what, fvlm_err *err)
{
    const size_t n = *n_bytes;
    if (begins(text, n, "\xef\xbb\xbf", 3)) {
        memmove(text, text + 3, n - 3 + 1);
        *n_bytes = n - 3;
        return FVLM_OK;
    }
    const bool mark =
        begins(text, n, "\xff\xfe", 2) || begins(text, n, "\xfe\xff", 2) || begins(text, n, "\0\0\xfe\xff", 4);
    /* Our files begin with an ASCII character. */
    const bool wide = n >= 2 && !text[0] != !text[1];
    if (mark || wide) return fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\" is UTF-16 or UTF-32 text; save it as UTF-8", what);
    return FVLM_OK;
}
