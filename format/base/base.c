/* SPDX-License-Identifier: Apache-2.0 */
/* base.c - see base.h. */
#define _GNU_SOURCE 1 /* vasprintf */
#include "format/base/base.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Cuts text to less than capacity bytes: "..." stands for the middle of its longest part between quotes, which is a
 * path or a name, so that the cause at the end stays. Characters of UTF-8 stay whole. */
static void shorten(char *text, size_t capacity)
{
    for (size_t n; (n = strlen(text)) >= capacity;) {
        size_t begin = 0, length = 0, cut = n - capacity + 1 + strlen("...");
        for (size_t at = 0, part; at <= n; at += part + 1) {
            part = strcspn(text + at, "\"");
            if (part > length) begin = at, length = part;
        }
        const size_t kept = capacity / 4;
        if (length < kept + 4)
            begin = 0, length = n; /* many short parts */
        else if (cut > length - kept)
            cut = length - kept; /* the next longest gives the rest */
        size_t from = begin + (length - cut) / 2, to = from + cut;
        while (from > begin && ((unsigned char)text[from] & 0xc0) == 0x80) from--;
        while (((unsigned char)text[to] & 0xc0) == 0x80) to++;
        memcpy(text + from, "...", 3);
        memmove(text + from + 3, text + to, n - to + 1);
    }
}

/* Records a failure whose message is the formatted text and the end after it. Allocates only if they do not fit; out of
 * memory, the end is cut off. */
static void record(fvlm_err *err, fvlm_status code, uint64_t offset, const char *end, const char *fmt, va_list args)
{
    if (!err) return;
    va_list again;
    va_copy(again, args);
    const int n = vsnprintf(err->msg, sizeof err->msg, fmt, args);
    const size_t used = strlen(err->msg), whole = (n > 0 ? (size_t)n : 0) + strlen(end) + 1;
    char *text = whole > sizeof err->msg ? malloc(whole) : NULL;
    if (text) {
        vsnprintf(text, whole, fmt, again);
        strcat(text, end);
        shorten(text, sizeof err->msg);
        memcpy(err->msg, text, strlen(text) + 1);
    } else {
        snprintf(err->msg + used, sizeof err->msg - used, "%s", end);
    }
    free(text);
    va_end(again);
    err->code = code;
    err->offset = offset;
}

fvlm_status fvlm_fail(fvlm_err *err, fvlm_status code, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    record(err, code, 0, "", fmt, args);
    va_end(args);
    return code;
}

fvlm_status fvlm_refuse(fvlm_err *err, uint64_t offset, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    record(err, FVLM_BAD_INPUT, offset, "", fmt, args);
    va_end(args);
    return FVLM_BAD_INPUT;
}

fvlm_status fvlm_fail_errno(fvlm_err *err, const char *fmt, ...)
{
    char cause[128];
    snprintf(cause, sizeof cause, ": %s", strerror(errno));
    va_list args;
    va_start(args, fmt);
    record(err, FVLM_IO, 0, cause, fmt, args);
    va_end(args);
    return FVLM_IO;
}

fvlm_status fvlm_err_prefix(fvlm_err *err, const char *fmt, ...)
{
    if (!err) return FVLM_BAD_INPUT; /* which failure is unknown, but it is one: callers return this */
    char rest[sizeof err->msg + 2];
    snprintf(rest, sizeof rest, ": %s", err->msg);
    va_list args;
    va_start(args, fmt);
    record(err, err->code, err->offset, rest, fmt, args);
    va_end(args);
    return err->code;
}

fvlm_status fvlm_fail_nomem(fvlm_err *err)
{
    return fvlm_fail(err, FVLM_NOMEM, "out of memory");
}

int fvlm_exit_code(fvlm_status st)
{
    switch (st) {
    case FVLM_OK:
        return 0;
    case FVLM_USAGE:
        return 2;
    case FVLM_IO:
    case FVLM_CHANGED:
    case FVLM_NOMEM:
    case FVLM_INTERRUPTED:
        return 3;
    default:
        return 1;
    }
}

bool fvlm_checked_add(uint64_t a, uint64_t b, uint64_t *out)
{
    uint64_t r;
    if (__builtin_add_overflow(a, b, &r)) return false;
    *out = r;
    return true;
}

bool fvlm_checked_sub(uint64_t a, uint64_t b, uint64_t *out)
{
    if (b > a) return false;
    *out = a - b;
    return true;
}

bool fvlm_checked_mul(uint64_t a, uint64_t b, uint64_t *out)
{
    uint64_t r;
    if (__builtin_mul_overflow(a, b, &r)) return false;
    *out = r;
    return true;
}

bool fvlm_checked_round_up(uint64_t a, uint64_t multiple, uint64_t *out)
{
    uint64_t rest = a % multiple;
    return rest == 0 ? (*out = a, true) : fvlm_checked_add(a, multiple - rest, out);
}

bool fvlm_checked_size(uint64_t a, size_t *out)
{
    if (a > SIZE_MAX) return false;
    *out = (size_t)a;
    return true;
}

void *fvlm_alloc(size_t n, size_t size)
{
    uint64_t bytes;
    if (!fvlm_checked_mul(n, size, &bytes) || !fvlm_checked_round_up(bytes ? bytes : 1, 64, &bytes) ||
        bytes > PTRDIFF_MAX)
        return NULL;
    void *p = aligned_alloc(64, (size_t)bytes);
    if (p) memset(p, 0, (size_t)bytes);
    return p;
}

char *fvlm_strdup(const char *s)
{
    size_t n = strlen(s) + 1;
    char *copy = malloc(n);
    if (copy) memcpy(copy, s, n);
    return copy;
}

char *fvlm_asprintf(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    char *text = NULL;
    int n = vasprintf(&text, fmt, args);
    va_end(args);
    return n < 0 ? NULL : text;
}

fvlm_cursor fvlm_cursor_over(const void *bytes, size_t n_bytes)
{
    return (fvlm_cursor){.bytes = bytes, .n_bytes = n_bytes, .ok = true};
}

const uint8_t *fvlm_cursor_take(fvlm_cursor *c, size_t n_bytes)
{
    if (!c->ok || n_bytes > c->n_bytes - c->pos) {
        c->ok = false;
        return NULL;
    }
    const uint8_t *p = c->bytes + c->pos;
    c->pos += n_bytes;
    return p;
}

uint32_t fvlm_cursor_take_u32(fvlm_cursor *c)
{
    const uint8_t *p = fvlm_cursor_take(c, 4);
    return p ? fvlm_load_u32(p) : 0;
}

uint64_t fvlm_cursor_take_u64(fvlm_cursor *c)
{
    const uint8_t *p = fvlm_cursor_take(c, 8);
    return p ? fvlm_load_u64(p) : 0;
}
