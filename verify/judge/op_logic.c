/* SPDX-License-Identifier: Apache-2.0 */
/* op_logic.c - comparisons, And, Or, Xor, Not, Where, IsNaN and IsInf. */
#include <math.h>

#include "verify/judge/broadcast.h"

typedef enum { EQUAL, LESS, GREATER, LESS_OR_EQUAL, GREATER_OR_EQUAL, AND, OR, XOR } kind;

typedef struct {
    const fvlm_broadcast *b;
    const fvlm_judge_value *in[FVLM_BROADCAST_MAX];
    fvlm_judge_value *out;
    kind kind;
} logic;

#define COMPARE(type, expr)                                                                                            \
    {                                                                                                                  \
        const type *x = (const type *)a + from[0], *y = (const type *)b + from[1];                                     \
        for (size_t i = 0; i < n; i++, x += dx, y += dy) z[i] = (expr);                                                \
    }                                                                                                                  \
    break

#define COMPARE_AS(type)                                                                                               \
    switch (p->kind) {                                                                                                 \
    case EQUAL:                                                                                                        \
        COMPARE(type, *x == *y);                                                                                       \
    case LESS:                                                                                                         \
        COMPARE(type, *x < *y);                                                                                        \
    case GREATER:                                                                                                      \
        COMPARE(type, *x > *y);                                                                                        \
    case LESS_OR_EQUAL:                                                                                                \
        COMPARE(type, *x <= *y);                                                                                       \
    case GREATER_OR_EQUAL:                                                                                             \
        COMPARE(type, *x >= *y);                                                                                       \
    case AND:                                                                                                          \
        COMPARE(type, *x != 0 && *y != 0);                                                                             \
    case OR:                                                                                                           \
        COMPARE(type, *x != 0 || *y != 0);                                                                             \
    case XOR:                                                                                                          \
        COMPARE(type, (*x != 0) != (*y != 0));                                                                         \
    }                                                                                                                  \
    break

static void compare(void *ctx, uint64_t to, const uint64_t *from, size_t n)
{
    const logic *p = ctx;
    const void *a = p->in[0]->data, *b = p->in[1]->data;
    uint8_t *z = (uint8_t *)p->out->data + to;
    const size_t dx = !fvlm_broadcast_is_scalar(p->b, 0), dy = !fvlm_broadcast_is_scalar(p->b, 1);
    switch (fvlm_judge_form_of(p->in[0]->type)) {
    case FVLM_FORM_F32:
        COMPARE_AS(float);
    case FVLM_FORM_F64:
        COMPARE_AS(double);
    case FVLM_FORM_I8:
        COMPARE_AS(int8_t);
    case FVLM_FORM_U8:
        COMPARE_AS(uint8_t);
    case FVLM_FORM_I16:
        COMPARE_AS(int16_t);
    case FVLM_FORM_U16:
        COMPARE_AS(uint16_t);
    case FVLM_FORM_I32:
        COMPARE_AS(int32_t);
    case FVLM_FORM_U32:
        COMPARE_AS(uint32_t);
    case FVLM_FORM_I64:
        COMPARE_AS(int64_t);
    case FVLM_FORM_U64:
        COMPARE_AS(uint64_t);
    case FVLM_FORM_NONE:
        break;
    }
}

static fvlm_status run_compare(fvlm_judge_call *c)
{
    fvlm_broadcast b;
    const kind k = (kind)c->row->kind;
    const fvlm_judge_value *operands[] = {c->in[0], c->in[1]};
    fvlm_status st = fvlm_judge_want_type(c, 1, c->in[0]->type);
    if (st) return st;
    if (k >= AND && c->in[0]->type != FVLM_ONNX_BOOL) return fvlm_judge_want_type(c, 0, FVLM_ONNX_BOOL);
    if (k >= LESS && k < AND && c->in[0]->type == FVLM_ONNX_BOOL) return fvlm_judge_refuse_type(c, 0);
    st = fvlm_broadcast_plan(&b, c, operands, 2);
    if (!st) st = fvlm_judge_make(c, 0, FVLM_ONNX_BOOL, b.rank, b.dims);
    if (st) return st;
    logic p = {&b, {c->in[0], c->in[1]}, &c->out[0], k};
    fvlm_broadcast_each(&b, c, compare, &p);
    return FVLM_OK;
}

static void pick(void *ctx, uint64_t to, const uint64_t *from, size_t n)
{
    const logic *p = ctx;
    const size_t bytes = fvlm_judge_elem_bytes(p->out);
    const uint8_t *condition = (const uint8_t *)p->in[0]->data + from[0];
    const uint8_t *x[] = {(const uint8_t *)p->in[2]->data + from[2] * bytes,
                          (const uint8_t *)p->in[1]->data + from[1] * bytes};
    const size_t dc = !fvlm_broadcast_is_scalar(p->b, 0), step[] = {fvlm_broadcast_is_scalar(p->b, 2) ? 0 : bytes,
                                                                    fvlm_broadcast_is_scalar(p->b, 1) ? 0 : bytes};
    uint8_t *out = (uint8_t *)p->out->data + to * bytes;
    for (size_t i = 0; i < n; i++) {
        const bool yes = condition[i * dc];
        memcpy(out + i * bytes, x[yes] + i * step[yes], bytes);
    }
}

static fvlm_status run_where(fvlm_judge_call *c)
{
    fvlm_broadcast b;
    const fvlm_judge_value *operands[] = {c->in[0], c->in[1], c->in[2]};
    fvlm_status st = fvlm_judge_want_type(c, 0, FVLM_ONNX_BOOL);
    if (!st) st = fvlm_judge_want_type(c, 2, c->in[1]->type);
    if (!st) st = fvlm_broadcast_plan(&b, c, operands, 3);
    if (!st) st = fvlm_judge_make(c, 0, c->in[1]->type, b.rank, b.dims);
    if (st) return st;
    logic p = {&b, {c->in[0], c->in[1], c->in[2]}, &c->out[0], 0};
    fvlm_broadcast_each(&b, c, pick, &p);
    return FVLM_OK;
}

static fvlm_status run_not(fvlm_judge_call *c)
{
    fvlm_status st = fvlm_judge_want_type(c, 0, FVLM_ONNX_BOOL);
    if (!st) st = fvlm_judge_make_like(c, 0, FVLM_ONNX_BOOL, c->in[0]);
    if (st) return st;
    const uint8_t *x = c->in[0]->data;
    uint8_t *y = c->out[0].data;
    for (uint64_t i = 0; i < c->out[0].n; i++) y[i] = !x[i];
    return FVLM_OK;
}

static fvlm_status run_is_special(fvlm_judge_call *c)
{
    const bool nan_wanted = c->row->kind;
    bool negative = true, positive = true;
    fvlm_status st = FVLM_OK;
    if (!nan_wanted) st = fvlm_judge_attr_flag(c, "detect_negative", true, &negative);
    if (!nan_wanted && !st) st = fvlm_judge_attr_flag(c, "detect_positive", true, &positive);
    if (!st && c->in[0]->type != FVLM_ONNX_F64) st = fvlm_judge_want_float(c, 0);
    if (!st) st = fvlm_judge_make_like(c, 0, FVLM_ONNX_BOOL, c->in[0]);
    if (st) return st;
    uint8_t *y = c->out[0].data;
    for (uint64_t i = 0; i < c->out[0].n; i++) {
        const double x = fvlm_judge_get_f64(c->in[0], i);
        const bool infinite = isinf(x) && (x > 0 ? positive : negative);
        y[i] = nan_wanted ? x != x : infinite;
    }
    return FVLM_OK;
}

const fvlm_judge_row fvlm_judge_rows_logic[] = {
    {"", "Equal", 7, 2, 2, 1, 0, EQUAL, run_compare, NULL},
    {"", "Less", 7, 2, 2, 1, 0, LESS, run_compare, NULL},
    {"", "Greater", 7, 2, 2, 1, 0, GREATER, run_compare, NULL},
    {"", "LessOrEqual", 12, 2, 2, 1, 0, LESS_OR_EQUAL, run_compare, NULL},
    {"", "GreaterOrEqual", 12, 2, 2, 1, 0, GREATER_OR_EQUAL, run_compare, NULL},
    {"", "And", 7, 2, 2, 1, 0, AND, run_compare, NULL},
    {"", "Or", 7, 2, 2, 1, 0, OR, run_compare, NULL},
    {"", "Xor", 7, 2, 2, 1, 0, XOR, run_compare, NULL},
    {"", "Not", 1, 1, 1, 1, 0, 0, run_not, NULL},
    {"", "Where", 9, 3, 3, 1, 0, 0, run_where, NULL},
    {"", "IsNaN", 9, 1, 1, 1, 0, 1, run_is_special, NULL},
    {"", "IsInf", 10, 1, 1, 1, 0, 0, run_is_special, "detect_negative detect_positive"},
    {0},
};
