/* SPDX-License-Identifier: Apache-2.0 */
/* net_numbers.c - elements as doubles: read from a stored tensor, and rounded to a type. */
#include "convert/graph/net_internal.h"

#include <math.h>

bool fvlm_net_is_float(int32_t type)
{
    return type == FVLM_ONNX_F32 || type == FVLM_ONNX_F16 || type == FVLM_ONNX_BF16 || type == FVLM_ONNX_F64;
}

bool fvlm_net_is_integer(int32_t type)
{
    return (type >= FVLM_ONNX_U8 && type <= FVLM_ONNX_I64) || type == FVLM_ONNX_U32 || type == FVLM_ONNX_U64 ||
           type == FVLM_ONNX_U4 || type == FVLM_ONNX_I4;
}

static bool is_signed(int32_t type)
{
    return type == FVLM_ONNX_I8 || type == FVLM_ONNX_I16 || type == FVLM_ONNX_I32 || type == FVLM_ONNX_I4;
}

int64_t fvlm_net_to_int(double x)
{
    if (!(x > -0x1p63)) return x <= -0x1p63 ? INT64_MIN : 0; /* NaN: 0 */
    return x >= 0x1p63 ? INT64_MAX : (int64_t)x;
}

/* Integers of fewer than 64 bits wrap, as they do where the graph runs. */
static bool round_integer(double *x, int32_t type)
{
    double whole = trunc(*x);
    unsigned bits = fvlm_onnx_type_bits(type);
    bool below = type == FVLM_ONNX_U64 ? whole >= 0 && whole <= 0x1p64 : fabs(whole) <= 0x1p63;
    if (!below) return false; /* NaN too */
    if (bits < 64) {
        if (whole == 0x1p63) return false;
        uint64_t low = (uint64_t)(int64_t)whole & ((UINT64_C(1) << bits) - 1);
        bool negative = is_signed(type) && low >> (bits - 1);
        whole = negative ? -(double)((UINT64_C(1) << bits) - low) : (double)low;
    }
    *x = whole;
    return true;
}

bool fvlm_net_round(double *x, int32_t type)
{
    if (fvlm_net_is_integer(type)) return round_integer(x, type);
    switch (type) {
    case FVLM_ONNX_BOOL:
        *x = *x != 0;
        return true;
    case FVLM_ONNX_F16:
        *x = (double)fvlm_f16_to_f32(fvlm_f32_to_f16((float)*x));
        return true;
    case FVLM_ONNX_BF16:
        *x = (double)fvlm_bf16_to_f32(fvlm_f32_to_bf16((float)*x));
        return true;
    case FVLM_ONNX_F64:
        return true;
    default:
        *x = (double)(float)*x;
        return true;
    }
}

double fvlm_net_stored_number(const fvlm_graph_tensor *t, uint64_t i)
{
    const uint8_t *p = t->bytes + i * fvlm_onnx_type_bits(t->type) / 8;
    unsigned nibble = *p >> i % 2 * 4 & 15;
    switch (t->type) {
    case FVLM_ONNX_F32:
        return (double)fvlm_f32_from_bits(fvlm_load_u32(p));
    case FVLM_ONNX_F16:
        return (double)fvlm_f16_to_f32(fvlm_load_u16(p));
    case FVLM_ONNX_BF16:
        return (double)fvlm_bf16_to_f32(fvlm_load_u16(p));
    case FVLM_ONNX_F64: {
        uint64_t bits = fvlm_load_u64(p);
        double x;
        memcpy(&x, &bits, sizeof x);
        return x;
    }
    case FVLM_ONNX_BOOL:
        return *p != 0;
    case FVLM_ONNX_U8:
        return *p;
    case FVLM_ONNX_I8:
        return (int8_t)*p;
    case FVLM_ONNX_U16:
        return fvlm_load_u16(p);
    case FVLM_ONNX_I16:
        return (int16_t)fvlm_load_u16(p);
    case FVLM_ONNX_U32:
        return fvlm_load_u32(p);
    case FVLM_ONNX_I32:
        return (int32_t)fvlm_load_u32(p);
    case FVLM_ONNX_U64:
        return (double)fvlm_load_u64(p);
    case FVLM_ONNX_I64:
        return (double)(int64_t)fvlm_load_u64(p);
    case FVLM_ONNX_U4:
        return nibble;
    case FVLM_ONNX_I4:
        return nibble < 8 ? (double)nibble : (double)nibble - 16;
    default:
        return NAN; /* the net refuses other types */
    }
}

bool fvlm_net_is_readable(const fvlm_net_value *v)
{
    return v->is_const && (v->numbers || v->uniform || (v->weight.tensor && v->weight.packed.kind == FVLM_PACKED_NONE));
}

/* The matrix that a transposed weight is: its dimensions other than 1. */
static void matrix_of(const fvlm_net_value *v, uint64_t *rows, uint64_t *columns)
{
    *rows = *columns = 1;
    for (unsigned i = 0; i < v->rank; i++)
        if (v->dims[i] != 1) *rows = *columns, *columns = v->dims[i];
}

double fvlm_net_operand_at(const fvlm_net_operand *o, uint64_t i)
{
    if (o->numbers) return o->numbers[i];
    if (o->uniform) return *o->uniform;
    if (o->value->weight.transposed) {
        uint64_t rows, columns;
        matrix_of(o->value, &rows, &columns);
        i = i % columns * rows + i / columns;
    }
    double x = fvlm_net_stored_number(o->value->weight.tensor, i);
    fvlm_net_round(&x, o->value->type);
    return x;
}
