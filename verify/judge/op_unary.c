/* SPDX-License-Identifier: Apache-2.0 */
/* op_unary.c - functions of one element, with constants where they have any. Reals are computed in f64 and rounded
 * once. Formulas: ONNX operators; com.microsoft Gelu, FastGelu, BiasGelu, QuickGelu: onnxruntime's ContribOperators.md.
 */
#include <math.h>

#include "verify/judge/call.h"

typedef enum {
    ABS,
    NEG,
    SIGN,
    RELU, /* also of integers */
    SQRT,
    EXP,
    LOG,
    ERF,
    TANH,
    SIGMOID,
    HARD_SIGMOID,
    LEAKY_RELU,
    FLOOR,
    CEIL,
    ROUND,
    RECIPROCAL,
    SIN,
    COS,
    TAN,
    ASIN,
    ACOS,
    ATAN,
    SINH,
    COSH,
    ASINH,
    ACOSH,
    ATANH,
    GELU,
    GELU_TANH,
    SWISH,
    HARD_SWISH,
    MISH,
    ELU,
    SELU,
    CELU,
    SOFTPLUS,
    SOFTSIGN,
    THRESHOLDED_RELU,
    GELU_CHOSEN
} kind;

static double softplus(double x)
{
    return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));
}

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

static double gelu_tanh(double x)
{
    return 0.5 * x * (1 + tanh(0.7978845608028654 * (x + 0.044715 * x * x * x))); /* sqrt(2 / pi) */
}

static double clip01(double x)
{
    return x < 0 ? 0 : x > 1 ? 1 : x;
}

#define EACH(k, expr)                                                                                                  \
    case k:                                                                                                            \
        for (size_t i = 0; i < n; i++) {                                                                               \
            const double v = x[i];                                                                                     \
            y[i] = (expr);                                                                                             \
        }                                                                                                              \
        break

/* p: alpha, beta. */
static void run_f64(kind k, size_t n, const double *x, double *y, const double *p)
{
    const double a = p[0], b = p[1];
    switch (k) {
        EACH(ABS, fabs(v));
        EACH(NEG, -v);
        EACH(SIGN, v > 0 ? 1 : v < 0 ? -1 : v);
        EACH(RELU, v < 0 ? 0 : v);
        EACH(SQRT, sqrt(v));
        EACH(EXP, exp(v));
        EACH(LOG, log(v));
        EACH(ERF, erf(v));
        EACH(TANH, tanh(v));
        EACH(SIGMOID, sigmoid(v));
        EACH(HARD_SIGMOID, clip01(a * v + b));
        EACH(LEAKY_RELU, v < 0 ? a * v : v);
        EACH(FLOOR, floor(v));
        EACH(CEIL, ceil(v));
        EACH(ROUND, rint(v)); /* ties to even */
        EACH(RECIPROCAL, 1 / v);
        EACH(SIN, sin(v));
        EACH(COS, cos(v));
        EACH(TAN, tan(v));
        EACH(ASIN, asin(v));
        EACH(ACOS, acos(v));
        EACH(ATAN, atan(v));
        EACH(SINH, sinh(v));
        EACH(COSH, cosh(v));
        EACH(ASINH, asinh(v));
        EACH(ACOSH, acosh(v));
        EACH(ATANH, atanh(v));
        EACH(GELU, 0.5 * v * (1 + erf(v * 0.7071067811865476)));
        EACH(GELU_TANH, gelu_tanh(v));
        EACH(SWISH, v * sigmoid(a * v));
        EACH(HARD_SWISH, v * clip01(v / 6 + 0.5));
        EACH(MISH, v * tanh(softplus(v)));
        EACH(ELU, v < 0 ? a * expm1(v) : v);
        EACH(SELU, v > 0 ? b * v : b * a * expm1(v));
        EACH(CELU, v < 0 ? a * expm1(v / a) : v);
        EACH(SOFTPLUS, softplus(v));
        EACH(SOFTSIGN, v / (1 + fabs(v)));
        EACH(THRESHOLDED_RELU, v > a ? v : 0);
    case GELU_CHOSEN:
        break;
    }
}

static int64_t run_i64(kind k, int64_t x)
{
    switch (k) {
    case ABS:
        return x < 0 ? (int64_t)(0 - (uint64_t)x) : x;
    case NEG:
        return (int64_t)(0 - (uint64_t)x);
    case SIGN:
        return (x > 0) - (x < 0);
    default:
        return x < 0 ? 0 : x; /* RELU */
    }
}

typedef struct {
    kind kind;
    const fvlm_judge_value *in, *bias; /* bias: added first, [last dimension]; or NULL */
    fvlm_judge_value *out;
    double p[2];
} unary;

static void run_range(void *ctx, uint64_t first, uint64_t end)
{
    const unary *u = ctx;
    enum { STEP = 512 };
    double x[STEP], y[STEP];
    const size_t bytes = fvlm_judge_elem_bytes(u->in);
    for (uint64_t at = first; at < end; at += STEP) {
        const size_t n = end - at < STEP ? (size_t)(end - at) : STEP;
        const uint8_t *in = (const uint8_t *)u->in->data + at * bytes;
        uint8_t *out = (uint8_t *)u->out->data + at * bytes;
        if (fvlm_judge_is_integer(u->in->type) && fvlm_judge_form_of(u->in->type) != FVLM_FORM_U64) {
            for (size_t i = 0; i < n; i++)
                fvlm_judge_put_i64(u->out, at + i, run_i64(u->kind, fvlm_judge_get_i64(u->in, at + i)));
            continue;
        }
        fvlm_judge_convert(x, FVLM_ONNX_F64, in, u->in->type, n);
        for (size_t i = 0; i < n && u->bias; i++) {
            const double sum = x[i] + (double)((const float *)u->bias->data)[(at + i) % u->bias->n];
            x[i] = u->in->type == FVLM_ONNX_F64 ? sum : (double)(float)sum; /* as if Add had been a node of its own */
        }
        run_f64(u->kind, n, x, y, u->p);
        fvlm_judge_convert(out, u->out->type, y, FVLM_ONNX_F64, n);
    }
}

/* Unsigned integers are their own absolute value; uint64_t would not survive f64. */
static fvlm_status check_type(const fvlm_judge_call *c, kind k)
{
    const int32_t type = c->in[0]->type;
    if (fvlm_judge_is_float(type) || type == FVLM_ONNX_F64) return FVLM_OK;
    const bool narrow = type == FVLM_ONNX_I4 || type == FVLM_ONNX_U4 || type == FVLM_ONNX_BOOL;
    if (k > RELU || narrow || type == FVLM_ONNX_U64) return fvlm_judge_refuse_type(c, 0);
    return FVLM_OK;
}

static fvlm_status apply(fvlm_judge_call *c, kind k, const fvlm_judge_value *bias, float alpha, float beta)
{
    unary u = {k, c->in[0], bias, &c->out[0], {(double)alpha, (double)beta}};
    fvlm_status st = check_type(c, k);
    if (!st) st = fvlm_judge_make_like(c, 0, c->in[0]->type, c->in[0]);
    if (!st) fvlm_judge_ranges(c, c->in[0]->n, 1 << 14, run_range, &u);
    return st;
}

static fvlm_status run(fvlm_judge_call *c)
{
    return apply(c, (kind)c->row->kind, NULL, 1, 0);
}

/* alpha and beta (gamma) by their defaults. */
static fvlm_status run_with_constants(fvlm_judge_call *c)
{
    const kind k = (kind)c->row->kind;
    float alpha = 1, beta = 0;
    if (k == HARD_SIGMOID) alpha = 0.2F, beta = 0.5F;
    if (k == LEAKY_RELU) alpha = 0.01F;
    if (k == SELU) alpha = 1.67326319217681884765625F, beta = 1.05070102214813232421875F;
    if (k == SWISH && c->row->domain[0]) alpha = 1.702F; /* QuickGelu */
    fvlm_status st = fvlm_judge_attr_float(c, "alpha", alpha, &alpha);
    if (!st) st = fvlm_judge_attr_float(c, k == SELU ? "gamma" : "beta", beta, &beta);
    if (!st && k == CELU && alpha == 0) st = fvlm_judge_refuse(c, "alpha is 0");
    return st ? st : apply(c, k, NULL, alpha, beta);
}

/* Gelu of ai.onnx, by "approximate"; BiasGelu and FastGelu add a bias first. */
static fvlm_status run_gelu(fvlm_judge_call *c)
{
    kind k = (kind)c->row->kind;
    const fvlm_judge_value *bias = fvlm_judge_in(c, 1);
    if (k == GELU_CHOSEN) {
        const char *how;
        fvlm_status st = fvlm_judge_attr_string(c, "approximate", &how);
        if (st) return st;
        if (how && strcmp(how, "none") && strcmp(how, "tanh"))
            return fvlm_judge_unsupported(c, "approximate \"%.40s\" is not known", how);
        k = how && !strcmp(how, "tanh") ? GELU_TANH : GELU;
    }
    if (bias) {
        fvlm_status st = fvlm_judge_want_float(c, 1);
        if (!st && !c->in[0]->rank) st = fvlm_judge_refuse(c, "a bias for a single number");
        if (!st) st = fvlm_judge_want_float(c, 0);
        if (!st) st = fvlm_judge_want_shape(c, 1, 1, &c->in[0]->dims[c->in[0]->rank - 1]);
        if (st) return st;
    }
    return apply(c, k, bias, 1, 0);
}

const fvlm_judge_row fvlm_judge_rows_unary[] = {
    {"", "Abs", 6, 1, 1, 1, 0, ABS, run, NULL},
    {"", "Neg", 6, 1, 1, 1, 0, NEG, run, NULL},
    {"", "Sign", 9, 1, 1, 1, 0, SIGN, run, NULL},
    {"", "Relu", 6, 1, 1, 1, 0, RELU, run, NULL},
    {"", "Sqrt", 6, 1, 1, 1, 0, SQRT, run, NULL},
    {"", "Exp", 6, 1, 1, 1, 0, EXP, run, NULL},
    {"", "Log", 6, 1, 1, 1, 0, LOG, run, NULL},
    {"", "Erf", 9, 1, 1, 1, 0, ERF, run, NULL},
    {"", "Tanh", 6, 1, 1, 1, 0, TANH, run, NULL},
    {"", "Sigmoid", 6, 1, 1, 1, 0, SIGMOID, run, NULL},
    {"", "Floor", 6, 1, 1, 1, 0, FLOOR, run, NULL},
    {"", "Ceil", 6, 1, 1, 1, 0, CEIL, run, NULL},
    {"", "Round", 11, 1, 1, 1, 0, ROUND, run, NULL},
    {"", "Reciprocal", 6, 1, 1, 1, 0, RECIPROCAL, run, NULL},
    {"", "Sin", 7, 1, 1, 1, 0, SIN, run, NULL},
    {"", "Cos", 7, 1, 1, 1, 0, COS, run, NULL},
    {"", "Tan", 7, 1, 1, 1, 0, TAN, run, NULL},
    {"", "Asin", 7, 1, 1, 1, 0, ASIN, run, NULL},
    {"", "Acos", 7, 1, 1, 1, 0, ACOS, run, NULL},
    {"", "Atan", 7, 1, 1, 1, 0, ATAN, run, NULL},
    {"", "Sinh", 9, 1, 1, 1, 0, SINH, run, NULL},
    {"", "Cosh", 9, 1, 1, 1, 0, COSH, run, NULL},
    {"", "Asinh", 9, 1, 1, 1, 0, ASINH, run, NULL},
    {"", "Acosh", 9, 1, 1, 1, 0, ACOSH, run, NULL},
    {"", "Atanh", 9, 1, 1, 1, 0, ATANH, run, NULL},
    {"", "HardSwish", 14, 1, 1, 1, 0, HARD_SWISH, run, NULL},
    {"", "Mish", 18, 1, 1, 1, 0, MISH, run, NULL},
    {"", "Softplus", 1, 1, 1, 1, 0, SOFTPLUS, run, NULL},
    {"", "Softsign", 1, 1, 1, 1, 0, SOFTSIGN, run, NULL},
    {"", "HardSigmoid", 6, 1, 1, 1, 0, HARD_SIGMOID, run_with_constants, "alpha beta"},
    {"", "LeakyRelu", 6, 1, 1, 1, 0, LEAKY_RELU, run_with_constants, "alpha"},
    {"", "Elu", 6, 1, 1, 1, 0, ELU, run_with_constants, "alpha"},
    {"", "Selu", 6, 1, 1, 1, 0, SELU, run_with_constants, "alpha gamma"},
    {"", "Celu", 12, 1, 1, 1, 0, CELU, run_with_constants, "alpha"},
    {"", "ThresholdedRelu", 10, 1, 1, 1, 0, THRESHOLDED_RELU, run_with_constants, "alpha"},
    {"", "Swish", 24, 1, 1, 1, 0, SWISH, run_with_constants, "alpha"},
    {"", "Gelu", 20, 1, 1, 1, 0, GELU_CHOSEN, run_gelu, "approximate"},
    {MICROSOFT, "Gelu", 0, 1, 1, 1, 0, GELU, run_gelu, NULL},
    {MICROSOFT, "BiasGelu", 0, 2, 2, 1, 0, GELU, run_gelu, NULL},
    {MICROSOFT, "FastGelu", 0, 1, 2, 1, 0, GELU_TANH, run_gelu, NULL},
    {MICROSOFT, "QuickGelu", 0, 1, 1, 1, 0, SWISH, run_with_constants, "alpha"},
    {0},
};
