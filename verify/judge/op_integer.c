/* SPDX-License-Identifier: Apache-2.0 */
/* op_integer.c - products and convolutions of quantized tensors: ConvInteger, MatMulInteger, QLinearConv,
 * QLinearMatMul, and onnxruntime's MatMulIntegerToFloat and DynamicQuantizeMatMul. Operands of 8 bits less their zero
 * points are exact in f32, and so are the sums (gemm.h), which add up to INT32. */
#include <math.h>

#include "verify/judge/conv.h"
#include "verify/judge/product.h"
#include "verify/judge/quantized.h"

typedef enum { ALL, ROWS, COLUMNS, FILTERS } sharing; /* what has a zero point or scale of its own */

static fvlm_status want_bytes(const fvlm_judge_call *c, size_t input)
{
    const fvlm_judge_value *v = fvlm_judge_in(c, input);
    if (!v) return fvlm_judge_refuse(c, "input %zu is missing", input);
    return v->type == FVLM_ONNX_U8 || v->type == FVLM_ONNX_I8 ? FVLM_OK : fvlm_judge_refuse_type(c, input);
}

/* Index of the zero point or scale of element i of v. */
static uint64_t share_of(sharing s, const fvlm_judge_value *v, uint64_t i)
{
    const uint64_t last = v->rank ? v->dims[v->rank - 1] : 1;
    if (s == ROWS) return i / last % (v->rank > 1 ? v->dims[v->rank - 2] : 1);
    if (s == COLUMNS) return i % last;
    return s == FILTERS ? i / fvlm_judge_span(v, 1, v->rank) : 0;
}

/* One number, or as many as v has rows, columns or filters. */
static fvlm_status want_share(const fvlm_judge_call *c, size_t input, const fvlm_judge_value *v, sharing *s)
{
    const fvlm_judge_value *zero = c->in[input];
    char text[192];
    const uint64_t n = *s == ROWS      ? (v->rank > 1 ? v->dims[v->rank - 2] : 1)
                       : *s == COLUMNS ? v->dims[v->rank - 1]
                                       : v->dims[0];
    const bool list = v->rank >= 2 && zero->n == n &&
                      (zero->rank == 1 || (zero->rank == 2 && *s == ROWS && zero->dims[1] == 1) ||
                       (zero->rank == 2 && *s == COLUMNS && zero->dims[0] == 1));
    if (zero->n == 1) *s = ALL;
    if (zero->n == 1 || (list && *s != ALL)) return FVLM_OK;
    return fvlm_judge_refuse(c, "input %zu is %s, expected one number or %s", input, fvlm_judge_shape_text(zero, text),
                             *s == FILTERS ? "one of each filter"
                             : *s == ROWS  ? "one of each row"
                                           : "one of each column");
}

typedef struct {
    const fvlm_judge_value *v, *zero;
    sharing sharing;
    float *out;
} centering;

static void center_range(void *ctx, uint64_t first, uint64_t end)
{
    const centering *k = ctx;
    for (uint64_t i = first; i < end; i++) {
        const int64_t zero = k->zero ? fvlm_judge_get_i64(k->zero, share_of(k->sharing, k->v, i)) : 0;
        k->out[i] = (float)(fvlm_judge_get_i64(k->v, i) - zero);
    }
}

/* Input i less its zero point, as FLOAT. */
static fvlm_status center(const fvlm_judge_call *c, size_t input, size_t zero_input, sharing s, fvlm_judge_value *out)
{
    const fvlm_judge_value *v = fvlm_judge_in(c, input), *zero = fvlm_judge_in(c, zero_input);
    fvlm_status st = want_bytes(c, input);
    if (!st && zero) st = fvlm_judge_want_type(c, zero_input, v->type);
    if (!st && zero) st = want_share(c, zero_input, v, &s);
    if (!st) st = fvlm_judge_make_temp(c, out, FVLM_ONNX_F32, v->rank, v->dims);
    if (!st) fvlm_judge_ranges(c, v->n, 1 << 15, center_range, &(centering){v, zero, s, out->data});
    return st;
}

/* ---- products ---- */

/* INT32 into output 0 of a [..., m, k] and b [k, n] or [..., k, n], whose inputs and zero points these are. */
static fvlm_status multiply(fvlm_judge_call *c, const size_t inputs[4])
{
    fvlm_judge_value a = {0}, b = {0};
    fvlm_product p = {0};
    if (!fvlm_judge_in(c, inputs[0])->rank || !fvlm_judge_in(c, inputs[1])->rank)
        return fvlm_judge_refuse(c, "a factor is a single number");
    fvlm_status st = center(c, inputs[0], inputs[2], ROWS, &a);
    if (!st) st = center(c, inputs[1], inputs[3], COLUMNS, &b);
    if (!st) st = fvlm_product_plan(&p, c, &a, &b);
    if (!st) st = fvlm_product_make(&p, c, FVLM_ONNX_I32);
    if (!st && c->out[0].n) st = fvlm_product_run(&p, c, &a, &b, NULL, c->out[0].data);
    fvlm_judge_value_free(&a);
    fvlm_judge_value_free(&b);
    return st;
}

static fvlm_status run_matmul(fvlm_judge_call *c)
{
    return multiply(c, (const size_t[]){0, 1, 2, 3});
}

/* INT32 in output 0 becomes y: of scale_a scale_b, and what follows. */
typedef struct {
    const fvlm_judge_value *sums;
    fvlm_judge_value *y;
    const fvlm_judge_value *scale_a, *scale_b, *bias, *scale_y, *zero_y; /* the last two only if y is quantized */
    sharing sharing_b;                                                   /* ALL, COLUMNS or FILTERS, of the output */
    double least, most;                                                  /* of a quantized y */
} rescale;

/* Which scale of b, or which bias, an output has: its column, or its channel. */
static uint64_t output_share(const rescale *r, sharing s, uint64_t i)
{
    const fvlm_judge_value *y = r->sums;
    if (s == FILTERS) return i / fvlm_judge_span(y, 2, y->rank) % y->dims[1];
    return s == COLUMNS ? i % y->dims[y->rank - 1] : 0;
}

static void rescale_range(void *ctx, uint64_t first, uint64_t end)
{
    const rescale *r = ctx;
    for (uint64_t i = first; i < end; i++) {
        const float a = (float)fvlm_judge_get_f64(r->scale_a, 0);
        const float b = (float)fvlm_judge_get_f64(r->scale_b, output_share(r, r->sharing_b, i));
        const int32_t sum = ((const int32_t *)r->sums->data)[i];
        if (!r->scale_y) {
            float y = (float)sum * (a * b);
            if (r->bias) y += ((const float *)r->bias->data)[output_share(r, COLUMNS, i)];
            ((float *)r->y->data)[i] = y;
            continue;
        }
        const float scale = a * b / (float)fvlm_judge_get_f64(r->scale_y, 0);
        const double v = rint((double)((float)sum * scale)) + fvlm_judge_get_f64(r->zero_y, 0);
        fvlm_judge_put_f64(r->y, i, v > r->least ? v < r->most ? v : r->most : r->least);
    }
}

/* Output 0, INT32, in the type of y. */
static fvlm_status finish(fvlm_judge_call *c, rescale *r, int32_t type)
{
    fvlm_judge_value sums = c->out[0];
    c->out[0] = (fvlm_judge_value){0};
    r->sums = &sums;
    r->y = &c->out[0];
    fvlm_status st = fvlm_judge_make_like(c, 0, type, &sums);
    if (!st) fvlm_judge_ranges(c, sums.n, 1 << 14, rescale_range, r);
    fvlm_judge_value_free(&sums);
    return st;
}

static fvlm_status want_one(const fvlm_judge_call *c, size_t input)
{
    return c->in[input]->n == 1 ? FVLM_OK : fvlm_judge_refuse(c, "input %zu is not one number", input);
}

/* ---- convolutions ---- */

static fvlm_status convolve(fvlm_judge_call *c, const size_t inputs[4], const fvlm_judge_value *bias)
{
    fvlm_judge_value x = {0}, w = {0};
    fvlm_conv v;
    uint64_t dims[FVLM_GRAPH_MAX_RANK];
    fvlm_status st = fvlm_conv_read(&v, c, c->in[inputs[0]], c->in[inputs[1]]);
    if (!st) st = center(c, inputs[0], inputs[2], ALL, &x);
    if (!st) st = center(c, inputs[1], inputs[3], FILTERS, &w);
    if (!st) st = fvlm_judge_make(c, 0, FVLM_ONNX_I32, fvlm_window_dims(&v.window, v.batch, v.filters, dims), dims);
    int32_t *out = c->out[0].data;
    const uint64_t plane = st ? 1 : fvlm_window_span(v.window.out);
    for (uint64_t i = 0; !st && bias && i < c->out[0].n; i++)
        out[i] = ((const int32_t *)bias->data)[i / plane % v.filters];
    if (!st && c->out[0].n) st = fvlm_conv_run(&v, c, x.data, &w, NULL, out);
    fvlm_judge_value_free(&x);
    fvlm_judge_value_free(&w);
    return st;
}

static fvlm_status run_conv(fvlm_judge_call *c)
{
    return convolve(c, (const size_t[]){0, 1, 2, 3}, NULL);
}

/* x, scale, zero, w, scale, zero, scale and zero of y, bias; the same without a bias for QLinearMatMul. */
static fvlm_status run_quantized(fvlm_judge_call *c)
{
    const bool conv = c->row->kind;
    const fvlm_judge_value *bias = fvlm_judge_in(c, 8);
    rescale r = {.scale_a = c->in[1],
                 .scale_b = c->in[4],
                 .scale_y = c->in[6],
                 .zero_y = c->in[7],
                 .sharing_b = conv ? FILTERS : COLUMNS};
    static const size_t single[] = {1, 2, 6, 7}, scales[] = {1, 4, 6}, inputs[] = {0, 3, 2, 5};
    fvlm_status st = FVLM_OK;
    for (size_t i = 0; i < 4 && !st; i++) st = want_one(c, single[i]);
    for (size_t i = 0; i < 3 && !st; i++) st = fvlm_judge_want_float(c, scales[i]);
    if (!st) st = want_bytes(c, 3);
    if (!st) st = want_bytes(c, 7);
    if (!st && !c->in[3]->rank) st = fvlm_judge_refuse(c, "a factor is a single number");
    if (!st) st = want_share(c, 4, c->in[3], &r.sharing_b);
    if (!st && bias) st = fvlm_judge_want_type(c, 8, FVLM_ONNX_I32);
    if (!st && bias) st = fvlm_judge_want_shape(c, 8, 1, c->in[3]->dims);
    if (st) return st;
    fvlm_onnx_type_limits(c->in[7]->type, &r.least, &r.most);
    st = conv ? convolve(c, inputs, bias) : multiply(c, inputs);
    return st ? st : finish(c, &r, c->in[7]->type);
}

/* a, b, scale_a, scale_b, zero_a, zero_b, bias. */
static fvlm_status run_to_float(fvlm_judge_call *c)
{
    rescale r = {.scale_a = c->in[2], .scale_b = c->in[3], .bias = fvlm_judge_in(c, 6), .sharing_b = COLUMNS};
    fvlm_status st = want_one(c, 2);
    if (!st) st = fvlm_judge_want_type(c, 2, FVLM_ONNX_F32);
    if (!st) st = fvlm_judge_want_type(c, 3, FVLM_ONNX_F32);
    if (!st) st = multiply(c, (const size_t[]){0, 1, 4, 5});
    if (!st) st = want_share(c, 3, c->in[1], &r.sharing_b);
    if (!st && r.bias && c->in[1]->rank < 2) st = fvlm_judge_refuse(c, "a bias without columns");
    if (!st && r.bias) st = fvlm_judge_want_type(c, 6, FVLM_ONNX_F32);
    if (!st && r.bias) st = fvlm_judge_want_shape(c, 6, 1, &c->in[1]->dims[c->in[1]->rank - 1]);
    return st ? st : finish(c, &r, FVLM_ONNX_F32);
}

/* a (FLOAT), b, scale_b, zero_b, bias: a is quantized first. */
static fvlm_status run_dynamic(fvlm_judge_call *c)
{
    fvlm_judge_value a = {0}, scale = {0}, zero = {0};
    fvlm_status st = fvlm_judge_want_type(c, 0, FVLM_ONNX_F32);
    if (!st) st = fvlm_judge_make_temp(c, &a, FVLM_ONNX_U8, c->in[0]->rank, c->in[0]->dims);
    if (!st) st = fvlm_judge_make_temp(c, &scale, FVLM_ONNX_F32, 0, NULL);
    if (!st) st = fvlm_judge_make_temp(c, &zero, FVLM_ONNX_U8, 0, NULL);
    if (!st) {
        fvlm_quantize_dynamically(c->in[0]->data, c->in[0]->n, a.data, scale.data, zero.data);
        fvlm_judge_value *const inputs[] = {
            &a, c->in[1], &scale, c->in[2], &zero, fvlm_judge_in(c, 3), fvlm_judge_in(c, 4)};
        fvlm_judge_call inner = *c;
        inner.in = inputs;
        inner.n_in = 7;
        st = run_to_float(&inner);
    }
    fvlm_judge_value_free(&a);
    fvlm_judge_value_free(&scale);
    fvlm_judge_value_free(&zero);
    return st;
}

#define CONV "auto_pad dilations group kernel_shape pads strides"
const fvlm_judge_row fvlm_judge_rows_integer[] = {
    {"", "ConvInteger", 10, 2, 4, 1, 0, 0, run_conv, CONV},
    {"", "MatMulInteger", 10, 2, 4, 1, 0, 0, run_matmul, NULL},
    {"", "QLinearConv", 10, 8, 9, 1, 0, 1, run_quantized, CONV},
    {"", "QLinearMatMul", 10, 8, 8, 1, 0, 0, run_quantized, NULL},
    {MICROSOFT, "MatMulIntegerToFloat", 0, 4, 7, 1, 0, 0, run_to_float, NULL},
    {MICROSOFT, "DynamicQuantizeMatMul", 0, 3, 5, 1, 0, 0, run_dynamic, NULL},
    {0},
};
