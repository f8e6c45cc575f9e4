/* SPDX-License-Identifier: Apache-2.0 */
/* net_compute_elementwise.c - functions of one to three numbers, with broadcasting.
 * Definitions: https://onnx.ai/onnx/operators, and onnxruntime's docs/ContribOperators.md. */
#include "convert/graph/net_internal.h"

#include <math.h>
#include <string.h>

/* clang-format off */
typedef enum {
    ABS, ACOS, ADD, AND, ASIN, ATAN, BIT_AND, BIT_NOT, BIT_OR, BIT_SHIFT, BIT_XOR, CAST, CEIL, CLIP, COS, COSH, DIV,
    ELU, EQUAL, ERF, EXP, FAST_GELU, FLOOR, GELU, GREATER, GREATER_EQUAL, HARD_SIGMOID, HARD_SWISH, IS_INF, IS_NAN,
    LEAKY_RELU, LESS, LESS_EQUAL, LOG, MAX, MIN, MOD, MUL, NEG, NOT, OR, POW, PRELU, QUICK_GELU, RECIPROCAL, RELU,
    ROUND, SIGMOID, SIGN, SIN, SINH, SOFTPLUS, SOFTSIGN, SQRT, SUB, TAN, TANH, WHERE, XOR
} function;

/* Sorted by name. */
static const struct {
    const char *op;
    unsigned n_inputs;
    function f;
} functions[] = {
    {"Abs", 1, ABS}, {"Acos", 1, ACOS}, {"Add", 2, ADD}, {"And", 2, AND}, {"Asin", 1, ASIN}, {"Atan", 1, ATAN},
    {"BitShift", 2, BIT_SHIFT}, {"BitwiseAnd", 2, BIT_AND}, {"BitwiseNot", 1, BIT_NOT}, {"BitwiseOr", 2, BIT_OR},
    {"BitwiseXor", 2, BIT_XOR}, {"Cast", 1, CAST}, {"Ceil", 1, CEIL}, {"Clip", 3, CLIP}, {"Cos", 1, COS},
    {"Cosh", 1, COSH}, {"Div", 2, DIV}, {"Elu", 1, ELU}, {"Equal", 2, EQUAL}, {"Erf", 1, ERF}, {"Exp", 1, EXP},
    {"FastGelu", 1, FAST_GELU}, {"Floor", 1, FLOOR}, {"Gelu", 1, GELU}, {"Greater", 2, GREATER},
    {"GreaterOrEqual", 2, GREATER_EQUAL}, {"HardSigmoid", 1, HARD_SIGMOID}, {"HardSwish", 1, HARD_SWISH},
    {"IsInf", 1, IS_INF}, {"IsNaN", 1, IS_NAN}, {"LeakyRelu", 1, LEAKY_RELU}, {"Less", 2, LESS},
    {"LessOrEqual", 2, LESS_EQUAL}, {"Log", 1, LOG}, {"Max", 2, MAX}, {"Min", 2, MIN}, {"Mod", 2, MOD},
    {"Mul", 2, MUL}, {"Neg", 1, NEG}, {"Not", 1, NOT}, {"Or", 2, OR}, {"PRelu", 2, PRELU}, {"Pow", 2, POW},
    {"QuickGelu", 1, QUICK_GELU}, {"Reciprocal", 1, RECIPROCAL}, {"Relu", 1, RELU}, {"Round", 1, ROUND},
    {"Sigmoid", 1, SIGMOID}, {"Sign", 1, SIGN}, {"Sin", 1, SIN}, {"Sinh", 1, SINH}, {"Softplus", 1, SOFTPLUS},
    {"Softsign", 1, SOFTSIGN}, {"Sqrt", 1, SQRT}, {"Sub", 2, SUB}, {"Tan", 1, TAN}, {"Tanh", 1, TANH},
    {"Where", 3, WHERE}, {"Xor", 2, XOR}
};
/* clang-format on */

#define N_FUNCTIONS (sizeof functions / sizeof *functions)

static size_t find(const char *op)
{
    size_t low = 0, high = N_FUNCTIONS;
    while (low < high) {
        size_t mid = (low + high) / 2;
        int order = strcmp(op, functions[mid].op);
        if (order == 0) return mid;
        if (order < 0)
            high = mid;
        else
            low = mid + 1;
    }
    return N_FUNCTIONS;
}

bool fvlm_net_is_elementwise(const char *op, size_t *n_inputs)
{
    size_t i = find(op);
    if (i < N_FUNCTIONS) *n_inputs = functions[i].n_inputs;
    return i < N_FUNCTIONS;
}

static double one_input(function f, double x, const fvlm_net_node *n)
{
    switch (f) {
    case ABS:
        return fabs(x);
    case ACOS:
        return acos(x);
    case ASIN:
        return asin(x);
    case ATAN:
        return atan(x);
    case BIT_NOT:
        return (double)~fvlm_net_to_int(x);
    case CEIL:
        return ceil(x);
    case COS:
        return cos(x);
    case COSH:
        return cosh(x);
    case ELU:
        return x < 0 ? n->alpha * expm1(x) : x;
    case ERF:
        return erf(x);
    case EXP:
        return exp(x);
    case FAST_GELU:
        return 0.5 * x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case FLOOR:
        return floor(x);
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
    case LOG:
        return log(x);
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
    case ROUND:
        return nearbyint(x); /* halves to even */
    case SIGMOID:
        return 1 / (1 + exp(-x));
    case SIGN:
        return (x > 0) - (x < 0);
    case SIN:
        return sin(x);
    case SINH:
        return sinh(x);
    case SOFTPLUS:
        return x > 30 ? x + exp(-x) : log1p(exp(x));
    case SOFTSIGN:
        return x / (1 + fabs(x));
    case SQRT:
        return sqrt(x);
    case TAN:
        return tan(x);
    case TANH:
        return tanh(x);
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

/* By how many elements to go on in an input when output dimension d advances; 0 where it is broadcast. */
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
    size_t row = find(n->op);
    function f = functions[row].f;
    unsigned n_in = functions[row].n_inputs;
    const fvlm_net_value *v = n->outputs[0];
    uint64_t stride[3][FVLM_GRAPH_MAX_RANK], index[FVLM_GRAPH_MAX_RANK] = {0}, at[3] = {0};
    for (unsigned k = 0; k < n_in; k++) strides_of(stride[k], in[k].value, v);
    for (uint64_t i = 0; i < v->n_elems; i++) {
        double x[3] = {0};
        for (unsigned k = 0; k < n_in; k++)
            if (in[k].value) x[k] = fvlm_net_operand_at(&in[k], at[k]);
        out[i] = n_in == 1    ? one_input(f, x[0], n)
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
