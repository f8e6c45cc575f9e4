/* SPDX-License-Identifier: Apache-2.0 */
/* json_pull.c - see json_pull.h. */
#include "format/base/json_pull.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

fvlm_scan fvlm_scan_over(char *text, size_t n_bytes, const char *what, uint64_t base, fvlm_err *err)
{
    return (fvlm_scan){.text = text, .n_bytes = n_bytes, .what = what, .base = base, .err = err};
}

bool fvlm_scan_refuse(fvlm_scan *s, size_t pos, fvlm_status code, const char *fmt, ...)
{
    if (s->st) return false;
    char text[400];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    s->st = code;
    fvlm_refuse(s->err, s->base + pos, "\"%s\": byte %" PRIu64 ": %s", s->what, s->base + pos, text);
    if (s->err) s->err->code = code;
    return false;
}

static bool bad(fvlm_scan *s, size_t pos, const char *text)
{
    return fvlm_scan_refuse(s, pos, FVLM_BAD_INPUT, "%s", text);
}

char fvlm_scan_peek(fvlm_scan *s)
{
    if (s->st) return 0;
    while (s->pos < s->n_bytes) {
        char c = s->text[s->pos];
        if (c != ' ' && c != '\n' && c != '\t' && c != '\r') return c;
        s->pos++;
    }
    return 0;
}

bool fvlm_scan_expect(fvlm_scan *s, char c, const char *noun)
{
    if (s->st) return false;
    char found = fvlm_scan_peek(s);
    if (s->pos == s->n_bytes)
        return fvlm_scan_refuse(s, s->pos, FVLM_BAD_INPUT, "the text ends where %s was expected", noun);
    if (found != c) return fvlm_scan_refuse(s, s->pos, FVLM_BAD_INPUT, "expected %s", noun);
    s->pos++;
    return true;
}

bool fvlm_scan_member(fvlm_scan *s, bool *first, char **key, size_t *key_at)
{
    if (s->st) return false;
    if (fvlm_scan_peek(s) == '}') {
        s->pos++;
        return false;
    }
    if (!*first && !fvlm_scan_expect(s, ',', "',' or '}'")) return false;
    *first = false;
    return fvlm_scan_string(s, key, key_at) && fvlm_scan_expect(s, ':', "':'");
}

bool fvlm_scan_element(fvlm_scan *s, bool *first)
{
    if (s->st) return false;
    if (fvlm_scan_peek(s) == ']') {
        s->pos++;
        return false;
    }
    if (!*first && !fvlm_scan_expect(s, ',', "',' or ']'")) return false;
    *first = false;
    return true;
}

/* Four hex digits at pos. */
static bool hex4(fvlm_scan *s, size_t pos, uint32_t *out)
{
    uint32_t v = 0;
    for (size_t i = 0; i < 4; i++) {
        char c = pos + i < s->n_bytes ? s->text[pos + i] : 0;
        uint32_t digit = c >= '0' && c <= '9'   ? (uint32_t)(c - '0')
                         : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a' + 10)
                         : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A' + 10)
                                                : 16;
        if (digit == 16) return bad(s, pos, "\\u needs four hexadecimal digits");
        v = v << 4 | digit;
    }
    *out = v;
    return true;
}

static size_t put_utf8(char *to, uint32_t c)
{
    if (c < 0x80) return to[0] = (char)c, 1;
    if (c < 0x800) return to[0] = (char)(0xc0 | c >> 6), to[1] = (char)(0x80 | (c & 63)), 2;
    if (c < 0x10000) {
        to[0] = (char)(0xe0 | c >> 12), to[1] = (char)(0x80 | (c >> 6 & 63)), to[2] = (char)(0x80 | (c & 63));
        return 3;
    }
    to[0] = (char)(0xf0 | c >> 18), to[1] = (char)(0x80 | (c >> 12 & 63));
    to[2] = (char)(0x80 | (c >> 6 & 63)), to[3] = (char)(0x80 | (c & 63));
    return 4;
}

/* The escape whose backslash is at *pos: its bytes go to 'to' (may be NULL), *pos moves past it. */
static bool escape(fvlm_scan *s, size_t *pos, char *to, size_t *written)
{
    static const char from[] = "\"\\/bfnrt", plain[] = "\"\\/\b\f\n\r\t";
    size_t at = *pos;
    char c = at + 1 < s->n_bytes ? s->text[at + 1] : 0;
    const char *simple = c ? strchr(from, c) : NULL;
    char scratch[4];
    if (!to) to = scratch;
    if (simple) {
        to[0] = plain[simple - from];
        *written = 1;
        *pos += 2;
        return true;
    }
    uint32_t code = 0, low = 0;
    if (c != 'u') return bad(s, at, "unknown escape in a string");
    if (!hex4(s, at + 2, &code)) return false;
    *pos += 6;
    if (code == 0) return bad(s, at, "a string may not hold the character NUL");
    if (code >= 0xdc00 && code < 0xe000) return bad(s, at, "a low surrogate without a high one before it");
    if (code >= 0xd800 && code < 0xdc00) {
        if (at + 7 >= s->n_bytes || s->text[at + 6] != '\\' || s->text[at + 7] != 'u')
            return bad(s, at, "a high surrogate without a low one after it");
        if (!hex4(s, at + 8, &low)) return false;
        if (low < 0xdc00 || low >= 0xe000) return bad(s, at, "a high surrogate without a low one after it");
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        *pos += 6;
    }
    *written = put_utf8(to, code);
    return true;
}

/* Length of the well-formed UTF-8 sequence at pos, 0 if it is none (overlong, surrogate, cut). */
static size_t utf8_length(const fvlm_scan *s, size_t pos)
{
    const unsigned char *p = (const unsigned char *)s->text + pos;
    size_t left = s->n_bytes - pos, n = p[0] < 0x80   ? 1
                                        : p[0] < 0xc2 ? 0
                                        : p[0] < 0xe0 ? 2
                                        : p[0] < 0xf0 ? 3
                                        : p[0] < 0xf5 ? 4
                                                      : 0;
    if (n == 0 || n > left) return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80) return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f)) return 0;
    if ((p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f)) return 0;
    return n;
}

/* The string that begins at s->pos; with 'keep' the text stays as it is, else it is decoded in place. */
static bool string(fvlm_scan *s, char **out, size_t *at, bool keep)
{
    if (!fvlm_scan_expect(s, '"', "a string")) return false;
    size_t pos = s->pos, begin = pos, to = pos, written = 0;
    *at = begin - 1;
    for (;;) {
        if (pos >= s->n_bytes) return bad(s, *at, "this string does not end");
        unsigned char c = (unsigned char)s->text[pos];
        if (c == '"') break;
        if (c < 0x20) return bad(s, pos, "a raw control character in a string");
        if (c == '\\') {
            if (!escape(s, &pos, keep ? NULL : s->text + to, &written)) return false;
        } else {
            written = utf8_length(s, pos);
            if (written == 0) return bad(s, pos, "not UTF-8");
            if (!keep && to != pos) memmove(s->text + to, s->text + pos, written);
            pos += written;
        }
        to += written;
    }
    if (!keep) s->text[to] = 0;
    s->pos = pos + 1;
    if (out) *out = s->text + begin;
    return true;
}

bool fvlm_scan_string(fvlm_scan *s, char **out, size_t *at)
{
    return string(s, out, at, false);
}

static bool digit_at(const fvlm_scan *s, size_t pos)
{
    return pos < s->n_bytes && s->text[pos] >= '0' && s->text[pos] <= '9';
}

bool fvlm_scan_u64(fvlm_scan *s, uint64_t *out)
{
    if (s->st) return false;
    fvlm_scan_peek(s);
    size_t at = s->pos, pos = at;
    uint64_t v = 0;
    if (!digit_at(s, pos)) return bad(s, at, "expected a whole number, 0 or more, in plain digits");
    if (s->text[pos] == '0' && digit_at(s, pos + 1)) return bad(s, at, "a number may not begin with 0");
    for (; digit_at(s, pos); pos++)
        if (!fvlm_checked_mul(v, 10, &v) || !fvlm_checked_add(v, (uint64_t)(s->text[pos] - '0'), &v))
            return bad(s, at, "a number over 2^64 - 1");
    if (pos < s->n_bytes && (s->text[pos] == '.' || s->text[pos] == 'e' || s->text[pos] == 'E'))
        return bad(s, at, "expected a whole number, 0 or more, in plain digits");
    s->pos = pos;
    *out = v;
    return true;
}

static bool word(fvlm_scan *s, const char *w)
{
    size_t n = strlen(w);
    if (s->n_bytes - s->pos < n || memcmp(s->text + s->pos, w, n) != 0) return false;
    s->pos += n;
    return true;
}

/* -?(0|[1-9][0-9]*)(.[0-9]+)?([eE][+-]?[0-9]+)? */
static bool skip_number(fvlm_scan *s)
{
    size_t at = s->pos, pos = at;
    if (s->text[pos] == '-') pos++;
    if (!digit_at(s, pos)) return bad(s, at, "expected a value");
    if (s->text[pos] == '0' && digit_at(s, pos + 1)) return bad(s, at, "a number may not begin with 0");
    while (digit_at(s, pos)) pos++;
    if (pos < s->n_bytes && s->text[pos] == '.') {
        if (!digit_at(s, ++pos)) return bad(s, at, "a number may not end with its point");
        while (digit_at(s, pos)) pos++;
    }
    if (pos < s->n_bytes && (s->text[pos] == 'e' || s->text[pos] == 'E')) {
        pos++;
        if (pos < s->n_bytes && (s->text[pos] == '+' || s->text[pos] == '-')) pos++;
        if (!digit_at(s, pos)) return bad(s, at, "a number without digits in its exponent");
        while (digit_at(s, pos)) pos++;
    }
    s->pos = pos;
    return true;
}

static bool skip_scalar(fvlm_scan *s)
{
    size_t at;
    char c = fvlm_scan_peek(s);
    if (c == '"') return string(s, NULL, &at, true);
    if (word(s, "true") || word(s, "false") || word(s, "null")) return true;
    if (s->pos == s->n_bytes) return bad(s, s->pos, "the text ends where a value was expected");
    return skip_number(s);
}

/* Iterative: bit d of 'objects' says whether the container at depth d is an object. */
bool fvlm_scan_skip(fvlm_scan *s, size_t *begin, size_t *end)
{
    if (s->st) return false;
    uint64_t objects = 0;
    unsigned depth = 0;
    bool first = true;
    fvlm_scan_peek(s);
    *begin = s->pos;
    do {
        if (depth > 0) { /* inside a container: its end, or the way to its next value */
            size_t at;
            bool object = objects >> (depth - 1) & 1;
            if (fvlm_scan_peek(s) == (object ? '}' : ']')) {
                s->pos++;
                depth--;
                first = false;
                continue;
            }
            if (!first && !fvlm_scan_expect(s, ',', object ? "',' or '}'" : "',' or ']'")) return false;
            fvlm_scan_peek(s);
            if (object && (!string(s, NULL, &at, true) || !fvlm_scan_expect(s, ':', "':'"))) return false;
        }
        char c = fvlm_scan_peek(s);
        first = c == '{' || c == '[';
        if (!first) {
            if (!skip_scalar(s)) return false;
            continue;
        }
        if (depth == FVLM_SCAN_MAX_DEPTH)
            return fvlm_scan_refuse(s, s->pos, FVLM_LIMIT, "nested deeper than %d", FVLM_SCAN_MAX_DEPTH);
        objects = c == '{' ? objects | UINT64_C(1) << depth : objects & ~(UINT64_C(1) << depth);
        depth++;
        s->pos++;
    } while (depth > 0);
    *end = s->pos;
    return true;
}

bool fvlm_scan_end(fvlm_scan *s)
{
    if (s->st) return false;
    fvlm_scan_peek(s);
    return s->pos == s->n_bytes ? true : bad(s, s->pos, "something follows the end of the JSON value");
}
