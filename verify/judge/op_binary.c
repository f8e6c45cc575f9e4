/* SPDX-License-Identifier: Apache-2.0 */
/* op_binary.c - arithmetic on two broadcast operands, and Min, Max, Sum, Mean on any number of them. */
#include <math.h>

#include "verify/judge/broadcast.h"

typedef enum { ADD, SUB, MUL, DIV, POW, MIN, MAX, MOD, FMOD, PRELU, AND, OR, XOR, MEAN, CLIP } kind;

/* Types are computed as one of these: integers of 32 bits and less as int64_t, cut off afterwards. */
typedef union {
    float f32[FVLM_BROADCAST_RUN];
    double f64[FVLM_BROADCAST_RUN];
    int64_t i64[FVLM_BROADCAST_RUN];
    uint64_t u64[FVLM_BROADCAST_RUN];
} lane;

static int32_t lane_type(int32_t type)
{
    switch (fvlm_judge_form_of(type)) {
    case FVLM_FORM_F32:
        return FVLM_ONNX_F32;
    case FVLM_FORM_F64:
        return FVLM_ONNX_F64;
    case FVLM_FORM_U64:
        return FVLM_ONNX_U64;
    default:
        return FVLM_ONNX_I64;
    }
}

typedef struct {
    const fvlm_broadcast *b;
    const fvlm_judge_value *in[2];
    fvlm_judge_value *out;
    kind kind;
    int32_t lane;
} binary;

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

static void run_f32(kind k, size_t n, const void *a, const void *b, void *o)
{
    switch (k) {
        EACH(ADD, float, x[i] + y[i]);
        EACH(SUB, float, x[i] - y[i]);
        EACH(MUL, float, x[i] * y[i]);
        EACH(DIV, float, x[i] / y[i]);
        EACH(POW, float, (float)pow((double)x[i], (double)y[i]));
        EACH(MIN, float, NAN_FIRST(x[i] < y[i]));
        EACH(MAX, float, NAN_FIRST(x[i] > y[i]));
        EACH(MOD, float, (float)real_mod((double)x[i], (double)y[i]));
        EACH(FMOD, float, fmodf(x[i], y[i]));
        EACH(PRELU, float, x[i] < 0 ? x[i] * y[i] : x[i]);
    default:
        break;
    }
}

static void run_f64(kind k, size_t n, const void *a, const void *b, void *o)
{
    switch (k) {
        EACH(ADD, double, x[i] + y[i]);
        EACH(SUB, double, x[i] - y[i]);
        EACH(MUL, double, x[i] * y[i]);
        EACH(DIV, double, x[i] / y[i]);
        EACH(POW, double, pow(x[i], y[i]));
        EACH(MIN, double, NAN_FIRST(x[i] < y[i]));
        EACH(MAX, double, NAN_FIRST(x[i] > y[i]));
        EACH(MOD, double, real_mod(x[i], y[i]));
        EACH(FMOD, double, fmod(x[i], y[i]));
        EACH(PRELU, double, x[i] < 0 ? x[i] * y[i] : x[i]);
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

static void run_i64(kind k, size_t n, const void *a, const void *b, void *o)
{
    switch (k) { /* unsigned arithmetic wraps */
        EACH(ADD, uint64_t, x[i] + y[i]);
        EACH(SUB, uint64_t, x[i] - y[i]);
        EACH(MUL, uint64_t, x[i] * y[i]);
        EACH(DIV, int64_t, divide(x[i], y[i]));
        EACH(POW, int64_t, (int64_t)power((uint64_t)x[i], y[i], true));
        EACH(MIN, int64_t, x[i] < y[i] ? x[i] : y[i]);
        EACH(MAX, int64_t, x[i] > y[i] ? x[i] : y[i]);
        EACH(MOD, int64_t, remainder_of(x[i], y[i], true));
        EACH(FMOD, int64_t, remainder_of(x[i], y[i], false));
        EACH(PRELU, int64_t, x[i] < 0 ? (int64_t)((uint64_t)x[i] * (uint64_t)y[i]) : x[i]);
        EACH(AND, uint64_t, x[i] & y[i]);
        EACH(OR, uint64_t, x[i] | y[i]);
        EACH(XOR, uint64_t, x[i] ^ y[i]);
    default:
        break;
    }
}

static void run_u64(kind k, size_t n, const void *a, const void *b, void *o)
{
    switch (k) {
        EACH(DIV, uint64_t, y[i] ? x[i] / y[i] : 0);
        EACH(POW, uint64_t, power(x[i], (int64_t)y[i], false));
        EACH(MIN, uint64_t, x[i] < y[i] ? x[i] : y[i]);
        EACH(MAX, uint64_t, x[i] > y[i] ? x[i] : y[i]);
    case MOD:
        EACH(FMOD, uint64_t, y[i] ? x[i] % y[i] : 0);
    default:
        run_i64(k, n, a, b, o);
    }
}

/* n elements of an operand as lanes: in its own memory if they lie there so. */
static const void *operand(const binary *p, unsigned k, uint64_t from, size_t n, lane *buffer)
{
    const fvlm_judge_value *v = p->in[k];
    const size_t elem_bytes = fvlm_judge_form_bytes(fvlm_judge_form_of(v->type));
    const size_t lane_bytes = fvlm_judge_form_bytes(fvlm_judge_form_of(p->lane));
    const uint8_t *at = (const uint8_t *)v->data + from * elem_bytes;
    const bool scalar = fvlm_broadcast_is_scalar(p->b, k);
    if (!scalar && lane_type(v->type) == p->lane && elem_bytes == lane_bytes) return at;
    fvlm_judge_convert(buffer, p->lane, at, v->type, scalar ? 1 : n);
    for (size_t i = 1; i < n && scalar; i++) memcpy((uint8_t *)buffer + i * lane_bytes, buffer, lane_bytes);
    return buffer;
}

static void run_binary(void *ctx, uint64_t to, const uint64_t *from, size_t n)
{
    binary *p = ctx;
    lane x, y, z;
    const void *a = operand(p, 0, from[0], n, &x), *b = operand(p, 1, from[1], n, &y);
    const size_t elem_bytes = fvlm_judge_form_bytes(fvlm_judge_form_of(p->out->type));
    void *out = (uint8_t *)p->out->data + to * elem_bytes;
    const bool direct = fvlm_judge_form_of(p->out->type) == fvlm_judge_form_of(p->lane);
    void *o = direct ? out : (void *)&z;
    switch (p->lane) {
    case FVLM_ONNX_F32:
        run_f32(p->kind, n, a, b, o);
        break;
    case FVLM_ONNX_F64:
        run_f64(p->kind, n, a, b, o);
        break;
    case FVLM_ONNX_U64:
        run_u64(p->kind, n, a, b, o);
        break;
    default:
        run_i64(p->kind, n, a, b, o);
    }
    if (!direct) fvlm_judge_convert(out, p->out->type, o, p->lane, n);
}

static fvlm_status compute(fvlm_judge_call *c, kind k, const fvlm_judge_value *x, const fvlm_judge_value *y,
                           fvlm_judge_value *out)
{
    fvlm_broadcast b;
    const fvlm_judge_value *operands[] = {x, y};
    fvlm_status st = fvlm_broadcast_plan(&b, c, operands, 2);
    if (!st) st = fvlm_judge_make_temp(c, out, x->type, b.rank, b.dims);
    if (st) return st;
    binary p = {&b, {x, y}, out, k, lane_type(x->type)};
    if (k == POW && fvlm_judge_is_integer(x->type) && !fvlm_judge_is_integer(y->type)) p.lane = FVLM_ONNX_F64;
    fvlm_broadcast_each(&b, c, run_binary, &p);
    return FVLM_OK;
}

static fvlm_status check_types(const fvlm_judge_call *c, kind k)
{
    const int32_t type = c->in[0]->type;
    for (size_t i = 1; i < c->n_in && k != POW; i++) {
        if (!c->in[i] && k != CLIP) return fvlm_judge_refuse(c, "input %zu is missing", i);
        if (c->in[i] && c->in[i]->type != type)
            return fvlm_judge_refuse(c, "input %zu is %s, input 0 is %s", i, fvlm_onnx_type_name(c->in[i]->type),
                                     fvlm_onnx_type_name(type));
    }
    const bool integer = fvlm_judge_is_integer(type), real = !integer && type != FVLM_ONNX_BOOL;
    const bool bits = k == AND || k == OR || k == XOR;
    if (type == FVLM_ONNX_BOOL || type == FVLM_ONNX_I4 || type == FVLM_ONNX_U4 || (bits && !integer) ||
        (k == MOD && real && c->opset < 28))
        return fvlm_judge_refuse_type(c, 0);
    if (k == POW && (c->in[1]->type == FVLM_ONNX_BOOL)) return fvlm_judge_refuse_type(c, 1);
    return FVLM_OK;
}

static fvlm_status refuse_zero_divisor(const fvlm_judge_call *c)
{
    const fvlm_judge_value *y = c->in[1];
    for (uint64_t i = 0; i < y->n; i++)
        if (fvlm_judge_get_i64(y, i) == 0) return fvlm_judge_refuse(c, "an integer is divided by 0");
    return FVLM_OK;
}

static fvlm_status run(fvlm_judge_call *c)
{
    kind k = (kind)c->row->kind;
    if (k == MOD) {
        bool fmod_wanted;
        fvlm_status st = fvlm_judge_attr_flag(c, "fmod", false, &fmod_wanted);
        if (st) return st;
        if (fmod_wanted) k = FMOD;
    }
    fvlm_status st = check_types(c, k);
    if (!st && (k == DIV || k == MOD || k == FMOD) && fvlm_judge_is_integer(c->in[0]->type))
        st = refuse_zero_divisor(c);
    if (!st && k == PRELU && c->in[1]->rank > c->in[0]->rank)
        st = fvlm_judge_refuse(c, "the slope has more dimensions");
    if (!st) st = compute(c, k, c->in[0], c->in[1], &c->out[0]);
    if (!st && k == PRELU && !fvlm_judge_same_shape(&c->out[0], c->in[0]))
        st = fvlm_judge_refuse(c, "the slope does not broadcast to the input");
    return st;
}

static void divide_all(void *ctx, uint64_t first, uint64_t end)
{
    fvlm_judge_value *v = ((fvlm_judge_value **)ctx)[0];
    const double n = *((const double **)ctx)[1];
    for (uint64_t i = first; i < end; i++)
        if (v->type == FVLM_ONNX_F64)
            ((double *)v->data)[i] /= n;
        else
            ((float *)v->data)[i] = (float)((double)((float *)v->data)[i] / n);
}

static fvlm_status run_many(fvlm_judge_call *c)
{
    const kind k = (kind)c->row->kind;
    fvlm_status st = check_types(c, k);
    if (!st && k == MEAN && fvlm_judge_is_integer(c->in[0]->type)) st = fvlm_judge_refuse_type(c, 0);
    if (st) return st;
    fvlm_judge_value_share(&c->out[0], c->in[0]);
    for (size_t i = 1; i < c->n_in && !st; i++) {
        fvlm_judge_value sum = {0};
        st = compute(c, k == MEAN ? ADD : k, &c->out[0], c->in[i], &sum);
        fvlm_judge_value_free(&c->out[0]);
        c->out[0] = sum;
    }
    if (!st && k == MEAN && c->n_in > 1) {
        const double n = (double)c->n_in;
        const void *ctx[] = {&c->out[0], &n};
        fvlm_judge_ranges(c, c->out[0].n, 1 << 16, divide_all, ctx);
    }
    return st;
}

/* min and max are inputs since opset 11, attributes before. As onnxruntime, max wins if they cross. */
static fvlm_status run_clip(fvlm_judge_call *c)
{
    static const kind kinds[] = {MAX, MIN};
    static const char *const names[] = {"min", "max"};
    fvlm_status st = check_types(c, CLIP);
    if (c->opset < 11 && c->n_in > 1) return fvlm_judge_refuse(c, "more than one input before opset 11");
    if (c->opset >= 11 && c->node->n_attrs)
        return fvlm_judge_refuse(c, "\"min\" and \"max\" are inputs since opset 11");
    if (st) return st;
    fvlm_judge_value_share(&c->out[0], c->in[0]);
    for (size_t i = 0; i < 2 && !st; i++) {
        const fvlm_graph_attr *a = fvlm_graph_attr_find(c->node, names[i]);
        fvlm_judge_value clipped = {0}, bound = {0}, *given = fvlm_judge_in(c, 1 + i);
        float limit;
        if (!given && !a) continue;
        if (given && given->n != 1) return fvlm_judge_refuse(c, "\"%s\" is not one number", names[i]);
        if (!given) {
            st = fvlm_judge_attr_float(c, names[i], 0, &limit);
            if (!st) st = fvlm_judge_make_temp(c, &bound, c->in[0]->type, 0, NULL);
            if (!st) fvlm_judge_convert(bound.data, bound.type, &limit, FVLM_ONNX_F32, 1);
        } else {
            fvlm_judge_value_share(&bound, given);
            bound.rank = 0;
        }
        if (!st) st = compute(c, kinds[i], &c->out[0], &bound, &clipped);
        fvlm_judge_value_free(&bound);
        if (st) return st;
        fvlm_judge_value_free(&c->out[0]);
        c->out[0] = clipped;
    }
    return st;
}

const fvlm_judge_row fvlm_judge_rows_binary[] = {
    {"", "Add", 7, 2, 2, 1, 0, ADD, run, NULL},
    {"", "Sub", 7, 2, 2, 1, 0, SUB, run, NULL},
    {"", "Mul", 7, 2, 2, 1, 0, MUL, run, NULL},
    {"", "Div", 7, 2, 2, 1, 0, DIV, run, NULL},
    {"", "Pow", 7, 2, 2, 1, 0, POW, run, NULL},
    {"", "PRelu", 7, 2, 2, 1, 0, PRELU, run, NULL},
    {"", "BitwiseAnd", 18, 2, 2, 1, 0, AND, run, NULL},
    {"", "BitwiseOr", 18, 2, 2, 1, 0, OR, run, NULL},
    {"", "BitwiseXor", 18, 2, 2, 1, 0, XOR, run, NULL},
    {"", "Mod", 10, 2, 2, 1, 0, MOD, run, "fmod"},
    {"", "Min", 8, 1, FVLM_JUDGE_MANY, 1, 0, MIN, run_many, NULL},
    {"", "Max", 8, 1, FVLM_JUDGE_MANY, 1, 0, MAX, run_many, NULL},
    {"", "Sum", 8, 1, FVLM_JUDGE_MANY, 1, 0, ADD, run_many, NULL},
    {"", "Mean", 8, 1, FVLM_JUDGE_MANY, 1, 0, MEAN, run_many, NULL},
    {"", "Clip", 6, 1, 3, 1, 0, 0, run_clip, "min max"},
    {0},
};
