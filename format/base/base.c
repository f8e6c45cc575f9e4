/* SPDX-License-Identifier: Apache-2.0 */
/* base.c - status, checked arithmetic, memory, cursor, half-precision conversions. */
#include "format/base/base.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static fvlm_status record(fvlm_err *err, fvlm_status code, uint64_t offset, const char *fmt, va_list args)
{
    if (err) {
        err->code = code;
        err->offset = offset;
        vsnprintf(err->msg, sizeof err->msg, fmt, args);
    }
    return code;
}

fvlm_status fvlm_fail(fvlm_err *err, fvlm_status code, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    record(err, code, 0, fmt, args);
    va_end(args);
    return code;
}

fvlm_status fvlm_refuse(fvlm_err *err, uint64_t offset, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    record(err, FVLM_BAD_INPUT, offset, fmt, args);
    va_end(args);
    return FVLM_BAD_INPUT;
}

fvlm_status fvlm_fail_errno(fvlm_err *err, const char *fmt, ...)
{
    int cause = errno;
    va_list args;
    va_start(args, fmt);
    record(err, FVLM_IO, 0, fmt, args);
    va_end(args);
    if (err) {
        size_t used = strlen(err->msg);
        snprintf(err->msg + used, sizeof err->msg - used, ": %s", strerror(cause));
    }
    return FVLM_IO;
}

fvlm_status fvlm_err_prefix(fvlm_err *err, const char *fmt, ...)
{
    if (!err) return FVLM_BAD_INPUT; /* which failure is unknown, but it is one: callers return this */
    char rest[sizeof err->msg];
    memcpy(rest, err->msg, sizeof rest);
    va_list args;
    va_start(args, fmt);
    vsnprintf(err->msg, sizeof err->msg, fmt, args);
    va_end(args);
    size_t used = strlen(err->msg);
    snprintf(err->msg + used, sizeof err->msg - used, ": %s", rest);
    return err->code;
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

uint16_t fvlm_load_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

uint32_t fvlm_load_u32(const uint8_t *p)
{
    return fvlm_load_u16(p) | (uint32_t)fvlm_load_u16(p + 2) << 16;
}

uint64_t fvlm_load_u64(const uint8_t *p)
{
    return fvlm_load_u32(p) | (uint64_t)fvlm_load_u32(p + 4) << 32;
}

void fvlm_store_u16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

void fvlm_store_u32(uint8_t *p, uint32_t v)
{
    fvlm_store_u16(p, (uint16_t)v);
    fvlm_store_u16(p + 2, (uint16_t)(v >> 16));
}

void fvlm_store_u64(uint8_t *p, uint64_t v)
{
    fvlm_store_u32(p, (uint32_t)v);
    fvlm_store_u32(p + 4, (uint32_t)(v >> 32));
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

static float from_bits(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

static uint32_t to_bits(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

float fvlm_bf16_to_f32(uint16_t b)
{
    return from_bits((uint32_t)b << 16);
}

uint16_t fvlm_f32_to_bf16(float f)
{
    uint32_t u = to_bits(f);
    if ((u & 0x7fffffff) > 0x7f800000) return (uint16_t)(u >> 16 | 0x40); /* NaN, quiet */
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

float fvlm_f16_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = h >> 10 & 31, mantissa = h & 1023;
    if (exponent == 31) return from_bits(sign | 0x7f800000 | mantissa << 13);
    if (exponent) return from_bits(sign | (exponent + 112) << 23 | mantissa << 13);
    float tiny = (float)mantissa * 0x1p-24f; /* zero or subnormal: exact in f32 */
    return sign ? -tiny : tiny;
}

uint16_t fvlm_f32_to_f16(float f)
{
    uint32_t u = to_bits(f), magnitude = u & 0x7fffffff;
    uint16_t sign = (uint16_t)(u >> 16 & 0x8000);
    if (magnitude > 0x7f800000) return (uint16_t)(sign | 0x7e00 | (magnitude >> 13 & 0x1ff));
    if (magnitude >= 0x477ff000) return (uint16_t)(sign | 0x7c00); /* 65520 and up round to infinity */
    if (magnitude < 0x38800000) {                                  /* below 2^-14: subnormal or zero */
        /* Adding 2^-1's worth of exponent lets the FPU round at bit 2^-24, ties to even. */
        float shifted = from_bits(magnitude) + 0.5f;
        return (uint16_t)(sign | (to_bits(shifted) - 0x3f000000));
    }
    uint32_t odd = magnitude >> 13 & 1;
    return (uint16_t)(sign | ((magnitude - 0x38000000 + 0xfff + odd) >> 13));
}
