/* SPDX-License-Identifier: Apache-2.0 */
/* unicode.c - UTF-8, and NFC by utf8proc's tables.
 *
 * Only utf8proc's per-character decomposition and its composition are used: its canonical ordering is a gnome
 * sort, quadratic on a long run of combining marks, and text may be hostile. */
#include "reference/tokenizer/unicode.h"

#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

enum { MAX_DECOMPOSITION = 4 }; /* code points that one canonically decomposes into, at most */

static fvlm_status no_memory(fvlm_err *err)
{
    return fvlm_fail(err, FVLM_NOMEM, "not enough memory to tokenize this text");
}

fvlm_status fvlm_unicode_repair(fvlm_unicode_text *out, const char *s, size_t n_bytes, fvlm_err *err)
{
    const uint8_t *in = (const uint8_t *)s;
    uint8_t *to = fvlm_alloc(n_bytes + 1, 3); /* one bad byte becomes three */
    size_t n = 0;
    if (!to) return no_memory(err);
    for (size_t at = 0, len; at < n_bytes; at += len) {
        int32_t c;
        len = fvlm_utf8_next(in + at, n_bytes - at, &c);
        const uint8_t *from = c < 0 ? (const uint8_t *)"\xef\xbf\xbd" : in + at;
        const size_t k = c < 0 ? 3 : len;
        memcpy(to + n, from, k);
        n += k;
    }
    *out = (fvlm_unicode_text){(char *)to, n};
    return FVLM_OK;
}

/* Everything below U+0300 is its own NFC, and bytes below 0xCC spell nothing else. */
static bool plainly_nfc(const uint8_t *s, size_t n)
{
    uint8_t most = 0;
    for (size_t i = 0; i < n; i++) most = s[i] > most ? s[i] : most;
    return most < 0xcc;
}

static uint64_t combining_class(int32_t c)
{
    return (uint64_t)utf8proc_get_property(c)->combining_class;
}

static int by_key(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Orders a run of combining marks by class, stably: class, position and code point share one sort key. */
static void order_run(int32_t *run, size_t n, uint64_t *keys)
{
    for (size_t i = 0; i < n; i++) keys[i] = combining_class(run[i]) << 53 | (uint64_t)i << 21 | (uint64_t)run[i];
    qsort(keys, n, sizeof *keys, by_key);
    for (size_t i = 0; i < n; i++) run[i] = (int32_t)(keys[i] & 0x1fffff);
}

static void order_marks(int32_t *c, size_t n, uint64_t *keys)
{
    for (size_t i = 0; i < n;) {
        size_t j = i;
        uint64_t last = 0;
        bool ordered = true;
        for (uint64_t k; j < n && (k = combining_class(c[j])) != 0; last = k, j++) ordered &= k >= last;
        if (!ordered) order_run(c + i, j - i, keys);
        i = j > i ? j : i + 1;
    }
}

/* What Unicode has said about composing since version 9, which is where the normalizer of Hugging Face
 * `tokenizers` stands: combining marks that it takes for letters, and one pair that it leaves apart. Found by
 * trying every code point against utf8proc 2.8 (Unicode 15); ids must be theirs. */
static const int32_t newer[][2] = {
    {0x7fd, 0x7fd},     {0x898, 0x89f},     {0x8ca, 0x8d3},     {0x9fe, 0x9fe},     {0xc3c, 0xc3c},
    {0xd3b, 0xd3c},     {0xeba, 0xeba},     {0x1715, 0x1715},   {0x1abf, 0x1ace},   {0x1df6, 0x1dfa},
    {0xa82c, 0xa82c},   {0x10d24, 0x10d27}, {0x10eab, 0x10eac}, {0x10efd, 0x10eff}, {0x10f46, 0x10f50},
    {0x10f82, 0x10f85}, {0x11070, 0x11070}, {0x1133b, 0x1133b}, {0x1145e, 0x1145e}, {0x11839, 0x1183a},
    {0x11930, 0x11930}, {0x11938, 0x11938}, {0x1193d, 0x1193e}, {0x11943, 0x11943}, {0x119e0, 0x119e0},
    {0x11a34, 0x11a34}, {0x11a47, 0x11a47}, {0x11a99, 0x11a99}, {0x11d42, 0x11d42}, {0x11d44, 0x11d45},
    {0x11d97, 0x11d97}, {0x11f41, 0x11f42}, {0x16ff0, 0x16ff1}, {0x1e08f, 0x1e08f}, {0x1e130, 0x1e136},
    {0x1e2ae, 0x1e2ae}, {0x1e2ec, 0x1e2ef}, {0x1e4ec, 0x1e4ef},
};

static bool is_newer(int32_t c)
{
    size_t lo = 0, hi = sizeof newer / sizeof *newer;
    while (lo < hi) {
        const size_t mid = (lo + hi) / 2;
        if (c < newer[mid][0])
            hi = mid;
        else if (c > newer[mid][1])
            lo = mid + 1;
        else
            return true;
    }
    return false;
}

/* Orders and composes n decomposed code points in place; returns how many are left. */
static size_t compose(int32_t *c, size_t n, uint64_t *keys)
{
    order_marks(c, n, keys);
    return n ? (size_t)utf8proc_normalize_utf32(c, (utf8proc_ssize_t)n, UTF8PROC_STABLE | UTF8PROC_COMPOSE) : 0;
}

/* NFC of s as code points into c (room for MAX_DECOMPOSITION each); keys is scratch of the same count. A newer
 * character stands as it is, and nothing composes across it. */
static size_t normalize(const uint8_t *s, size_t n_bytes, int32_t *c, uint64_t *keys)
{
    size_t n = 0, begin = 0; /* c[begin .. n) is decomposed, not yet composed */
    for (size_t at = 0; at < n_bytes;) {
        int32_t one;
        int boundary = 0;
        at += fvlm_utf8_next(s + at, n_bytes - at, &one);
        if (one < 0x80) {
            c[n++] = one;
        } else if (is_newer(one)) {
            n = begin + compose(c + begin, n - begin, keys);
            c[n++] = one;
            begin = n;
        } else {
            const utf8proc_ssize_t k =
                utf8proc_decompose_char(one, c + n, MAX_DECOMPOSITION, UTF8PROC_STABLE | UTF8PROC_COMPOSE, &boundary);
            n += k > 0 ? (size_t)k : 0;
        }
    }
    return begin + compose(c + begin, n - begin, keys);
}

fvlm_status fvlm_unicode_nfc(fvlm_unicode_text *out, const char *s, size_t n_bytes, fvlm_err *err)
{
    const uint8_t *in = (const uint8_t *)s;
    if (plainly_nfc(in, n_bytes)) {
        char *copy = fvlm_alloc(n_bytes + 1, 1);
        if (!copy) return no_memory(err);
        memcpy(copy, s, n_bytes);
        *out = (fvlm_unicode_text){copy, n_bytes};
        return FVLM_OK;
    }
    size_t n_chars = 0;
    for (size_t i = 0; i < n_bytes; i++) n_chars += (in[i] & 0xc0) != 0x80;
    int32_t *c = fvlm_alloc(n_chars * MAX_DECOMPOSITION + 1, sizeof *c);
    uint64_t *keys = fvlm_alloc(n_chars * MAX_DECOMPOSITION + 1, sizeof *keys);
    uint8_t *to = NULL;
    if (c && keys) {
        const size_t n = normalize(in, n_bytes, c, keys);
        to = fvlm_alloc(n + 1, 4);
        size_t k = 0;
        for (size_t i = 0; to && i < n; i++) k += fvlm_utf8_put(c[i], to + k);
        *out = (fvlm_unicode_text){(char *)to, k};
    }
    free(c);
    free(keys);
    return to ? FVLM_OK : no_memory(err);
}
