/* SPDX-License-Identifier: Apache-2.0 */
/* match_blocks.c - see match_tower.h: the inner layers of residual blocks.
 *
 *   x + layer_scale * fc2(gelu(fc1(bn(conv(x)))))           ConvFFN, in every block
 *   x + layer_scale * proj(attention(qkv(layer_norm(x))))   the mixer of attention blocks */
#include <string.h>

#include "convert/graph/match_tower.h"

static fvlm_status match_ffn(fvlm_block *out, const fvlm_tower *t, const fvlm_map *x, fvlm_map m)
{
    fvlm_status st = fvlm_gelu_match(&out->last.twice, t->net, &m, "between the FFN's layers", t->err);
    if (!st) st = fvlm_linear_match(&out->fc1, t->net, &m, "the FFN's fc1", t->err);
    if (!st) fvlm_map_back(&m);
    if (!st) st = fvlm_net_sum_match(&out->conv, t->net, m, x, t->err);
    if (st) return st;
    const fvlm_net_branch *b = &out->conv.branch[0];
    if (out->conv.n == 1 && b->kind == FVLM_BRANCH_CONV && b->sign == 1 && !b->scale && b->stride == 1 &&
        b->groups == b->in && b->out == b->in)
        return FVLM_OK;
    char found[160];
    if (b->bn) m.v = b->bn->inputs[0]; /* that is not what is wrong */
    return fvlm_match_expected(t->net, m.v, m.v->producer ? fvlm_net_layer_text(m.v->producer, found) : NULL, t->err,
                               "the FFN's depthwise convolution with stride 1, of the block's input");
}

static fvlm_status match_attention(fvlm_block *out, const fvlm_tower *t, const fvlm_map *x, fvlm_map m)
{
    fvlm_status st = fvlm_attention_match(&out->attention, t->net, &m, 32, "attention", t->err);
    if (!st) st = fvlm_layer_norm_match(&out->norm, t->net, &m, "the norm in front of attention", t->err);
    if (!st) fvlm_map_back(&m);
    if (!st && !fvlm_map_same(&m, x))
        st = fvlm_match_expected(t->net, out->norm.node->outputs[0], "the norm of another value", t->err,
                                 "the norm of the block's input");
    out->is_attention = true;
    return st;
}

/* Whether v is computed by one of these, up to NULL. */
static bool is_any(const fvlm_net_value *v, const char *const *ops)
{
    for (; *ops; ops++)
        if (fvlm_net_is(v, *ops)) return true;
    return false;
}

fvlm_status fvlm_block_match(fvlm_block *out, const fvlm_tower *t, const fvlm_map *x, const fvlm_segment *s)
{
    static const char *const attentions[] = {"MatMul", "Attention", "MultiHeadAttention", NULL};
    static const char *const activations[] = {"Gelu", "FastGelu", "QuickGelu", "Mul", NULL};
    *out = (fvlm_block){.branch = &s->sum.branch[s->sum.branch[0].kind == FVLM_BRANCH_IDENTITY]};
    if (out->branch->sign != 1)
        return fvlm_match_expected(t->net, s->first, NULL, t->err, "a block that adds to its input");
    fvlm_map m = out->branch->top;
    fvlm_status st = fvlm_linear_match(&out->last, t->net, &m, "the last layer of a block", t->err);
    if (st) return st;
    fvlm_view view;
    fvlm_view_trace(&view, m.v, NULL);
    if (is_any(view.base, attentions)) return match_attention(out, t, x, m);
    if (is_any(view.base, activations)) return match_ffn(out, t, x, m);
    return fvlm_match_expected(t->net, view.base, NULL, t->err,
                               "attention or a GELU, before the last layer of a block");
}
