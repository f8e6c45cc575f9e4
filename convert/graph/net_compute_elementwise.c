/* SPDX-License-Identifier: Apache-2.0 */
/* net_compute_elementwise.c - functions of one to three numbers, with broadcasting.
 * Definitions: https://onnx.ai/onnx/operators, and onnxruntime's docs/ContribOperators.md. */
#include "convert/graph/net_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* clang-format off */
typedef enum {
    ADD, AND, BIT_AND, BIT_NOT, BIT_OR, BIT_SHIFT, BIT_XOR, CAST, CLIP, DIV, ELU, EQUAL, FAST_GELU, GELU,
    GREATER, GREATER_EQUAL, HARD_SIGMOID, HARD_SWISH, IS_INF, IS_NAN, LEAKY_RELU, LIBM, LESS, LESS_EQUAL, MAX,
    MIN, MOD, MUL, NEG, NOT, OR, POW, PRELU, QUICK_GELU, RECIPROCAL, RELU, SIGMOID, SIGN, SOFTPLUS, SOFTSIGN,
    SUB, WHERE, XOR
} function;

typedef struct {
    const char *op;
    unsigned n_inputs;
    function f;
    double (*libm)(double); /* of LIBM; nearbyint rounds halves to even */
} function_row;

/* Sorted by name. */
static const function_row functions[] = {
    {"Abs", 1, LIBM, fabs}, {"Acos", 1, LIBM, acos}, {"Add", 2, ADD, NULL}, {"And", 2, AND, NULL},
    {"Asin", 1, LIBM, asin}, {"Atan", 1, LIBM, atan}, {"BitShift", 2, BIT_SHIFT, NULL},
    {"BitwiseAnd", 2, BIT_AND, NULL}, {"BitwiseNot", 1, BIT_NOT, NULL}, {"BitwiseOr", 2, BIT_OR, NULL},
    {"BitwiseXor", 2, BIT_XOR, NULL}, {"Cast", 1, CAST, NULL}, {"Ceil", 1, LIBM, ceil}, {"Clip", 3, CLIP, NULL},
    {"Cos", 1, LIBM, cos}, {"Cosh", 1, LIBM, cosh}, {"Div", 2, DIV, NULL}, {"Elu", 1, ELU, NULL},
    {"Equal", 2, EQUAL, NULL}, {"Erf", 1, LIBM, erf}, {"Exp", 1, LIBM, exp}, {"FastGelu", 1, FAST_GELU, NULL},
    {"Floor", 1, LIBM, floor}, {"Gelu", 1, GELU, NULL}, {"Greater", 2, GREATER, NULL},
    {"GreaterOrEqual", 2, GREATER_EQUAL, NULL}, {"HardSigmoid", 1, HARD_SIGMOID, NULL},
    {"HardSwish", 1, HARD_SWISH, NULL}, {"IsInf", 1, IS_INF, NULL}, {"IsNaN", 1, IS_NAN, NULL},
    {"LeakyRelu", 1, LEAKY_RELU, NULL}, {"Less", 2, LESS, NULL}, {"LessOrEqual", 2, LESS_EQUAL, NULL},
    {"Log", 1, LIBM, log}, {"Max", 2, MAX, NULL}, {"Min", 2, MIN, NULL}, {"Mod", 2, MOD, NULL},
    {"Mul", 2, MUL, NULL}, {"Neg", 1, NEG, NULL}, {"Not", 1, NOT, NULL}, {"Or", 2, OR, NULL},
    {"PRelu", 2, PRELU, NULL}, {"Pow", 2, POW, NULL}, {"QuickGelu", 1, QUICK_GELU, NULL},
    {"Reciprocal", 1, RECIPROCAL, NULL}, {"Relu", 1, RELU, NULL}, {"Round", 1, LIBM, nearbyint},
    {"Sigmoid", 1, SIGMOID, NULL}, {"Sign", 1, SIGN, NULL}, {"Sin", 1, LIBM, sin}, {"Sinh", 1, LIBM, sinh},
    {"Softplus", 1, SOFTPLUS, NULL}, {"Softsign", 1, SOFTSIGN, NULL}, {"Sqrt", 1, LIBM, sqrt},
    {"Sub", 2, SUB, NULL}, {"Tan", 1, LIBM, tan}, {"Tanh", 1, LIBM, tanh}, {"Where", 3, WHERE, NULL},
    {"Xor", 2, XOR, NULL}
};
/* clang-format on */

static int by_name(const void *op, const void *row)
{
    return strcmp(op, ((const function_row *)row)->op);
}

static const function_row *find(const char *op)
{
    return bsearch(op, functions, sizeof functions / sizeof *functions, sizeof *functions, by_name);
}

bool fvlm_net_is_elementwise(const char *op, size_t *n_inputs)
{
    const function_row *row = find(op);
    if (row) *n_inputs = row->n_inputs;
    return row != NULL;
}

static double one_input(function f, double x, const fvlm_net_node *n)
{
    switch (f) {
    case BIT_NOT:
        return (double)~fvlm_net_to_int(x);
    case ELU:
        return x < 0 ? n->alpha * expm1(x) : x;
    case FAST_GELU:
        return 0.5 * x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case GELU:
        return 0.5 * x * (1 + erf(x / sqrt(2)));
    case HARD_SIGMOID:
        return fmax(0, fmin(1, n->alpha * x + n->beta));
    case HARD_SWISH:
        return x * fmax(0, fmin(1, x / 6 + 0.5));
    case IS_INF:
        return isinf(x);
    case IS_NAN:
        return isnan(x);
    case LEAKY_RELU:
        return x < 0 ? n->alpha * x : x;
    case NEG:
        return -x;
    case NOT:
        return x == 0;
    case QUICK_GELU:
        return x / (1 + exp(-n->alpha * x));
    case RECIPROCAL:
        return 1 / x;
    case RELU:
        return x > 0 || isnan(x) ? x : 0;
    case SIGMOID:
        return 1 / (1 + exp(-x));
    case SIGN:
        return (x > 0) - (x < 0);
    case SOFTPLUS:
        return x > 30 ? x + exp(-x) : log1p(exp(x));
    case SOFTSIGN:
        return x / (1 + fabs(x));
    default:
        return x; /* CAST: rounding does the rest */
    }
}

/* The rest has the sign of the divisor unless 'fmod' is set (in alpha). */
static double mod(double a, double b, double fmod_attr)
{
    double r = fmod(a, b);
    if (fmod_attr == 0 && r != 0 && (r < 0) != (b < 0)) r += b;
    return r;
}

/* Signed types keep their sign when shifted to the right; all bits may be shifted out. What is shifted beyond the type
 * is cut off by rounding to it. */
static double shift(double a, double b, bool left, unsigned bits)
{
    int64_t x = fvlm_net_to_int(a), by = fvlm_net_to_int(b);
    if (by < 0 || by >= (int64_t)bits) return !left && x < 0 ? -1 : 0;
    if (left) return (double)(int64_t)((uint64_t)x << by);
    return (double)(x < 0 ? ~(~x >> by) : x >> by);
}

static double two_inputs(function f, double a, double b, const fvlm_net_node *n)
{
    int32_t type = n->inputs[0]->type;
    bool whole = fvlm_net_is_integer(type);
    switch (f) {
    case ADD:
        return a + b;
    case AND:
        return a != 0 && b != 0;
    case BIT_AND:
        return (double)(fvlm_net_to_int(a) & fvlm_net_to_int(b));
    case BIT_OR:
        return (double)(fvlm_net_to_int(a) | fvlm_net_to_int(b));
    case BIT_XOR:
        return (double)(fvlm_net_to_int(a) ^ fvlm_net_to_int(b));
    case BIT_SHIFT:
        return shift(a, b, n->alpha != 0, fvlm_onnx_type_bits(type));
    case DIV:
        return whole ? trunc(a / b) : a / b;
    case EQUAL:
        return a == b;
    case GREATER:
        return a > b;
    case GREATER_EQUAL:
        return a >= b;
    case LESS:
        return a < b;
    case LESS_EQUAL:
        return a <= b;
    case MAX:
        return isnan(a) || a > b ? a : b;
    case MIN:
        return isnan(a) || a < b ? a : b;
    case MOD:
        return mod(a, b, n->alpha);
    case MUL:
        return a * b;
    case OR:
        return a != 0 || b != 0;
    case POW:
        return pow(a, b);
    case PRELU:
        return a < 0 ? a * b : a;
    case SUB:
        return a - b;
    default:
        return (a != 0) != (b != 0); /* XOR */
    }
}

static double clip(const fvlm_net_operand *in, double x, double low, double high)
{
    if (in[1].value && x < low) x = low;
    return in[2].value && x > high ? high : x;
}

/* Sums and products of 64-bit integers are exact, or refused. */
static fvlm_status check(function f, const fvlm_net_node *n, double a, double b, double y, fvlm_err *err)
{
    int32_t type = n->outputs[0]->type;
    if (f == CAST) {
        if (fvlm_net_is_integer(type) && !(fabs(a) < 0x1p64))
            return fvlm_fail(err, FVLM_UNSUPPORTED, "%g cannot be cast to %s", a, fvlm_onnx_type_name(type));
        return FVLM_OK;
    }
    if (!fvlm_net_is_integer(type)) return FVLM_OK;
    if ((f == DIV || f == MOD) && b == 0) return fvlm_fail(err, FVLM_BAD_INPUT, "division of integers by zero");
    bool computes = f == ADD || f == SUB || f == MUL || f == POW || f == BIT_SHIFT;
    if (computes && !(fabs(y) <= 0x1p53))
        return fvlm_fail(err, FVLM_UNSUPPORTED, "its integer result %g is too large to be exact", y);
    return FVLM_OK;
}

/* By how many elements an input advances with each output dimension; 0 where it is broadcast. */
static void strides_of(uint64_t *stride, const fvlm_net_value *in, const fvlm_net_value *out)
{
    uint64_t step = 1;
    for (unsigned d = out->rank, i = in ? in->rank : 0; d-- > 0;) {
        stride[d] = 0;
        if (i == 0) continue;
        i--;
        if (in->dims[i] != 1) stride[d] = step;
        step *= in->dims[i];
    }
}

fvlm_status fvlm_net_compute_elementwise(const fvlm_net_node *n, const fvlm_net_operand *in, double *out, fvlm_err *err)
{
    const function_row *row = find(n->op);
    function f = row->f;
    unsigned n_in = row->n_inputs;
    const fvlm_net_value *v = n->outputs[0];
    uint64_t stride[3][FVLM_GRAPH_MAX_RANK], index[FVLM_GRAPH_MAX_RANK] = {0}, at[3] = {0};
    for (unsigned k = 0; k < n_in; k++) strides_of(stride[k], in[k].value, v);
    for (uint64_t i = 0; i < v->n_elems; i++) {
        double x[3] = {0};
        for (unsigned k = 0; k < n_in; k++)
            if (in[k].value) x[k] = fvlm_net_operand_at(&in[k], at[k]);
        out[i] = f == LIBM    ? row->libm(x[0])
                 : n_in == 1  ? one_input(f, x[0], n)
                 : n_in == 2  ? two_inputs(f, x[0], x[1], n)
                 : f == WHERE ? (x[0] != 0 ? x[1] : x[2])
                              : clip(in, x[0], x[1], x[2]);
        fvlm_status st = check(f, n, x[0], x[1], out[i], err);
        if (st) return st;
        for (unsigned d = v->rank; d-- > 0;) {
            for (unsigned k = 0; k < n_in; k++) at[k] += stride[k][d];
            if (++index[d] < v->dims[d]) break;
            for (unsigned k = 0; k < n_in; k++) at[k] -= stride[k][d] * v->dims[d];
            index[d] = 0;
        }
    }
    return FVLM_OK;
}
