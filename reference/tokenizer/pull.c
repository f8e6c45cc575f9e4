/* SPDX-License-Identifier: Apache-2.0 */
/* pull.c - see pull.h. */
#include "reference/tokenizer/pull.h"

#include <stdlib.h>
#include <string.h>

#include "reference/tokenizer/unicode.h"

fvlm_status fvlm_pull_refuse(const fvlm_pull *j, const char *what)
{
    const size_t at = (size_t)(j->at - j->begin);
    return fvlm_refuse(j->err, at, "damaged tokenizer: %s at byte %zu", what, at);
}

fvlm_status fvlm_pull_over(fvlm_pull *j, const char *bytes, size_t n_bytes, fvlm_err *err)
{
    const uint8_t *s = (const uint8_t *)bytes;
    *j = (fvlm_pull){.begin = s, .at = s, .end = s + n_bytes, .err = err};
    while (j->at < j->end) {
        int32_t c;
        const size_t len = fvlm_utf8_next(j->at, (size_t)(j->end - j->at), &c);
        if (c < 0) return fvlm_pull_refuse(j, "ill-formed UTF-8");
        j->at += len;
    }
    j->at = s;
    j->scratch = fvlm_alloc(n_bytes + 1, 1);
    return j->scratch ? FVLM_OK : fvlm_fail(err, FVLM_NOMEM, "not enough memory for the tokenizer");
}

void fvlm_pull_free(fvlm_pull *j)
{
    free(j->scratch);
    j->scratch = NULL;
}

int fvlm_pull_peek(fvlm_pull *j)
{
    while (j->at < j->end && (*j->at == ' ' || *j->at == '\n' || *j->at == '\r' || *j->at == '\t')) j->at++;
    return j->at < j->end ? *j->at : -1;
}

fvlm_status fvlm_pull_expect(fvlm_pull *j, char c)
{
    const char what[] = {'\'', c, '\'', ' ', 'e', 'x', 'p', 'e', 'c', 't', 'e', 'd', 0};
    if (fvlm_pull_peek(j) != c) return fvlm_pull_refuse(j, what);
    j->at++;
    return FVLM_OK;
}

fvlm_status fvlm_pull_more(fvlm_pull *j, char close, size_t *n, bool *more)
{
    *more = fvlm_pull_peek(j) != close;
    if (!*more) {
        j->at++;
        return FVLM_OK;
    }
    return (*n)++ ? fvlm_pull_expect(j, ',') : FVLM_OK;
}

bool fvlm_slice_is(fvlm_slice a, const char *b)
{
    return a.n == strlen(b) && memcmp(a.s, b, a.n) == 0;
}

static fvlm_status hex4(fvlm_pull *j, int32_t *out)
{
    *out = 0;
    for (int i = 0; i < 4; i++) {
        const int c = j->at < j->end ? *j->at : 0;
        const int v = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                             : -1;
        if (v < 0) return fvlm_pull_refuse(j, "bad \\u escape");
        *out = *out << 4 | v;
        j->at++;
    }
    return FVLM_OK;
}

/* After "\u": one code point, from two escapes when the first is a high surrogate. */
static fvlm_status unicode_escape(fvlm_pull *j, int32_t *out)
{
    int32_t low;
    fvlm_status st = hex4(j, out);
    if (st || *out < 0xd800 || *out > 0xdfff) return st;
    const bool pair = *out < 0xdc00 && j->end - j->at >= 6 && j->at[0] == '\\' && j->at[1] == 'u';
    if (!pair) return fvlm_pull_refuse(j, "half a surrogate pair");
    j->at += 2;
    if ((st = hex4(j, &low))) return st;
    if (low < 0xdc00 || low > 0xdfff) return fvlm_pull_refuse(j, "half a surrogate pair");
    *out = 0x10000 + ((*out - 0xd800) << 10) + (low - 0xdc00);
    return FVLM_OK;
}

/* One escape, the backslash already taken; appends to scratch. It never writes more than it reads. */
static fvlm_status escape(fvlm_pull *j, size_t *n)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char c = (char)(j->at < j->end ? *j->at : 0);
    if (c == 'u') {
        int32_t point;
        j->at++;
        const fvlm_status st = unicode_escape(j, &point);
        if (st) return st;
        *n += fvlm_utf8_put(point, j->scratch + *n);
        return FVLM_OK;
    }
    const char *found = c ? strchr(from, c) : NULL;
    if (!found) return fvlm_pull_refuse(j, "unknown escape");
    j->at++;
    j->scratch[(*n)++] = (uint8_t)to[found - from];
    return FVLM_OK;
}

fvlm_status fvlm_pull_string(fvlm_pull *j, fvlm_slice *out)
{
    fvlm_status st = fvlm_pull_expect(j, '"');
    if (st) return st;
    const uint8_t *start = j->at;
    while (j->at < j->end && *j->at != '"' && *j->at != '\\' && *j->at >= 0x20) j->at++;
    if (j->at < j->end && *j->at == '"') { /* the common case: as it stands */
        *out = (fvlm_slice){(const char *)start, (size_t)(j->at - start)};
        j->at++;
        return FVLM_OK;
    }
    size_t n = (size_t)(j->at - start);
    memcpy(j->scratch, start, n);
    while (j->at < j->end && *j->at != '"') {
        const uint8_t c = *j->at;
        if (c < 0x20) return fvlm_pull_refuse(j, "control character in a string");
        j->at++;
        if (c != '\\')
            j->scratch[n++] = c;
        else if ((st = escape(j, &n)))
            return st;
    }
    if (j->at == j->end) return fvlm_pull_refuse(j, "a string without end");
    j->at++;
    *out = (fvlm_slice){(const char *)j->scratch, n};
    return FVLM_OK;
}

fvlm_status fvlm_pull_key(fvlm_pull *j, fvlm_slice *out)
{
    const fvlm_status st = fvlm_pull_string(j, out);
    return st ? st : fvlm_pull_expect(j, ':');
}

fvlm_status fvlm_pull_u32(fvlm_pull *j, uint32_t *out)
{
    uint64_t v = 0;
    const int first = fvlm_pull_peek(j);
    if (first < '0' || first > '9') return fvlm_pull_refuse(j, "number expected");
    do v = v * 10 + (uint64_t)(*j->at++ - '0');
    while (first != '0' && v <= UINT32_MAX && j->at < j->end && *j->at >= '0' && *j->at <= '9');
    if (v > UINT32_MAX) return fvlm_pull_refuse(j, "number over 4294967295");
    *out = (uint32_t)v;
    return FVLM_OK;
}

static bool word(fvlm_pull *j, const char *w)
{
    const size_t n = strlen(w);
    fvlm_pull_peek(j);
    if ((size_t)(j->end - j->at) < n || memcmp(j->at, w, n) != 0) return false;
    j->at += n;
    return true;
}

fvlm_status fvlm_pull_bool(fvlm_pull *j, bool *out)
{
    *out = word(j, "true");
    return *out || word(j, "false") ? FVLM_OK : fvlm_pull_refuse(j, "true or false expected");
}

fvlm_status fvlm_pull_null(fvlm_pull *j)
{
    return word(j, "null") ? FVLM_OK : fvlm_pull_refuse(j, "null expected");
}

/* Counts brackets outside strings until the value's own comma or bracket comes. */
fvlm_status fvlm_pull_skip(fvlm_pull *j)
{
    size_t depth = 0;
    for (fvlm_pull_peek(j); j->at < j->end; j->at++) {
        const uint8_t c = *j->at;
        if (c == '"') {
            for (j->at++; j->at < j->end && *j->at != '"'; j->at++)
                if (*j->at == '\\' && j->end - j->at > 1) j->at++;
            if (j->at == j->end) break;
        } else if (c == '[' || c == '{') {
            depth++;
        } else if (depth == 0 && (c == ',' || c == ']' || c == '}')) {
            return FVLM_OK;
        } else if (c == ']' || c == '}') {
            depth--;
        }
    }
    return fvlm_pull_refuse(j, "a value without end");
}
