/* SPDX-License-Identifier: Apache-2.0 */
/* elements.c - see elements.h. */
#include "convert/elements.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/bits.h"

void fvlm_elements_decode(unsigned src_type, const uint8_t *raw, size_t n, double *out)
{
    if (src_type == FVLM_SOURCE_BF16)
        for (size_t i = 0; i < n; i++) out[i] = (double)fvlm_bf16_to_f32(fvlm_load_u16(raw + 2 * i));
    else if (src_type == FVLM_SOURCE_F16)
        for (size_t i = 0; i < n; i++) out[i] = (double)fvlm_f16_to_f32(fvlm_load_u16(raw + 2 * i));
    else
        for (size_t i = 0; i < n; i++) out[i] = (double)fvlm_f32_from_bits(fvlm_load_u32(raw + 4 * i));
}

/* All exponent bits set: infinity or NaN. The first pass has no early exit and stays in the type's width, so that it
 * vectorizes. */
size_t fvlm_elements_check(unsigned src_type, const uint8_t *raw, size_t n)
{
    if (src_type == FVLM_SOURCE_F32) {
        const uint32_t mask = 0x7f800000;
        uint32_t any = 0;
        for (size_t i = 0; i < n; i++) any |= (uint32_t)((fvlm_load_u32(raw + 4 * i) & mask) == mask);
        for (size_t i = 0; any && i < n; i++)
            if ((fvlm_load_u32(raw + 4 * i) & mask) == mask) return i;
    } else {
        const uint16_t mask = src_type == FVLM_SOURCE_BF16 ? 0x7f80 : 0x7c00;
        uint16_t any = 0;
        for (size_t i = 0; i < n; i++) any |= (uint16_t)((fvlm_load_u16(raw + 2 * i) & mask) == mask);
        for (size_t i = 0; any && i < n; i++)
            if ((fvlm_load_u16(raw + 2 * i) & mask) == mask) return i;
    }
    return n;
}

fvlm_type fvlm_elements_keep(unsigned src_type)
{
    return (fvlm_type){.kind = src_type == FVLM_SOURCE_BF16  ? FVLM_BF16
                               : src_type == FVLM_SOURCE_F16 ? FVLM_F16
                                                             : FVLM_F32};
}

/* f64 to f32, rounded to odd: toward zero, with the last bit set if the result is inexact. Rounding that again, to a
 * type with at least two bits less, gives the same as rounding the f64 directly. */
static float round_to_odd(double x)
{
    float f = (float)x;
    double back = (double)f;
    if (back == x || !isfinite(f)) return f;
    uint32_t u = fvlm_f32_bits(f);
    if (fabs(back) > fabs(x)) u--; /* one step toward zero */
    return fvlm_f32_from_bits(u | 1);
}

size_t fvlm_elements_encode(fvlm_type type, const double *x, size_t n, void *out)
{
    const uint32_t largest = type.kind == FVLM_F16 ? 0x477fe000 : 0x7f7fffff; /* 65504, or the largest f32 */
    for (size_t i = 0; i < n; i++) {
        if (type.kind == FVLM_F32) {
            float f = (float)x[i];
            if ((fvlm_f32_bits(f) & 0x7fffffff) > largest) return i;
            ((float *)out)[i] = f;
            continue;
        }
        float f = round_to_odd(x[i]);
        uint16_t half = type.kind == FVLM_F16 ? fvlm_f32_to_f16(f) : fvlm_f32_to_bf16(f);
        bool infinite = type.kind == FVLM_BF16 && (half & 0x7fff) == 0x7f80;
        if (infinite || (fvlm_f32_bits(f) & 0x7fffffff) > largest) return i;
        ((uint16_t *)out)[i] = half;
    }
    return n;
}

size_t fvlm_elements_convert(unsigned src_type, const uint8_t *raw, fvlm_type type, size_t n, void *out)
{
    if (fvlm_type_equal(type, fvlm_elements_keep(src_type))) {
        memcpy(out, raw, n * fvlm_source_type_bytes(src_type));
        return n;
    }
    if (src_type == FVLM_SOURCE_BF16 && type.kind == FVLM_F32) {
        uint32_t *wide = out;
        for (size_t i = 0; i < n; i++) wide[i] = (uint32_t)fvlm_load_u16(raw + 2 * i) << 16;
        return n;
    }
    double block[256];
    for (size_t at = 0; at < n;) {
        size_t now = n - at < 256 ? n - at : 256;
        fvlm_elements_decode(src_type, raw + at * fvlm_source_type_bytes(src_type), now, block);
        size_t fit = fvlm_elements_encode(type, block, now, (uint8_t *)out + at * fvlm_type_float_bytes(type));
        if (fit < now) return at + fit;
        at += now;
    }
    return n;
}

fvlm_status fvlm_elements_not_finite(const fvlm_source_tensor *t, uint64_t index, fvlm_err *err)
{
    char position[160] = "";
    uint64_t step = t->n_elems;
    size_t n = 0;
    for (unsigned i = 0; i < t->rank; i++) {
        step /= t->dims[i];
        n += (size_t)snprintf(position + n, sizeof position - n, i ? ", %" PRIu64 : "%" PRIu64,
                              index / step % t->dims[i]);
    }
    return fvlm_fail(
        err, FVLM_BAD_INPUT,
        "tensor \"%.200s\": element [%s] is not a finite number; the file is damaged or the training diverged", t->name,
        position);
}

fvlm_status fvlm_elements_too_large(const char *module, const char *what, uint64_t row, uint64_t column, fvlm_type type,
                                    fvlm_err *err)
{
    char type_name[24];
    return fvlm_fail(
        err, FVLM_LIMIT,
        "tensor \"%.200s.%s\": the value in row %" PRIu64 ", column %" PRIu64 " is beyond the largest %s%s", module,
        what, row, column, fvlm_type_name(type, type_name), type.kind == FVLM_F16 ? ", 65504; use bf16 or f32" : "");
}

fvlm_status fvlm_elements_read(const fvlm_source *src, const fvlm_source_tensor *t, double **out, fvlm_err *err)
{
    *out = NULL;
    if (!t) return FVLM_OK;
    size_t n = (size_t)t->n_elems;
    uint8_t *raw = fvlm_alloc(n, fvlm_source_type_bytes(t->type));
    double *values = fvlm_alloc(n, sizeof *values);
    fvlm_status st = raw && values ? fvlm_source_read(src, t, 0, (size_t)t->n_bytes, raw, err) : fvlm_fail_nomem(err);
    if (!st) {
        size_t bad = fvlm_elements_check(t->type, raw, n);
        if (bad < n) st = fvlm_elements_not_finite(t, bad, err);
    }
    if (!st)
        fvlm_elements_decode(t->type, raw, n, *out = values);
    else
        free(values);
    free(raw);
    return st;
}
