/* SPDX-License-Identifier: Apache-2.0 */
/* bits.h - bytes, bit patterns and half-precision floats; all inline. */
#ifndef FVLM_FORMAT_BASE_BITS_H
#define FVLM_FORMAT_BASE_BITS_H

#include <stdint.h>
#include <string.h>

/* Little-endian loads and stores through bytes: any alignment, no aliasing. */
static inline uint16_t fvlm_load_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t fvlm_load_u32(const uint8_t *p)
{
    return fvlm_load_u16(p) | (uint32_t)fvlm_load_u16(p + 2) << 16;
}

static inline uint64_t fvlm_load_u64(const uint8_t *p)
{
    return fvlm_load_u32(p) | (uint64_t)fvlm_load_u32(p + 4) << 32;
}

static inline void fvlm_store_u16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

static inline void fvlm_store_u32(uint8_t *p, uint32_t v)
{
    fvlm_store_u16(p, (uint16_t)v);
    fvlm_store_u16(p + 2, (uint16_t)(v >> 16));
}

static inline void fvlm_store_u64(uint8_t *p, uint64_t v)
{
    fvlm_store_u32(p, (uint32_t)v);
    fvlm_store_u32(p + 4, (uint32_t)(v >> 32));
}

/* The bit pattern of a float, and the float that has a pattern. */
static inline uint32_t fvlm_f32_bits(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

static inline float fvlm_f32_from_bits(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

/* IEEE 754 binary16 and bfloat16. To f32: exact. From f32: round to nearest, ties to even; NaN
 * stays a quiet NaN, overflow becomes infinity. */
static inline float fvlm_bf16_to_f32(uint16_t b)
{
    return fvlm_f32_from_bits((uint32_t)b << 16);
}

static inline uint16_t fvlm_f32_to_bf16(float f)
{
    uint32_t u = fvlm_f32_bits(f);
    if ((u & 0x7fffffff) > 0x7f800000) return (uint16_t)(u >> 16 | 0x40); /* NaN, quiet */
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

static inline float fvlm_f16_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = h >> 10 & 31, mantissa = h & 1023;
    if (exponent == 31) return fvlm_f32_from_bits(sign | 0x7f800000 | mantissa << 13);
    if (exponent) return fvlm_f32_from_bits(sign | (exponent + 112) << 23 | mantissa << 13);
    float tiny = (float)mantissa * 0x1p-24f; /* zero or subnormal: exact in f32 */
    return sign ? -tiny : tiny;
}

static inline uint16_t fvlm_f32_to_f16(float f)
{
    uint32_t u = fvlm_f32_bits(f), magnitude = u & 0x7fffffff;
    uint16_t sign = (uint16_t)(u >> 16 & 0x8000);
    if (magnitude > 0x7f800000) return (uint16_t)(sign | 0x7e00 | (magnitude >> 13 & 0x1ff));
    if (magnitude >= 0x477ff000) return (uint16_t)(sign | 0x7c00); /* 65520 and up round to infinity */
    if (magnitude < 0x38800000) {                                  /* below 2^-14: subnormal or zero */
        /* Adding 0.5 lines the sum's last bit up with 2^-24, so the FPU rounds there, ties to even. */
        float shifted = fvlm_f32_from_bits(magnitude) + 0.5f;
        return (uint16_t)(sign | (fvlm_f32_bits(shifted) - 0x3f000000));
    }
    uint32_t odd = magnitude >> 13 & 1;
    return (uint16_t)(sign | ((magnitude - 0x38000000 + 0xfff + odd) >> 13));
}

#endif
