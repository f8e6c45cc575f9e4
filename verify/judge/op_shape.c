/* SPDX-License-Identifier: Apache-2.0 */
/* op_shape.c - operators that change or make shapes and leave elements alone: Reshape, Flatten, Squeeze, Unsqueeze,
 * Identity, Dropout, Shape, Size, Range, ConstantOfShape. */
#include <inttypes.h>
#include <math.h>

#include "verify/judge/call.h"

static fvlm_status run_identity(fvlm_judge_call *c)
{
    return fvlm_judge_make_view(c, 0, c->in[0], c->in[0]->rank, c->in[0]->dims);
}

/* Inference: nothing is dropped. The mask is all true since opset 12; before, as in onnxruntime, all false. */
static fvlm_status run_dropout(fvlm_judge_call *c)
{
    const fvlm_judge_value *training = fvlm_judge_in(c, 2);
    fvlm_status st = training ? fvlm_judge_want_type(c, 2, FVLM_ONNX_BOOL) : FVLM_OK;
    if (st) return st;
    if (training && (training->n != 1 || fvlm_judge_get_i64(training, 0)))
        return fvlm_judge_unsupported(c, "training_mode is on: it drops elements at random");
    st = run_identity(c);
    if (st || !fvlm_judge_wants(c, 1)) return st;
    st = fvlm_judge_make_like(c, 1, c->opset < 10 ? c->in[0]->type : FVLM_ONNX_BOOL, c->in[0]);
    if (st) return st;
    memset(c->out[1].data, c->opset >= 12, fvlm_judge_form_bytes(fvlm_judge_form_of(c->out[1].type)) * c->out[1].n);
    return FVLM_OK;
}

static fvlm_status run_reshape(fvlm_judge_call *c)
{
    const fvlm_judge_value *x = c->in[0];
    int64_t wanted[FVLM_GRAPH_MAX_RANK];
    uint64_t dims[FVLM_GRAPH_MAX_RANK], known = 1;
    size_t rank, open = SIZE_MAX;
    bool allow_zero;
    fvlm_status st = fvlm_judge_attr_flag(c, "allowzero", false, &allow_zero);
    if (!st) st = fvlm_judge_input_ints(c, 1, wanted, FVLM_GRAPH_MAX_RANK, &rank);
    if (st) return st;
    for (size_t i = 0; i < rank; i++) {
        dims[i] = (uint64_t)wanted[i];
        if (wanted[i] == 0 && !allow_zero) {
            if (i >= x->rank)
                return fvlm_judge_refuse(c, "the shape copies dimension %zu of a value of rank %u", i, x->rank);
            dims[i] = x->dims[i];
        }
        if (wanted[i] == -1) {
            if (open != SIZE_MAX) return fvlm_judge_refuse(c, "the shape has more than one -1");
            open = i;
        } else if (wanted[i] < 0) {
            return fvlm_judge_refuse(c, "the shape has a dimension of %" PRId64, wanted[i]);
        } else if (!fvlm_checked_mul(known, dims[i], &known)) {
            return fvlm_judge_refuse(c, "the shape has more than 2^64 elements");
        }
    }
    if (open != SIZE_MAX) {
        if (known == 0 || x->n % known)
            return fvlm_judge_refuse(c, "%" PRIu64 " elements do not divide into parts of %" PRIu64, x->n, known);
        dims[open] = x->n / known;
    }
    return fvlm_judge_make_view(c, 0, x, (unsigned)rank, dims);
}

static fvlm_status run_flatten(fvlm_judge_call *c)
{
    const fvlm_judge_value *x = c->in[0];
    int64_t axis;
    unsigned at = x->rank;
    fvlm_status st = fvlm_judge_attr_int(c, "axis", 1, &axis);
    if (!st && axis != x->rank) st = fvlm_judge_axis(c, axis, x->rank, &at);
    if (st) return st;
    uint64_t dims[2];
    if (!fvlm_judge_count(&dims[0], x->dims, at) || !fvlm_judge_count(&dims[1], x->dims + at, x->rank - at))
        return fvlm_judge_refuse(c, "a result of more than 2^64 elements");
    return fvlm_judge_make_view(c, 0, x, 2, dims);
}

static fvlm_status run_squeeze(fvlm_judge_call *c)
{
    const fvlm_judge_value *x = c->in[0];
    uint64_t dims[FVLM_GRAPH_MAX_RANK];
    unsigned rank = 0;
    uint32_t mask;
    bool given;
    fvlm_status st = fvlm_judge_axes(c, 1, x->rank, &mask, &given);
    for (unsigned i = 0; i < x->rank && !st; i++) {
        const bool squeezed = given ? mask >> i & 1 : x->dims[i] == 1;
        if (squeezed && x->dims[i] != 1) st = fvlm_judge_refuse(c, "dimension %u is %" PRIu64 ", not 1", i, x->dims[i]);
        if (!squeezed) dims[rank++] = x->dims[i];
    }
    return st ? st : fvlm_judge_make_view(c, 0, x, rank, dims);
}

static fvlm_status run_unsqueeze(fvlm_judge_call *c)
{
    const fvlm_judge_value *x = c->in[0], *axes = fvlm_judge_in(c, 1);
    uint64_t dims[FVLM_GRAPH_MAX_RANK];
    const int64_t *list;
    size_t n = 0;
    uint32_t mask;
    bool given;
    fvlm_status st = axes ? FVLM_OK : fvlm_judge_attr_ints(c, "axes", &list, &n);
    if (st) return st;
    const uint64_t rank = x->rank + (axes ? axes->n : n);
    if (rank > FVLM_GRAPH_MAX_RANK)
        return fvlm_judge_refuse(c, "a value of rank %" PRIu64 "; %d is the most", rank, FVLM_GRAPH_MAX_RANK);
    st = fvlm_judge_axes(c, 1, (unsigned)rank, &mask, &given);
    if (!st && !given) st = fvlm_judge_refuse(c, "axes are missing");
    for (unsigned i = 0, from = 0; i < rank && !st; i++) dims[i] = mask >> i & 1 ? 1 : x->dims[from++];
    return st ? st : fvlm_judge_make_view(c, 0, x, (unsigned)rank, dims);
}

static unsigned clamp_axis(int64_t axis, unsigned rank)
{
    if (axis < 0) axis += rank;
    return axis < 0 ? 0 : axis > rank ? rank : (unsigned)axis;
}

static fvlm_status run_shape(fvlm_judge_call *c)
{
    const fvlm_judge_value *x = c->in[0];
    int64_t start, end;
    fvlm_status st = fvlm_judge_attr_int(c, "start", 0, &start);
    if (!st) st = fvlm_judge_attr_int(c, "end", x->rank, &end);
    if (st) return st;
    const unsigned first = clamp_axis(start < -100 ? -100 : start, x->rank);
    const unsigned last = clamp_axis(end < -100 ? -100 : end, x->rank);
    const uint64_t n = last > first ? last - first : 0;
    st = fvlm_judge_make(c, 0, FVLM_ONNX_I64, 1, &n);
    for (uint64_t i = 0; i < n && !st; i++) ((int64_t *)c->out[0].data)[i] = (int64_t)x->dims[first + i];
    return st;
}

static fvlm_status run_size(fvlm_judge_call *c)
{
    fvlm_status st = fvlm_judge_make(c, 0, FVLM_ONNX_I64, 0, NULL);
    if (!st) *(int64_t *)c->out[0].data = (int64_t)c->in[0]->n;
    return st;
}

/* max(ceil((limit - start) / delta), 0) elements. */
static fvlm_status run_range(fvlm_judge_call *c)
{
    const int32_t type = c->in[0]->type;
    const bool integer = fvlm_judge_is_integer(type);
    fvlm_status st = fvlm_judge_want_type(c, 1, type);
    if (!st) st = fvlm_judge_want_type(c, 2, type);
    if (st) return st;
    for (size_t i = 0; i < 3; i++)
        if (c->in[i]->n != 1) return fvlm_judge_refuse(c, "input %zu is not one number", i);
    if (type == FVLM_ONNX_BOOL || type == FVLM_ONNX_U64) return fvlm_judge_refuse_type(c, 0);
    const double start = fvlm_judge_get_f64(c->in[0], 0), delta = fvlm_judge_get_f64(c->in[2], 0);
    double n = ceil((fvlm_judge_get_f64(c->in[1], 0) - start) / delta);
    if (!(delta < 0 || delta > 0) || isnan(n)) return fvlm_judge_refuse(c, "a range with a step of 0, or NaN");
    if (n > 0x1p53) return fvlm_judge_refuse(c, "a range of more than 2^53 elements");
    const uint64_t count = n > 0 ? (uint64_t)n : 0;
    st = fvlm_judge_make(c, 0, type, 1, &count);
    if (st) return st;
    const uint64_t first = (uint64_t)fvlm_judge_get_i64(c->in[0], 0), step = (uint64_t)fvlm_judge_get_i64(c->in[2], 0);
    for (uint64_t i = 0; i < count; i++)
        if (integer)
            fvlm_judge_put_i64(&c->out[0], i, (int64_t)(first + i * step));
        else
            fvlm_judge_put_f64(&c->out[0], i, start + (double)i * delta);
    return FVLM_OK;
}

static fvlm_status run_constant_of_shape(fvlm_judge_call *c)
{
    const fvlm_graph_attr *a = fvlm_graph_attr_find(c->node, "value");
    int64_t wanted[FVLM_GRAPH_MAX_RANK];
    uint64_t dims[FVLM_GRAPH_MAX_RANK];
    size_t rank;
    fvlm_status st = fvlm_judge_input_ints(c, 0, wanted, FVLM_GRAPH_MAX_RANK, &rank);
    if (st) return st;
    if (a && (a->kind != FVLM_ATTR_TENSOR || a->tensor->n_elems != 1))
        return fvlm_judge_refuse(c, "\"value\" is not a tensor of one element");
    for (size_t i = 0; i < rank; i++) {
        if (wanted[i] < 0) return fvlm_judge_refuse(c, "the shape has a dimension of %" PRId64, wanted[i]);
        dims[i] = (uint64_t)wanted[i];
    }
    st = fvlm_judge_make(c, 0, a ? a->tensor->type : FVLM_ONNX_F32, (unsigned)rank, dims);
    if (st || !a) return st;
    uint64_t element = 0;
    const size_t bytes = fvlm_judge_form_bytes(fvlm_judge_form_of(a->tensor->type));
    fvlm_judge_decode(&element, a->tensor, 0, 1);
    for (uint64_t i = 0; i < c->out[0].n && element; i++)
        memcpy((uint8_t *)c->out[0].data + i * bytes, &element, bytes);
    return FVLM_OK;
}

const fvlm_judge_row fvlm_judge_rows_shape[] = {
    {"", "Identity", 1, 1, 1, 1, 0, 0, run_identity, NULL},
    {"", "Dropout", 7, 1, 3, 2, 0, 0, run_dropout, "ratio seed"},
    {"", "Reshape", 5, 2, 2, 1, 0, 0, run_reshape, "allowzero"},
    {"", "Flatten", 1, 1, 1, 1, 0, 0, run_flatten, "axis"},
    {"", "Squeeze", 1, 1, 2, 1, 0, 0, run_squeeze, "axes"},
    {"", "Unsqueeze", 1, 1, 2, 1, 0, 0, run_unsqueeze, "axes"},
    {"", "Shape", 1, 1, 1, 1, 0, 0, run_shape, "start end"},
    {"", "Size", 1, 1, 1, 1, 0, 0, run_size, NULL},
    {"", "Range", 11, 3, 3, 1, 0, 0, run_range, "stash_type"},
    {"", "ConstantOfShape", 9, 1, 1, 1, 0, 0, run_constant_of_shape, "value"},
    {0},
};
