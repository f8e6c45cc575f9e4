/* SPDX-License-Identifier: Apache-2.0 */
/* arithmetic.c - see arithmetic.h. */
#include "verify/judge/arithmetic.h"

#include <math.h>

#define EACH(k, type, expr)                                                                                            \
    case k: {                                                                                                          \
        const type *x = a, *y = b;                                                                                     \
        type *z = o;                                                                                                   \
        for (size_t i = 0; i < n; i++) z[i] = (expr);                                                                  \
    } break

/* As numpy and onnxruntime: a NaN operand gives NaN. */
#define NAN_FIRST(less) (x[i] != x[i] ? x[i] : y[i] != y[i] ? y[i] : (less) ? x[i] : y[i])

/* With the divisor's sign. */
static double real_mod(double x, double y)
{
    const double r = fmod(x, y);
    return r != 0 && (r < 0) != (y < 0) ? r + y : r;
}

static void run_f32(fvlm_arithmetic k, size_t n, const void *a, const void *b, void *o)
{
    switch (k) {
        EACH(FVLM_ARITHMETIC_ADD, float, x[i] + y[i]);
        EACH(FVLM_ARITHMETIC_SUB, float, x[i] - y[i]);
        EACH(FVLM_ARITHMETIC_MUL, float, x[i] * y[i]);
        EACH(FVLM_ARITHMETIC_DIV, float, x[i] / y[i]);
        EACH(FVLM_ARITHMETIC_POW, float, (float)pow((double)x[i], (double)y[i]));
        EACH(FVLM_ARITHMETIC_MIN, float, NAN_FIRST(x[i] < y[i]));
        EACH(FVLM_ARITHMETIC_MAX, float, NAN_FIRST(x[i] > y[i]));
        EACH(FVLM_ARITHMETIC_MOD, float, (float)real_mod((double)x[i], (double)y[i]));
        EACH(FVLM_ARITHMETIC_FMOD, float, fmodf(x[i], y[i]));
        EACH(FVLM_ARITHMETIC_PRELU, float, x[i] < 0 ? x[i] * y[i] : x[i]);
    default:
        break;
    }
}

static void run_f64(fvlm_arithmetic k, size_t n, const void *a, const void *b, void *o)
{
    switch (k) {
        EACH(FVLM_ARITHMETIC_ADD, double, x[i] + y[i]);
        EACH(FVLM_ARITHMETIC_SUB, double, x[i] - y[i]);
        EACH(FVLM_ARITHMETIC_MUL, double, x[i] * y[i]);
        EACH(FVLM_ARITHMETIC_DIV, double, x[i] / y[i]);
        EACH(FVLM_ARITHMETIC_POW, double, pow(x[i], y[i]));
        EACH(FVLM_ARITHMETIC_MIN, double, NAN_FIRST(x[i] < y[i]));
        EACH(FVLM_ARITHMETIC_MAX, double, NAN_FIRST(x[i] > y[i]));
        EACH(FVLM_ARITHMETIC_MOD, double, real_mod(x[i], y[i]));
        EACH(FVLM_ARITHMETIC_FMOD, double, fmod(x[i], y[i]));
        EACH(FVLM_ARITHMETIC_PRELU, double, x[i] < 0 ? x[i] * y[i] : x[i]);
    default:
        break;
    }
}

static uint64_t power(uint64_t x, int64_t y, bool is_signed)
{
    uint64_t z = 1;
    if (y < 0 && is_signed) /* 1 / x^|y|, cut off */
        return x == 1 ? 1 : x == UINT64_MAX ? (y % 2 ? UINT64_MAX : 1) : 0;
    for (uint64_t e = (uint64_t)y; e; e >>= 1, x *= x)
        if (e & 1) z *= x;
    return z;
}

/* Division cuts off (C, onnxruntime); INT64_MIN / -1 wraps. */
static int64_t divide(int64_t x, int64_t y)
{
    return y == -1 ? (int64_t)(0 - (uint64_t)x) : y ? x / y : 0;
}

static int64_t remainder_of(int64_t x, int64_t y, bool sign_of_divisor)
{
    const int64_t r = y == -1 || y == 0 ? 0 : x % y;
    return sign_of_divisor && r && (r < 0) != (y < 0) ? r + y : r;
}

static void run_i64(fvlm_arithmetic k, size_t n, const void *a, const void *b, void *o)
{
    switch (k) { /* unsigned arithmetic wraps */
        EACH(FVLM_ARITHMETIC_ADD, uint64_t, x[i] + y[i]);
        EACH(FVLM_ARITHMETIC_SUB, uint64_t, x[i] - y[i]);
        EACH(FVLM_ARITHMETIC_MUL, uint64_t, x[i] * y[i]);
        EACH(FVLM_ARITHMETIC_DIV, int64_t, divide(x[i], y[i]));
        EACH(FVLM_ARITHMETIC_POW, int64_t, (int64_t)power((uint64_t)x[i], y[i], true));
        EACH(FVLM_ARITHMETIC_MIN, int64_t, x[i] < y[i] ? x[i] : y[i]);
        EACH(FVLM_ARITHMETIC_MAX, int64_t, x[i] > y[i] ? x[i] : y[i]);
        EACH(FVLM_ARITHMETIC_MOD, int64_t, remainder_of(x[i], y[i], true));
        EACH(FVLM_ARITHMETIC_FMOD, int64_t, remainder_of(x[i], y[i], false));
        EACH(FVLM_ARITHMETIC_PRELU, int64_t, x[i] < 0 ? (int64_t)((uint64_t)x[i] * (uint64_t)y[i]) : x[i]);
        EACH(FVLM_ARITHMETIC_AND, uint64_t, x[i] & y[i]);
        EACH(FVLM_ARITHMETIC_OR, uint64_t, x[i] | y[i]);
        EACH(FVLM_ARITHMETIC_XOR, uint64_t, x[i] ^ y[i]);
    default:
        break;
    }
}

static void run_u64(fvlm_arithmetic k, size_t n, const void *a, const void *b, void *o)
{
    switch (k) {
        EACH(FVLM_ARITHMETIC_DIV, uint64_t, y[i] ? x[i] / y[i] : 0);
        EACH(FVLM_ARITHMETIC_POW, uint64_t, power(x[i], (int64_t)y[i], false));
        EACH(FVLM_ARITHMETIC_MIN, uint64_t, x[i] < y[i] ? x[i] : y[i]);
        EACH(FVLM_ARITHMETIC_MAX, uint64_t, x[i] > y[i] ? x[i] : y[i]);
    case FVLM_ARITHMETIC_MOD:
        EACH(FVLM_ARITHMETIC_FMOD, uint64_t, y[i] ? x[i] % y[i] : 0);
    default:
        run_i64(k, n, a, b, o);
    }
}

void fvlm_arithmetic_run(fvlm_arithmetic k, int32_t type, size_t n, const void *a, const void *b, void *out)
{
    switch (type) {
    case FVLM_ONNX_F32:
        run_f32(k, n, a, b, out);
        break;
    case FVLM_ONNX_F64:
        run_f64(k, n, a, b, out);
        break;
    case FVLM_ONNX_U64:
        run_u64(k, n, a, b, out);
        break;
    default:
        run_i64(k, n, a, b, out);
    }
}
