/* SPDX-License-Identifier: Apache-2.0 */
/* attend_heads.c - see attend_heads.h. */
#include "verify/judge/attend_heads.h"

#include <inttypes.h>
#include <math.h>

fvlm_status fvlm_attend_heads_check_width(const fvlm_judge_call *c, uint64_t hidden, uint64_t n_heads)
{
    if (n_heads && hidden && hidden % n_heads == 0) return FVLM_OK;
    return fvlm_judge_refuse(c, "%" PRIu64 " does not divide into %" PRIu64 " heads", hidden, n_heads);
}

fvlm_status fvlm_attend_heads_read_number(fvlm_attend_heads *h, const fvlm_judge_call *c)
{
    int64_t n;
    fvlm_status st = fvlm_judge_attr_int(c, "num_heads", 0, &n);
    if (!st && (n < 1 || n > 1 << 20)) st = fvlm_judge_refuse(c, "num_heads is %" PRId64, n);
    h->heads = (uint64_t)n;
    return st;
}

fvlm_attend_source fvlm_attend_heads_rows(const fvlm_attend_heads *h, const float *data, uint64_t length,
                                          uint64_t width, uint64_t parts)
{
    fvlm_attend_source s = fvlm_attend_source_rows(data, h->batch, length, h->heads * width * parts, h->heads, width);
    s.head = width * parts;
    return s;
}

fvlm_status fvlm_attend_heads_read_mask(fvlm_attend_heads *h, const fvlm_judge_call *c, size_t input, float masked)
{
    const fvlm_judge_value *v = fvlm_judge_in(c, input);
    const uint64_t total = h->past + h->kv_length;
    char text[192];
    if (!v) return FVLM_OK;
    fvlm_status st = fvlm_judge_want_type(c, input, FVLM_ONNX_I32);
    if (st) return st;
    const bool lengths = v->rank == 1 && v->dims[0] == h->batch;
    const bool keys = v->rank == 2 && v->dims[0] == h->batch && v->dims[1] == total;
    const bool pairs = v->rank == 3 && v->dims[0] == h->batch && v->dims[1] == h->length && v->dims[2] == total;
    if (!lengths && !keys && !pairs)
        return fvlm_judge_unsupported(c, "a mask of %s is not supported", fvlm_judge_shape_text(v, text));
    const uint64_t dims[4] = {h->batch, 1, pairs ? h->length : 1, total};
    st = fvlm_judge_make_temp(c, &h->mask, FVLM_ONNX_F32, 4, dims);
    for (uint64_t i = 0; i < h->mask.n && !st; i++) {
        const bool open =
            lengths ? (int64_t)(i % total) < fvlm_judge_get_i64(v, i / total) : fvlm_judge_get_i64(v, i) != 0;
        ((float *)h->mask.data)[i] = open ? 0 : masked;
    }
    return st;
}

fvlm_status fvlm_attend_heads_run(fvlm_attend_heads *h, fvlm_judge_call *c, int32_t type, const fvlm_judge_value *bias)
{
    const uint64_t dims[3] = {h->batch, h->length, h->heads * h->v_width};
    float scale;
    bool causal;
    fvlm_status st = fvlm_judge_attr_float(c, "scale", 0, &scale);
    if (!st) st = fvlm_judge_attr_flag(c, "unidirectional", false, &causal);
    if (!st) st = fvlm_judge_make(c, 0, type, 3, dims);
    if (st) return st;
    fvlm_attend a = {
        .batch = h->batch,
        .heads = h->heads,
        .kv_heads = h->heads,
        .q_len = h->length,
        .kv_len = h->past + h->kv_length,
        .width = h->width,
        .v_width = h->v_width,
        .q = h->made[0].data,
        .k = h->made[1].data,
        .v = h->made[2].data,
        .out = c->out[0].data,
        .scale = scale != 0 ? (double)scale : 1 / sqrt((double)h->width),
        .left = -1,
        .right = causal ? (int64_t)h->past : -1,
    };
    if (causal && h->length != h->kv_length) /* onnxruntime's kernels do not agree with each other there */
        return fvlm_judge_unsupported(c, "unidirectional with %" PRIu64 " queries and %" PRIu64 " new keys", h->length,
                                      h->kv_length);
    if (bias) st = fvlm_attend_bias(&a, 0, c, bias);
    if (!st && h->mask.data) st = fvlm_attend_bias(&a, 1, c, &h->mask);
    return st ? st : fvlm_attend_run(c, &a);
}

void fvlm_attend_heads_free(fvlm_attend_heads *h)
{
    for (size_t i = 0; i < 3; i++) fvlm_judge_value_free(&h->made[i]);
    fvlm_judge_value_free(&h->mask);
}
