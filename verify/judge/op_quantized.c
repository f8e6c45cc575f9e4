/* SPDX-License-Identifier: Apache-2.0 */
/* op_quantized.c - QuantizeLinear, DequantizeLinear (one scale for the tensor, each index of an axis, or each block)
 * and DynamicQuantizeLinear. */
#include <inttypes.h>
#include <math.h>

#include "verify/judge/quantized.h"

typedef enum { PER_TENSOR, PER_AXIS, PER_BLOCK } sharing;

typedef struct {
    const fvlm_judge_value *x, *scale, *zero;
    fvlm_judge_value *y;
    sharing sharing;
    uint64_t dim, inner, block; /* of the axis; elements below it; that share a scale */
    double least, most;         /* of the quantized type */
} linear;

/* The scale of element i. */
static uint64_t scale_of(const linear *q, uint64_t i)
{
    const uint64_t at = i / q->inner % q->dim;
    if (q->sharing == PER_TENSOR) return 0;
    if (q->sharing == PER_AXIS) return at;
    const uint64_t blocks = q->dim / q->block + (q->dim % q->block != 0);
    return (i / q->inner / q->dim * blocks + at / q->block) * q->inner + i % q->inner;
}

static fvlm_status refuse_scales(const fvlm_judge_call *c, size_t input)
{
    char x[192], s[192];
    return fvlm_judge_refuse(c, "input %zu is %s, which does not fit %s", input, fvlm_judge_shape_text(c->in[input], s),
                             fvlm_judge_shape_text(c->in[0], x));
}

/* How scales are shared, and that zero points are as many. */
static fvlm_status read_sharing(linear *q, const fvlm_judge_call *c)
{
    int64_t attr, block;
    unsigned axis = 0;
    const fvlm_judge_value *x = q->x, *s = q->scale;
    fvlm_status st = fvlm_judge_attr_int(c, "axis", 1, &attr);
    if (!st) st = fvlm_judge_attr_int(c, "block_size", 0, &block);
    if (st) return st;
    if (q->zero && (q->zero->n != s->n || (s->rank > 1 && !fvlm_judge_same_shape(q->zero, s))))
        return refuse_scales(c, 2);
    q->dim = q->inner = q->block = 1;
    q->sharing = s->rank > 1 || block ? PER_BLOCK : s->n == 1 ? PER_TENSOR : PER_AXIS;
    if (q->sharing == PER_TENSOR) return FVLM_OK;
    st = fvlm_judge_axis(c, attr, x->rank, &axis);
    if (st) return st;
    q->dim = x->dims[axis];
    q->inner = fvlm_judge_span(x, axis + 1, x->rank);
    if (q->sharing == PER_AXIS) return s->rank == 1 && s->n == q->dim && c->opset != 10 ? FVLM_OK : refuse_scales(c, 1);
    if (block < 1) return fvlm_judge_refuse(c, "scales of rank %u without a \"block_size\"", s->rank);
    q->block = (uint64_t)block;
    bool fits = s->rank == x->rank;
    for (unsigned d = 0; d < x->rank && fits; d++)
        fits = s->dims[d] == (d == axis ? q->dim / q->block + (q->dim % q->block != 0) : x->dims[d]);
    return fits ? FVLM_OK : refuse_scales(c, 1);
}

static void quantize_range(void *ctx, uint64_t first, uint64_t end)
{
    const linear *q = ctx;
    for (uint64_t i = first; i < end; i++) {
        const uint64_t s = scale_of(q, i);
        const float x = (float)fvlm_judge_get_f64(q->x, i), scale = (float)fvlm_judge_get_f64(q->scale, s);
        const double v = rint((double)(x / scale)) + (q->zero ? fvlm_judge_get_f64(q->zero, s) : 0);
        fvlm_judge_put_f64(q->y, i, v > q->least ? v < q->most ? v : q->most : q->least); /* NaN: least */
    }
}

static fvlm_status run_quantize(fvlm_judge_call *c)
{
    linear q = {.x = c->in[0], .scale = c->in[1], .zero = fvlm_judge_in(c, 2), .y = &c->out[0]};
    int64_t type, precision, saturate;
    fvlm_status st = q.x->type == FVLM_ONNX_I32 ? FVLM_OK : fvlm_judge_want_float(c, 0);
    if (!st) st = fvlm_judge_want_float(c, 1);
    if (!st) st = fvlm_judge_attr_int(c, "output_dtype", 0, &type);
    if (!st) st = fvlm_judge_attr_int(c, "precision", 0, &precision);
    if (!st) st = fvlm_judge_attr_int(c, "saturate", 1, &saturate); /* of 8-bit floats, which are refused */
    if (st) return st;
    if (precision && precision != FVLM_ONNX_F32)
        return fvlm_judge_unsupported(c, "precision %" PRId64 " is not supported", precision);
    if (q.zero && type && type != q.zero->type)
        return fvlm_judge_refuse(c, "\"output_dtype\" is not the type of input 2");
    if (!type) type = q.zero ? q.zero->type : FVLM_ONNX_U8;
    if (type < 0 || type > 99 || !fvlm_onnx_type_limits((int32_t)type, &q.least, &q.most))
        return fvlm_judge_unsupported(c, "quantizing to %s is not supported",
                                      fvlm_onnx_type_name(type < 0 || type > 99 ? 0 : (int32_t)type));
    st = read_sharing(&q, c);
    if (!st) st = fvlm_judge_make_like(c, 0, (int32_t)type, q.x);
    if (!st) fvlm_judge_ranges(c, q.x->n, 1 << 14, quantize_range, &q);
    return st;
}

static void dequantize_range(void *ctx, uint64_t first, uint64_t end)
{
    const linear *q = ctx;
    float *y = q->y->data;
    for (uint64_t i = first; i < end; i++) {
        const uint64_t s = scale_of(q, i);
        const int64_t x = fvlm_judge_get_i64(q->x, i) - (q->zero ? fvlm_judge_get_i64(q->zero, s) : 0);
        y[i] = (float)x * (float)fvlm_judge_get_f64(q->scale, s);
    }
}

static fvlm_status run_dequantize(fvlm_judge_call *c)
{
    linear q = {.x = c->in[0], .scale = c->in[1], .zero = fvlm_judge_in(c, 2), .y = &c->out[0]};
    int64_t type;
    fvlm_status st = fvlm_judge_want_float(c, 1);
    if (!st) st = fvlm_judge_attr_int(c, "output_dtype", 0, &type);
    if (!st && q.zero) st = fvlm_judge_want_type(c, 2, q.x->type);
    if (st) return st;
    if (!fvlm_onnx_type_limits(q.x->type, &q.least, &q.most) && q.x->type != FVLM_ONNX_I32)
        return fvlm_judge_refuse_type(c, 0);
    if (type && type != FVLM_ONNX_F32 && type != FVLM_ONNX_F16 && type != FVLM_ONNX_BF16)
        return fvlm_judge_unsupported(c, "output_dtype %" PRId64 " is not supported", type);
    st = read_sharing(&q, c);
    if (!st) st = fvlm_judge_make_like(c, 0, type ? (int32_t)type : q.scale->type, q.x);
    if (!st) fvlm_judge_ranges(c, q.x->n, 1 << 14, dequantize_range, &q);
    return st;
}

/* To UINT8 over the range of x and 0. As onnxruntime, a range of nothing has the scale 1. */
void fvlm_quantize_dynamically(const float *x, uint64_t n, uint8_t *y, float *scale, uint8_t *zero)
{
    float least = 0, most = 0;
    for (uint64_t i = 0; i < n; i++) {
        if (x[i] < least) least = x[i];
        if (x[i] > most) most = x[i];
    }
    *scale = most == least ? 1 : (most - least) / 255;
    const double at = rint((double)((0 - least) / *scale));
    *zero = (uint8_t)(at > 0 ? at < 255 ? at : 255 : 0);
    for (uint64_t i = 0; i < n; i++) {
        const double v = rint((double)(x[i] / *scale)) + *zero;
        y[i] = (uint8_t)(v > 0 ? v < 255 ? v : 255 : 0);
    }
}

static fvlm_status run_dynamic(fvlm_judge_call *c)
{
    const fvlm_judge_value *x = c->in[0];
    float scale;
    uint8_t zero;
    fvlm_status st = fvlm_judge_want_type(c, 0, FVLM_ONNX_F32);
    if (!st) st = fvlm_judge_make_like(c, 0, FVLM_ONNX_U8, x);
    if (!st && c->n_out > 1) st = fvlm_judge_make(c, 1, FVLM_ONNX_F32, 0, NULL);
    if (!st && c->n_out > 2) st = fvlm_judge_make(c, 2, FVLM_ONNX_U8, 0, NULL);
    if (st) return st;
    fvlm_quantize_dynamically(x->data, x->n, c->out[0].data, &scale, &zero);
    if (c->n_out > 1) *(float *)c->out[1].data = scale;
    if (c->n_out > 2) *(uint8_t *)c->out[2].data = zero;
    return FVLM_OK;
}

#define QUANTIZE "axis block_size output_dtype precision saturate"
#define DEQUANTIZE "axis block_size output_dtype"
const fvlm_judge_row fvlm_judge_rows_quantized[] = {
    {"", "QuantizeLinear", 10, 2, 3, 1, 0, 0, run_quantize, QUANTIZE},
    {MICROSOFT, "QuantizeLinear", 0, 2, 3, 1, 0, 0, run_quantize, "axis block_size"},
    {"", "DequantizeLinear", 10, 2, 3, 1, 0, 0, run_dequantize, DEQUANTIZE},
    {MICROSOFT, "DequantizeLinear", 0, 2, 3, 1, 0, 0, run_dequantize, "axis block_size"},
    {"", "DynamicQuantizeLinear", 11, 1, 1, 3, 0, 0, run_dynamic, NULL},
    {0},
};
