/* SPDX-License-Identifier: Apache-2.0 */
/* op_binary.c - arithmetic on two broadcast operands, and Min, Max, Sum, Mean on any number of them. */
#include "verify/judge/arithmetic.h"
#include "verify/judge/broadcast.h"

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
    fvlm_arithmetic kind;
    int32_t lane;
} binary;

/* n elements of an operand as lanes: in its own memory if they lie there so. */
static const void *operand(const binary *p, unsigned k, uint64_t from, size_t n, lane *buffer)
{
    const fvlm_judge_value *v = p->in[k];
    const size_t elem_bytes = fvlm_judge_elem_bytes(v);
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
    const size_t elem_bytes = fvlm_judge_elem_bytes(p->out);
    void *out = (uint8_t *)p->out->data + to * elem_bytes;
    const bool direct = fvlm_judge_form_of(p->out->type) == fvlm_judge_form_of(p->lane);
    void *o = direct ? out : (void *)&z;
    fvlm_arithmetic_run(p->kind, p->lane, n, a, b, o);
    if (!direct) fvlm_judge_convert(out, p->out->type, o, p->lane, n);
}

static fvlm_status compute(fvlm_judge_call *c, fvlm_arithmetic k, const fvlm_judge_value *x, const fvlm_judge_value *y,
                           fvlm_judge_value *out)
{
    fvlm_broadcast b;
    const fvlm_judge_value *operands[] = {x, y};
    fvlm_status st = fvlm_broadcast_plan(&b, c, operands, 2);
    if (!st) st = fvlm_judge_make_temp(c, out, x->type, b.rank, b.dims);
    if (st) return st;
    binary p = {&b, {x, y}, out, k, lane_type(x->type)};
    if (k == FVLM_ARITHMETIC_POW && fvlm_judge_is_integer(x->type) && !fvlm_judge_is_integer(y->type))
        p.lane = FVLM_ONNX_F64;
    fvlm_broadcast_each(&b, c, run_binary, &p);
    return FVLM_OK;
}

static fvlm_status check_types(const fvlm_judge_call *c, fvlm_arithmetic k)
{
    const int32_t type = c->in[0]->type;
    for (size_t i = 1; i < c->n_in && k != FVLM_ARITHMETIC_POW; i++) {
        if (!c->in[i] && k != FVLM_ARITHMETIC_CLIP) return fvlm_judge_refuse(c, "input %zu is missing", i);
        if (c->in[i] && c->in[i]->type != type)
            return fvlm_judge_refuse(c, "input %zu is %s, input 0 is %s", i, fvlm_onnx_type_name(c->in[i]->type),
                                     fvlm_onnx_type_name(type));
    }
    const bool integer = fvlm_judge_is_integer(type), real = !integer && type != FVLM_ONNX_BOOL;
    const bool bits = k == FVLM_ARITHMETIC_AND || k == FVLM_ARITHMETIC_OR || k == FVLM_ARITHMETIC_XOR;
    if (type == FVLM_ONNX_BOOL || type == FVLM_ONNX_I4 || type == FVLM_ONNX_U4 || (bits && !integer) ||
        (k == FVLM_ARITHMETIC_MOD && real && c->opset < 28))
        return fvlm_judge_refuse_type(c, 0);
    if (k == FVLM_ARITHMETIC_POW && (c->in[1]->type == FVLM_ONNX_BOOL)) return fvlm_judge_refuse_type(c, 1);
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
    fvlm_arithmetic k = (fvlm_arithmetic)c->row->kind;
    if (k == FVLM_ARITHMETIC_MOD) {
        bool fmod_wanted;
        fvlm_status st = fvlm_judge_attr_flag(c, "fmod", false, &fmod_wanted);
        if (st) return st;
        if (fmod_wanted) k = FVLM_ARITHMETIC_FMOD;
    }
    fvlm_status st = check_types(c, k);
    if (!st && (k == FVLM_ARITHMETIC_DIV || k == FVLM_ARITHMETIC_MOD || k == FVLM_ARITHMETIC_FMOD) &&
        fvlm_judge_is_integer(c->in[0]->type))
        st = refuse_zero_divisor(c);
    if (!st && k == FVLM_ARITHMETIC_PRELU && c->in[1]->rank > c->in[0]->rank)
        st = fvlm_judge_refuse(c, "the slope has more dimensions");
    if (!st) st = compute(c, k, c->in[0], c->in[1], &c->out[0]);
    if (!st && k == FVLM_ARITHMETIC_PRELU && !fvlm_judge_same_shape(&c->out[0], c->in[0]))
        st = fvlm_judge_refuse(c, "the slope does not broadcast to the input");
    return st;
}

typedef struct {
    fvlm_judge_value *v;
    double divisor;
} mean;

static void divide_range(void *ctx, uint64_t first, uint64_t end)
{
    const mean *m = ctx;
    for (uint64_t i = first; i < end; i++) fvlm_judge_put_f64(m->v, i, fvlm_judge_get_f64(m->v, i) / m->divisor);
}

static fvlm_status run_many(fvlm_judge_call *c)
{
    const fvlm_arithmetic k = (fvlm_arithmetic)c->row->kind;
    fvlm_status st = check_types(c, k);
    if (!st && k == FVLM_ARITHMETIC_MEAN && fvlm_judge_is_integer(c->in[0]->type)) st = fvlm_judge_refuse_type(c, 0);
    if (st) return st;
    fvlm_judge_value_share(&c->out[0], c->in[0]);
    for (size_t i = 1; i < c->n_in && !st; i++) {
        fvlm_judge_value sum = {0};
        st = compute(c, k == FVLM_ARITHMETIC_MEAN ? FVLM_ARITHMETIC_ADD : k, &c->out[0], c->in[i], &sum);
        fvlm_judge_value_free(&c->out[0]);
        c->out[0] = sum;
    }
    if (!st && k == FVLM_ARITHMETIC_MEAN && c->n_in > 1)
        fvlm_judge_ranges(c, c->out[0].n, 1 << 16, divide_range, &(mean){&c->out[0], (double)c->n_in});
    return st;
}

/* min and max are inputs since opset 11, attributes before. As onnxruntime, max wins if they cross. */
static fvlm_status run_clip(fvlm_judge_call *c)
{
    static const fvlm_arithmetic kinds[] = {FVLM_ARITHMETIC_MAX, FVLM_ARITHMETIC_MIN};
    static const char *const names[] = {"min", "max"};
    fvlm_status st = check_types(c, FVLM_ARITHMETIC_CLIP);
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
    {"", "Add", 7, 2, 2, 1, 0, FVLM_ARITHMETIC_ADD, run, NULL},
    {"", "Sub", 7, 2, 2, 1, 0, FVLM_ARITHMETIC_SUB, run, NULL},
    {"", "Mul", 7, 2, 2, 1, 0, FVLM_ARITHMETIC_MUL, run, NULL},
    {"", "Div", 7, 2, 2, 1, 0, FVLM_ARITHMETIC_DIV, run, NULL},
    {"", "Pow", 7, 2, 2, 1, 0, FVLM_ARITHMETIC_POW, run, NULL},
    {"", "PRelu", 7, 2, 2, 1, 0, FVLM_ARITHMETIC_PRELU, run, NULL},
    {"", "BitwiseAnd", 18, 2, 2, 1, 0, FVLM_ARITHMETIC_AND, run, NULL},
    {"", "BitwiseOr", 18, 2, 2, 1, 0, FVLM_ARITHMETIC_OR, run, NULL},
    {"", "BitwiseXor", 18, 2, 2, 1, 0, FVLM_ARITHMETIC_XOR, run, NULL},
    {"", "Mod", 10, 2, 2, 1, 0, FVLM_ARITHMETIC_MOD, run, "fmod"},
    {"", "Min", 8, 1, FVLM_JUDGE_MANY, 1, 0, FVLM_ARITHMETIC_MIN, run_many, NULL},
    {"", "Max", 8, 1, FVLM_JUDGE_MANY, 1, 0, FVLM_ARITHMETIC_MAX, run_many, NULL},
    {"", "Sum", 8, 1, FVLM_JUDGE_MANY, 1, 0, FVLM_ARITHMETIC_ADD, run_many, NULL},
    {"", "Mean", 8, 1, FVLM_JUDGE_MANY, 1, 0, FVLM_ARITHMETIC_MEAN, run_many, NULL},
    {"", "Clip", 6, 1, 3, 1, 0, 0, run_clip, "min max"},
    {0},
};
