/* SPDX-License-Identifier: Apache-2.0 */
/* indices.c - see indices.h. */
#include "verify/judge/indices.h"

#include <inttypes.h>

static fvlm_status want_type(const fvlm_judge_call *c)
{
    const int32_t type = c->in[1]->type;
    if (type == FVLM_ONNX_I64 || type == FVLM_ONNX_I32) return FVLM_OK;
    return fvlm_judge_refuse(c, "input 1 is %s, expected INT64 or INT32", fvlm_onnx_type_name(type));
}

fvlm_status fvlm_indices_at(const fvlm_judge_call *c, unsigned axis, uint64_t i, uint64_t *out)
{
    const uint64_t dim = c->in[0]->dims[axis];
    const int64_t k = fvlm_judge_get_i64(c->in[1], i);
    *out = k < 0 ? (uint64_t)k + dim : (uint64_t)k;
    if (*out < dim && (k >= 0 || (uint64_t) - (k + 1) < dim)) return FVLM_OK;
    return fvlm_judge_refuse(c, "index %" PRId64 " into a dimension of %" PRIu64, k, dim);
}

void fvlm_indices_fetch(uint8_t *to, const fvlm_judge_value *v, uint64_t first, uint64_t n)
{
    const size_t bytes = fvlm_judge_elem_bytes(v);
    if (v->stored)
        fvlm_judge_decode(to, v->stored, first, n);
    else
        memcpy(to, (const uint8_t *)v->data + first * bytes, (size_t)n * bytes);
}

fvlm_status fvlm_indices_read_axis(const fvlm_judge_call *c, unsigned *axis)
{
    int64_t attr;
    fvlm_status st = want_type(c);
    if (!st) st = fvlm_judge_attr_int(c, "axis", 0, &attr);
    return st ? st : fvlm_judge_axis(c, attr, c->in[0]->rank, axis);
}

fvlm_status fvlm_indices_read_elements(const fvlm_judge_call *c, unsigned *axis)
{
    const fvlm_judge_value *x = c->in[0], *indices = c->in[1];
    char a[192], b[192];
    fvlm_status st = fvlm_indices_read_axis(c, axis);
    if (st) return st;
    bool fits = x->rank == indices->rank;
    for (unsigned d = 0; d < x->rank && fits; d++) fits = d == *axis || indices->dims[d] <= x->dims[d];
    if (fits) return FVLM_OK;
    return fvlm_judge_refuse(c, "indices of %s for %s", fvlm_judge_shape_text(indices, a), fvlm_judge_shape_text(x, b));
}

fvlm_status fvlm_indices_element(const fvlm_judge_call *c, unsigned axis, uint64_t i, uint64_t *out)
{
    const fvlm_judge_value *x = c->in[0], *indices = c->in[1];
    uint64_t rest = i, step = 1, at = 0, k;
    fvlm_status st = fvlm_indices_at(c, axis, i, &k);
    for (unsigned d = x->rank; d-- > 0 && !st;) {
        at += (d == axis ? k : rest % indices->dims[d]) * step;
        rest /= indices->dims[d];
        step *= x->dims[d];
    }
    *out = at;
    return st;
}

fvlm_status fvlm_indices_block(const fvlm_judge_call *c, unsigned batch, uint64_t i, uint64_t *out)
{
    const fvlm_judge_value *x = c->in[0], *indices = c->in[1];
    const uint64_t n = indices->dims[indices->rank - 1];
    uint64_t at = 0, k;
    fvlm_status st = FVLM_OK;
    for (uint64_t d = 0; d < n && !st; d++) {
        st = fvlm_indices_at(c, batch + (unsigned)d, i * n + d, &k);
        at = at * x->dims[batch + d] + k;
    }
    *out = at;
    return st;
}

fvlm_status fvlm_indices_check_nd(const fvlm_judge_call *c, unsigned batch)
{
    const fvlm_judge_value *x = c->in[0], *indices = c->in[1];
    fvlm_status st = want_type(c);
    if (st) return st;
    if (!x->rank || !indices->rank || batch >= indices->rank || batch > x->rank ||
        indices->dims[indices->rank - 1] > x->rank - batch)
        return fvlm_judge_refuse(c, "indices that have more dimensions than the input");
    for (unsigned d = 0; d < batch; d++)
        if (x->dims[d] != indices->dims[d]) return fvlm_judge_refuse(c, "batch dimensions that differ");
    return FVLM_OK;
}
