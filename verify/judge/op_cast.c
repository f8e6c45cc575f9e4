/* SPDX-License-Identifier: Apache-2.0 */
/* op_cast.c - Cast and CastLike. The only operators that round halves (judge.h). */
#include "verify/judge/call.h"

typedef struct {
    const fvlm_judge_value *in;
    fvlm_judge_value *out;
} cast;

static void run_range(void *ctx, uint64_t first, uint64_t end)
{
    const cast *p = ctx;
    const size_t in_bytes = fvlm_judge_elem_bytes(p->in);
    const size_t out_bytes = fvlm_judge_elem_bytes(p->out);
    uint8_t *out = (uint8_t *)p->out->data + first * out_bytes;
    fvlm_judge_convert(out, p->out->type, (const uint8_t *)p->in->data + first * in_bytes, p->in->type, end - first);
    fvlm_judge_round_halves((float *)(void *)out, p->out->type, end - first);
}

static fvlm_status run(fvlm_judge_call *c)
{
    const fvlm_judge_value *x = c->in[0], *like = fvlm_judge_in(c, 1);
    int64_t to = like ? like->type : 0;
    fvlm_status st = like ? FVLM_OK : fvlm_judge_attr_int(c, "to", 0, &to);
    if (st) return st;
    if (to < 0 || to > INT32_MAX || !fvlm_judge_form_of((int32_t)to))
        return fvlm_judge_unsupported(c, "a cast to %s is not supported",
                                      fvlm_onnx_type_name(to < 0 || to > INT32_MAX ? 0 : (int32_t)to));
    const bool rounds = (to == FVLM_ONNX_F16 || to == FVLM_ONNX_BF16) && x->type != to;
    if (fvlm_judge_form_of(x->type) == FVLM_FORM_F32 && fvlm_judge_form_of((int32_t)to) == FVLM_FORM_F32 && !rounds) {
        st = fvlm_judge_make_view(c, 0, x, x->rank, x->dims);
        c->out[0].type = (int32_t)to;
        return st;
    }
    st = fvlm_judge_make_like(c, 0, (int32_t)to, x);
    if (!st) fvlm_judge_ranges(c, x->n, 1 << 16, run_range, &(cast){x, &c->out[0]});
    return st;
}

/* saturate and round_mode mean 8-bit floats only, which are refused as types. */
const fvlm_judge_row fvlm_judge_rows_cast[] = {
    {"", "Cast", 6, 1, 1, 1, 0, 0, run, "to saturate round_mode"},
    {"", "CastLike", 15, 2, 2, 1, 0, 0, run, "saturate round_mode"},
    {0},
};
