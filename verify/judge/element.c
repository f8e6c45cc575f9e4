/* SPDX-License-Identifier: Apache-2.0 */
/* element.c - see value.h: single elements, and elements of one type as another. */
#include <math.h>

#include "verify/judge/value.h"

static int64_t cut_off(double x)
{
    if (!(x > -0x1p63)) return isnan(x) ? 0 : INT64_MIN;
    return x >= 0x1p63 ? INT64_MAX : (int64_t)x;
}

/* Element i of 'in' as 'type'; 'of_real' converts a double to it. */
#define GET(type, of_real)                                                                                             \
    switch (form) {                                                                                                    \
    case FVLM_FORM_F32:                                                                                                \
        return of_real((double)((const float *)in)[i]);                                                                \
    case FVLM_FORM_F64:                                                                                                \
        return of_real(((const double *)in)[i]);                                                                       \
    case FVLM_FORM_I8:                                                                                                 \
        return ((const int8_t *)in)[i];                                                                                \
    case FVLM_FORM_U8:                                                                                                 \
        return ((const uint8_t *)in)[i];                                                                               \
    case FVLM_FORM_I16:                                                                                                \
        return ((const int16_t *)in)[i];                                                                               \
    case FVLM_FORM_U16:                                                                                                \
        return ((const uint16_t *)in)[i];                                                                              \
    case FVLM_FORM_I32:                                                                                                \
        return ((const int32_t *)in)[i];                                                                               \
    case FVLM_FORM_U32:                                                                                                \
        return ((const uint32_t *)in)[i];                                                                              \
    case FVLM_FORM_I64:                                                                                                \
        return (type)((const int64_t *)in)[i];                                                                         \
    case FVLM_FORM_U64:                                                                                                \
        return (type)((const uint64_t *)in)[i];                                                                        \
    case FVLM_FORM_NONE:                                                                                               \
        break;                                                                                                         \
    }                                                                                                                  \
    return 0

static double get_f64(const void *in, fvlm_judge_form form, uint64_t i)
{
    GET(double, );
}

static int64_t get_i64(const void *in, fvlm_judge_form form, uint64_t i)
{
    GET(int64_t, cut_off);
}
#undef GET

double fvlm_judge_get_f64(const fvlm_judge_value *v, uint64_t i)
{
    return get_f64(v->data, fvlm_judge_form_of(v->type), i);
}

int64_t fvlm_judge_get_i64(const fvlm_judge_value *v, uint64_t i)
{
    return get_i64(v->data, fvlm_judge_form_of(v->type), i);
}

static void put_i64(void *out, fvlm_judge_form form, uint64_t i, int64_t x)
{
    switch (form) {
    case FVLM_FORM_I8:
    case FVLM_FORM_U8:
        ((uint8_t *)out)[i] = (uint8_t)x;
        break;
    case FVLM_FORM_I16:
    case FVLM_FORM_U16:
        ((uint16_t *)out)[i] = (uint16_t)x;
        break;
    case FVLM_FORM_I32:
    case FVLM_FORM_U32:
        ((uint32_t *)out)[i] = (uint32_t)x;
        break;
    case FVLM_FORM_I64:
    case FVLM_FORM_U64:
        ((uint64_t *)out)[i] = (uint64_t)x;
        break;
    default:
        break;
    }
}

/* The low four bits of a 4-bit type, with its sign. */
static int64_t wrap_nibble(int64_t x, int32_t type)
{
    const int64_t low = x & 15;
    return type == FVLM_ONNX_I4 && low > 7 ? low - 16 : low;
}

void fvlm_judge_convert(void *out, int32_t out_type, const void *in, int32_t in_type, uint64_t n)
{
    const fvlm_judge_form to = fvlm_judge_form_of(out_type), from = fvlm_judge_form_of(in_type);
    const bool nibble = out_type == FVLM_ONNX_U4 || out_type == FVLM_ONNX_I4;
    if (!n) return;
    if (to == from && out_type != FVLM_ONNX_BOOL && !nibble) {
        memcpy(out, in, (size_t)n * fvlm_judge_form_bytes(to));
        return;
    }
    for (uint64_t i = 0; i < n; i++) {
        const bool wide = from == FVLM_FORM_U64 && (to == FVLM_FORM_F32 || to == FVLM_FORM_F64);
        if (out_type == FVLM_ONNX_BOOL)
            ((uint8_t *)out)[i] = get_f64(in, from, i) != 0;
        else if (to == FVLM_FORM_F32)
            ((float *)out)[i] = from == FVLM_FORM_I64 ? (float)((const int64_t *)in)[i]
                                : wide                ? (float)((const uint64_t *)in)[i]
                                                      : (float)get_f64(in, from, i);
        else if (to == FVLM_FORM_F64)
            ((double *)out)[i] = get_f64(in, from, i);
        else {
            const double x =
                to == FVLM_FORM_U64 && (from == FVLM_FORM_F32 || from == FVLM_FORM_F64) ? get_f64(in, from, i) : 0;
            if (x >= 0x1p63)
                ((uint64_t *)out)[i] = x >= 0x1p64 ? UINT64_MAX : (uint64_t)x;
            else
                put_i64(out, to, i, nibble ? wrap_nibble(get_i64(in, from, i), out_type) : get_i64(in, from, i));
        }
    }
}

static void put(fvlm_judge_value *v, uint64_t i, const void *x, int32_t type)
{
    fvlm_judge_convert((uint8_t *)v->data + i * fvlm_judge_elem_bytes(v), v->type, x, type, 1);
}

void fvlm_judge_put_f64(fvlm_judge_value *v, uint64_t i, double x)
{
    put(v, i, &x, FVLM_ONNX_F64);
}

void fvlm_judge_put_i64(fvlm_judge_value *v, uint64_t i, int64_t x)
{
    put(v, i, &x, FVLM_ONNX_I64);
}

void fvlm_judge_round_halves(float *x, int32_t type, uint64_t n)
{
    if (type == FVLM_ONNX_F16)
        for (uint64_t i = 0; i < n; i++) x[i] = fvlm_f16_to_f32(fvlm_f32_to_f16(x[i]));
    if (type == FVLM_ONNX_BF16)
        for (uint64_t i = 0; i < n; i++) x[i] = fvlm_bf16_to_f32(fvlm_f32_to_bf16(x[i]));
}
