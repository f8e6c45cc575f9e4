/* SPDX-License-Identifier: Apache-2.0 */
/* json_pull.c - see json_pull.h. Over 300 lines: strings, numbers and structure share the position and the refusals. */
#include "format/base/json_pull.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "format/base/utf8.h"

fvlm_json_pull fvlm_json_pull_over(char *text, size_t n_bytes, const char *what, uint64_t base, fvlm_err *err)
{
    return (fvlm_json_pull){.text = text, .n_bytes = n_bytes, .what = what, .base = base, .err = err};
}

bool fvlm_json_pull_nomem(fvlm_json_pull *p)
{
    if (!p->st) p->st = fvlm_fail_nomem(p->err);
    return false;
}

bool fvlm_json_pull_refuse(fvlm_json_pull *p, size_t pos, fvlm_status code, const char *fmt, ...)
{
    if (p->st) return false;
    char text[400];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    p->st = code;
    const uint64_t at = p->base + pos;
    if (p->dialect == FVLM_JSON_CONFIG)
        fvlm_refuse(p->err, at, "\"%s\": line %zu, column %zu: %s", p->what, p->line + 1, pos - p->line_at + 1, text);
    else
        fvlm_refuse(p->err, at,
                    p->dialect == FVLM_JSON_FILE ? "\"%s\": byte %" PRIu64 ": %s" : "%s: byte %" PRIu64 ": %s", p->what,
                    at, text);
    if (p->err) p->err->code = code;
    return false;
}

static bool bad(fvlm_json_pull *p, size_t pos, const char *text)
{
    return fvlm_json_pull_refuse(p, pos, FVLM_BAD_INPUT, "%s", text);
}

/* False once the flag is set. */
static bool go_on(fvlm_json_pull *p)
{
    if (!p->st) p->st = fvlm_stop_check(p->stop, p->err);
    return !p->st;
}

char fvlm_json_pull_peek(fvlm_json_pull *p)
{
    if (p->st) return 0;
    while (p->pos < p->n_bytes) {
        char c = p->text[p->pos];
        if (c != ' ' && c != '\n' && c != '\t' && c != '\r') return c;
        p->pos++;
        if (c == '\n') p->line++, p->line_at = p->pos;
    }
    return 0;
}

/* Always returns false. */
static bool expected(fvlm_json_pull *p, const char *noun)
{
    const char found = p->pos < p->n_bytes ? p->text[p->pos] : 0;
    if (p->pos == p->n_bytes)
        return fvlm_json_pull_refuse(p, p->pos, FVLM_BAD_INPUT, "the text ends where %s was expected", noun);
    return fvlm_json_pull_refuse(p, p->pos, FVLM_BAD_INPUT, "expected %s%s", noun,
                                 found == '/' || found == '#' ? "; JSON has no comments"
                                 : found == '\''              ? "; JSON has only double quotes"
                                                              : "");
}

bool fvlm_json_pull_expect(fvlm_json_pull *p, char c, const char *noun)
{
    if (p->st) return false;
    if (fvlm_json_pull_peek(p) != c || p->pos == p->n_bytes) return expected(p, noun);
    p->pos++;
    return true;
}

/* The comma before a further member or element; close is the bracket that would end the container. */
static bool comma(fvlm_json_pull *p, char close)
{
    char noun[] = "',' or ' '";
    noun[sizeof noun - 3] = close;
    if (!fvlm_json_pull_expect(p, ',', noun)) return false;
    if (fvlm_json_pull_peek(p) != close) return true;
    return fvlm_json_pull_refuse(p, p->pos, FVLM_BAD_INPUT, "a comma before '%c'; remove it", close);
}

bool fvlm_json_pull_member(fvlm_json_pull *p, bool *first, fvlm_json_text *key)
{
    if (!go_on(p)) return false;
    if (fvlm_json_pull_peek(p) == '}') {
        p->pos++;
        return false;
    }
    if (!*first && !comma(p, '}')) return false;
    *first = false;
    return fvlm_json_pull_string(p, key) && fvlm_json_pull_expect(p, ':', "':'");
}

bool fvlm_json_pull_element(fvlm_json_pull *p, bool *first)
{
    if (!go_on(p)) return false;
    if (fvlm_json_pull_peek(p) == ']') {
        p->pos++;
        return false;
    }
    if (!*first && !comma(p, ']')) return false;
    *first = false;
    return true;
}

/* Four hex digits at pos. */
static bool hex4(fvlm_json_pull *p, size_t pos, uint32_t *out)
{
    uint32_t v = 0;
    for (size_t i = 0; i < 4; i++) {
        char c = pos + i < p->n_bytes ? p->text[pos + i] : 0;
        uint32_t digit = c >= '0' && c <= '9'   ? (uint32_t)(c - '0')
                         : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a' + 10)
                         : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A' + 10)
                                                : 16;
        if (digit == 16) return bad(p, pos, "\\u needs four hexadecimal digits");
        v = v << 4 | digit;
    }
    *out = v;
    return true;
}

/* The escape whose backslash is at *pos: its bytes go to 'to' (may be NULL), *pos moves past it. */
static bool escape(fvlm_json_pull *p, size_t *pos, char *to, size_t *written)
{
    static const char from[] = "\"\\/bfnrt", plain[] = "\"\\/\b\f\n\r\t";
    const size_t at = *pos;
    const char c = at + 1 < p->n_bytes ? p->text[at + 1] : 0;
    const char *simple = c ? strchr(from, c) : NULL;
    char unused[4];
    if (!to) to = unused;
    if (simple) {
        to[0] = plain[simple - from];
        *written = 1;
        *pos += 2;
        return true;
    }
    uint32_t code = 0, low = 0;
    if (c != 'u') return bad(p, at, "unknown escape in a string");
    if (!hex4(p, at + 2, &code)) return false;
    *pos += 6;
    if (code == 0) return bad(p, at, "a string may not hold the character NUL");
    if (code >= 0xdc00 && code < 0xe000) return bad(p, at, "a low surrogate without a high one before it");
    if (code >= 0xd800 && code < 0xdc00) {
        if (at + 7 >= p->n_bytes || p->text[at + 6] != '\\' || p->text[at + 7] != 'u')
            return bad(p, at, "a high surrogate without a low one after it");
        if (!hex4(p, at + 8, &low)) return false;
        if (low < 0xdc00 || low >= 0xe000) return bad(p, at, "a high surrogate without a low one after it");
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        *pos += 6;
    }
    *written = fvlm_utf8_put((int32_t)code, (uint8_t *)to);
    return true;
}

static inline bool is_plain_ascii(uint8_t c)
{
    return (uint8_t)(c - 0x20) < 0x60 && c != '"' && c != '\\';
}

/* The bytes from pos on that stand for themselves, up to a quote, an escape or a fault. */
static size_t plain_bytes(const fvlm_json_pull *p, size_t pos)
{
    const uint8_t *s = (const uint8_t *)p->text + pos, *const end = (const uint8_t *)p->text + p->n_bytes;
    const uint8_t *const begin = s;
    int32_t c = 0;
    while (s < end && c >= 0) {
        if (is_plain_ascii(*s))
            s++;
        else if (*s < 0x80)
            break;
        else {
            const size_t n = fvlm_utf8_next(s, (size_t)(end - s), &c);
            if (c >= 0) s += n;
        }
    }
    return (size_t)(s - begin);
}

bool fvlm_json_pull_string(fvlm_json_pull *p, fvlm_json_text *out)
{
    if (!fvlm_json_pull_expect(p, '"', "a string")) return false;
    const size_t begin = p->pos;
    size_t pos = begin, to = begin;
    for (;;) {
        size_t n = plain_bytes(p, pos);
        if (out && to != pos) memmove(p->text + to, p->text + pos, n);
        pos += n;
        to += n;
        if (pos >= p->n_bytes) return bad(p, begin - 1, "this string does not end");
        const uint8_t c = (uint8_t)p->text[pos];
        if (c == '"') break;
        if (c != '\\') return bad(p, pos, c < 0x20 ? "a raw control character in a string" : "not UTF-8");
        if (!escape(p, &pos, out ? p->text + to : NULL, &n)) return false;
        to += n;
    }
    p->pos = pos + 1;
    if (!out) return true;
    p->text[to] = 0;
    *out = (fvlm_json_text){p->text + begin, to - begin, begin - 1};
    return true;
}

static bool digit_at(const fvlm_json_pull *p, size_t pos)
{
    return pos < p->n_bytes && p->text[pos] >= '0' && p->text[pos] <= '9';
}

bool fvlm_json_pull_u64(fvlm_json_pull *p, uint64_t *out)
{
    if (p->st) return false;
    fvlm_json_pull_peek(p);
    size_t at = p->pos, pos = at;
    uint64_t v = 0;
    if (!digit_at(p, pos)) return bad(p, at, "expected a whole number, 0 or more, in plain digits");
    if (p->text[pos] == '0' && digit_at(p, pos + 1)) return bad(p, at, "a number may not begin with 0");
    for (; digit_at(p, pos); pos++)
        if (!fvlm_checked_mul(v, 10, &v) || !fvlm_checked_add(v, (uint64_t)(p->text[pos] - '0'), &v))
            return bad(p, at, "a number over 2^64 - 1");
    if (pos < p->n_bytes && (p->text[pos] == '.' || p->text[pos] == 'e' || p->text[pos] == 'E'))
        return bad(p, at, "expected a whole number, 0 or more, in plain digits");
    p->pos = pos;
    *out = v;
    return true;
}

static bool word(fvlm_json_pull *p, const char *w)
{
    size_t n = strlen(w);
    if (p->n_bytes - p->pos < n || memcmp(p->text + p->pos, w, n) != 0) return false;
    p->pos += n;
    return true;
}

/* -?(0|[1-9][0-9]*)(.[0-9]+)?([eE][+-]?[0-9]+)? */
static bool skip_number(fvlm_json_pull *p)
{
    size_t at = p->pos, pos = at;
    if (p->text[pos] == '-') pos++;
    if (!digit_at(p, pos)) return expected(p, "a value");
    if (p->text[pos] == '0' && digit_at(p, pos + 1)) return bad(p, at, "a number may not begin with 0");
    while (digit_at(p, pos)) pos++;
    if (pos < p->n_bytes && p->text[pos] == '.') {
        if (!digit_at(p, ++pos)) return bad(p, at, "a number may not end with its point");
        while (digit_at(p, pos)) pos++;
    }
    if (pos < p->n_bytes && (p->text[pos] == 'e' || p->text[pos] == 'E')) {
        pos++;
        if (pos < p->n_bytes && (p->text[pos] == '+' || p->text[pos] == '-')) pos++;
        if (!digit_at(p, pos)) return bad(p, at, "a number without digits in its exponent");
        while (digit_at(p, pos)) pos++;
    }
    p->pos = pos;
    return true;
}

bool fvlm_json_pull_bool(fvlm_json_pull *p, bool *out)
{
    if (p->st) return false;
    fvlm_json_pull_peek(p);
    *out = word(p, "true");
    return *out || word(p, "false") || bad(p, p->pos, "expected true or false");
}

bool fvlm_json_pull_null(fvlm_json_pull *p)
{
    return fvlm_json_pull_peek(p) == 'n' && word(p, "null");
}

static bool skip_scalar(fvlm_json_pull *p)
{
    char c = fvlm_json_pull_peek(p);
    if (c == '"') return fvlm_json_pull_string(p, NULL);
    if (word(p, "true") || word(p, "false") || word(p, "null")) return true;
    if (p->dialect == FVLM_JSON_CONFIG && (word(p, "NaN") || word(p, "Infinity") || word(p, "-Infinity"))) return true;
    return p->pos == p->n_bytes ? expected(p, "a value") : skip_number(p);
}

/* Iterative: bit d of 'objects' says whether the container at depth d is an object. */
bool fvlm_json_pull_skip(fvlm_json_pull *p, size_t *begin, size_t *end)
{
    if (p->st) return false;
    uint64_t objects = 0;
    unsigned depth = 0;
    bool first = true;
    fvlm_json_pull_peek(p);
    *begin = p->pos;
    do {
        if (!go_on(p)) return false;
        if (depth > 0) { /* inside a container: its end, or the way to its next value */
            bool object = objects >> (depth - 1) & 1;
            if (fvlm_json_pull_peek(p) == (object ? '}' : ']')) {
                p->pos++;
                depth--;
                first = false;
                continue;
            }
            if (!first && !comma(p, object ? '}' : ']')) return false;
            fvlm_json_pull_peek(p);
            if (object && (!fvlm_json_pull_string(p, NULL) || !fvlm_json_pull_expect(p, ':', "':'"))) return false;
        }
        char c = fvlm_json_pull_peek(p);
        first = c == '{' || c == '[';
        if (!first) {
            if (!skip_scalar(p)) return false;
            continue;
        }
        if (depth == FVLM_MAX_JSON_DEPTH)
            return fvlm_json_pull_refuse(p, p->pos, FVLM_LIMIT, "nested deeper than %d", FVLM_MAX_JSON_DEPTH);
        objects = c == '{' ? objects | UINT64_C(1) << depth : objects & ~(UINT64_C(1) << depth);
        depth++;
        p->pos++;
    } while (depth > 0);
    *end = p->pos;
    return true;
}

bool fvlm_json_pull_end(fvlm_json_pull *p)
{
    if (p->st) return false;
    fvlm_json_pull_peek(p);
    return p->pos == p->n_bytes ? true : bad(p, p->pos, "something follows the end of the JSON value");
}
