/* SPDX-License-Identifier: Apache-2.0 */
/* floats.c - see floats.h. The bulk loops are shaped for the compiler to vectorize: no call, no early way out. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "quant/floats.h"

static size_t first_not_finite(const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t u;
        memcpy(&u, &x[i], 4);
        if ((u & 0x7f800000u) == 0x7f800000u) return i;
    }
    return n;
}

static bool load_f32(const uint8_t *stored, size_t n, float *x)
{
    uint32_t bad = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t u = fvlm_load_u32(stored + 4 * i);
        bad |= (u & 0x7f800000u) == 0x7f800000u;
        memcpy(&x[i], &u, 4);
    }
    return !bad;
}

static bool load_bf16(const uint8_t *stored, size_t n, float *x)
{
    uint32_t bad = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t u = (uint32_t)(stored[2 * i] | stored[2 * i + 1] << 8) << 16;
        bad |= (u & 0x7f800000u) == 0x7f800000u;
        memcpy(&x[i], &u, 4);
    }
    return !bad;
}

/* A half's exponent and mantissa moved into place are the value times 2^-112, subnormals too: one exact product. */
static bool load_f16(const uint8_t *stored, size_t n, float *x)
{
    uint32_t bad = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t h = (uint32_t)(stored[2 * i] | stored[2 * i + 1] << 8), u = (h & 0x7fffu) << 13;
        float v;
        bad |= (h & 0x7c00u) == 0x7c00u;
        memcpy(&v, &u, 4);
        v *= 0x1p112f;
        x[i] = h >> 15 ? -v : v;
    }
    return !bad;
}

size_t fvlm_floats_load(uint8_t kind, const uint8_t *stored, size_t n, float *x)
{
    if (kind == FVLM_F32) return load_f32(stored, n, x) ? n : first_not_finite(x, n);
    if (kind == FVLM_BF16) return load_bf16(stored, n, x) ? n : first_not_finite(x, n);
    if (load_f16(stored, n, x)) return n;
    for (size_t i = 0; i < n; i++)
        if ((stored[2 * i + 1] & 0x7c) == 0x7c) return i;
    return n;
}

size_t fvlm_floats_store(uint8_t kind, const float *x, size_t n, uint8_t *stored, double sums[2])
{
    for (size_t i = 0; i < n; i++) {
        float back = x[i];
        if (kind == FVLM_F32) {
            uint32_t u;
            memcpy(&u, &x[i], 4);
            fvlm_store_u32(stored + 4 * i, u);
        } else {
            uint16_t h = kind == FVLM_F16 ? fvlm_f32_to_f16(x[i]) : fvlm_f32_to_bf16(x[i]);
            uint16_t exponent = kind == FVLM_F16 ? 0x7c00 : 0x7f80;
            if ((h & exponent) == exponent) return i;
            fvlm_store_u16(stored + 2 * i, h);
            back = kind == FVLM_F16 ? fvlm_f16_to_f32(h) : fvlm_bf16_to_f32(h);
        }
        double d = (double)x[i] - (double)back;
        sums[0] += d * d;
        sums[1] += (double)x[i] * (double)x[i];
    }
    return n;
}

/* Logical row and input of a stored element; for taps and rows the input counts through the trailing dims. */
static void locate(const fvlm_tensor *t, uint64_t at, uint64_t *row, uint64_t *input)
{
    uint64_t per_row = 1;
    for (unsigned i = 1; i < t->rank; i++) per_row *= t->dims[i];
    if (t->layout == FVLM_PANELS) {
        *row = at / FVLM_PANEL / per_row * FVLM_PANEL + at % FVLM_PANEL;
        *input = at / FVLM_PANEL % per_row;
    } else if (t->layout == FVLM_TAPS) {
        *row = at % t->dims[0];
        *input = at / t->dims[0];
    } else {
        *row = at / per_row;
        *input = at % per_row;
    }
}

const char *fvlm_floats_element_name(const fvlm_tensor *t, uint64_t at, char out[FVLM_MAX_NAME + 96])
{
    uint64_t row, k, index[FVLM_MAX_RANK] = {0};
    locate(t, at, &row, &k);
    index[0] = row;
    if (t->rank == 4 && t->layout == FVLM_PANELS) { /* k = (y*kw + x)*I + i */
        index[1] = k % t->dims[1];
        index[3] = k / t->dims[1] % t->dims[3];
        index[2] = k / t->dims[1] / t->dims[3];
    } else {
        for (unsigned i = t->rank; i-- > 1; k /= t->dims[i]) index[i] = k % t->dims[i];
    }
    size_t size = FVLM_MAX_NAME + 96, n = (size_t)snprintf(out, size, "%s[", t->name);
    for (unsigned i = 0; i < t->rank && n < size; i++)
        n += (size_t)snprintf(out + n, size - n, "%s%" PRIu64, i ? "," : "", index[i]);
    if (n < size) snprintf(out + n, size - n, "]");
    return out;
}
