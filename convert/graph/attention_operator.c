/* SPDX-License-Identifier: Apache-2.0 */
/* attention_operator.c - the tower's attention as an operator: MultiHeadAttention and Attention of com.microsoft,
 * Attention of ai.onnx. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "convert/graph/attention_internal.h"

/* Inputs from 'first' on must be left out: masks, caches, position biases. */
static fvlm_status check_no_more(const fvlm_tower_operands *o, size_t first)
{
    const fvlm_net_node *n = o->top->producer;
    for (size_t i = first; i < n->n_inputs; i++)
        if (n->inputs[i])
            return fvlm_match_expected(o->net, o->top, "more inputs", o->err,
                                       "%s without mask, bias and cache (input %zu)", o->what, i);
    return FVLM_OK;
}

/* Attributes that change what is computed must have the value that is given. */
static fvlm_status check_attributes(const fvlm_tower_operands *o, const char *const names[], unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        int64_t value;
        fvlm_status st = fvlm_graph_attr_int(&value, o->top->producer->node, names[i], 0, o->err);
        if (!st && value != 0)
            st = fvlm_match_expected(o->net, o->top, "another value", o->err, "%s with %s = 0", o->what, names[i]);
        if (st) return st;
    }
    return FVLM_OK;
}

/* com.microsoft's Attention reads the map itself and has the layer's weight [in, 3 * channels] and bias as inputs. */
static fvlm_status match_own_layer(fvlm_attention *out, const fvlm_tower_operands *o, fvlm_map *m)
{
    fvlm_net_node *n = o->top->producer;
    const int64_t *sizes;
    size_t n_sizes;
    fvlm_status st = fvlm_graph_attr_ints(&sizes, &n_sizes, n->node, "qkv_hidden_sizes", o->err);
    if (st) return st;
    bool ok = n->n_inputs > 1 && n->inputs[1] && n->inputs[1]->is_const && n->inputs[1]->rank == 2 &&
              n->inputs[1]->dims[1] == 3 * m->channels;
    for (size_t i = 0; i < n_sizes; i++) ok = ok && sizes[i] == (int64_t)m->channels;
    const uint64_t in = ok ? n->inputs[1]->dims[0] : 1;
    if (!ok || n->inputs[0]->n_elems != in * m->pixels || n->inputs[0]->dims[n->inputs[0]->rank - 1] != in)
        return fvlm_match_expected(o->net, o->top, "other shapes", o->err,
                                   "%s with a constant weight [in, 3 * %" PRIu64 "]", o->what, m->channels);
    out->channels = m->channels;
    out->heads = o->heads;
    out->packed = true;
    for (unsigned k = 0; k < 3; k++) {
        out->linear[k] =
            (fvlm_linear){.node = n, .weight = n->inputs[1], .transposed = true, .in = in, .out = 3 * m->channels};
        out->first_row[k] = k * m->channels;
    }
    *m = (fvlm_map){n->inputs[0], in, m->pixels, true};
    return FVLM_OK;
}

/* The attributes of the three attention operators that matter here. */
static fvlm_status check_operator(fvlm_tower_operands *o, const fvlm_map *m, bool microsoft, uint64_t head_dim)
{
    static const char *const zeros[] = {"is_causal", "unidirectional", "do_rotary"};
    /* Those at the end concern masks, caches, rotation and further outputs, none of which is there. */
    static const char *const known[] = {"is_causal",
                                        "unidirectional",
                                        "do_rotary",
                                        "softcap",
                                        "scale",
                                        "num_heads",
                                        "q_num_heads",
                                        "kv_num_heads",
                                        "qkv_hidden_sizes",
                                        "softmax_precision",
                                        "mask_filter_value",
                                        "past_present_share_buffer",
                                        "rotary_embedding_dim",
                                        "qk_matmul_output_mode",
                                        NULL};
    const fvlm_net_node *n = o->top->producer;
    int64_t heads = 0, kv_heads = 0;
    float scale = 0, softcap = 0;
    fvlm_status st = fvlm_match_known_attrs(o->net, n, known, o->err);
    if (!st) st = check_attributes(o, zeros, sizeof zeros / sizeof *zeros);
    if (!st) st = fvlm_graph_attr_float(&softcap, n->node, "softcap", 0, o->err);
    if (!st) st = fvlm_graph_attr_float(&scale, n->node, "scale", 0, o->err);
    if (!st) st = fvlm_graph_attr_int(&heads, n->node, microsoft ? "num_heads" : "q_num_heads", 0, o->err);
    if (!st) st = fvlm_graph_attr_int(&kv_heads, n->node, "kv_num_heads", heads, o->err);
    if (st) return st;
    if (!microsoft && n->inputs[0]->rank == 4) heads = (int64_t)n->inputs[0]->dims[1];
    if (softcap != 0 || (n->inputs[0]->rank != 4 && heads != kv_heads) || heads < 1)
        return fvlm_match_expected(o->net, o->top, "another kind", o->err,
                                   "%s without softcap, with as many heads of keys as of queries", o->what);
    o->heads = (uint64_t)heads;
    o->head_dim = m->channels / o->heads;
    const fvlm_scalar of_scores = {.x = scale != 0 ? (double)scale : 1 / sqrt((double)o->head_dim), .slack = 1e-6};
    st = fvlm_tower_check_heads(o, m->channels, head_dim);
    return st ? st : fvlm_tower_check_scale(o, head_dim, of_scores);
}

fvlm_status fvlm_tower_match_operator(fvlm_attention *out, fvlm_tower_operands *o, fvlm_map *m, uint64_t head_dim)
{
    fvlm_net_node *n = o->top->producer;
    const bool microsoft = strcmp(n->node->domain, "") != 0, own = microsoft && !strcmp(n->op, "Attention");
    const unsigned at = own ? 2 : 3; /* the bias, in com.microsoft's operators */
    fvlm_tower_order order[3];
    fvlm_status st = check_no_more(o, microsoft ? at + 1 : 3);
    if (!st) st = check_operator(o, m, microsoft, head_dim);
    if (st) return st;
    out->packed_bias = microsoft && n->n_inputs > at ? n->inputs[at] : NULL;
    if (out->packed_bias && out->packed_bias->n_elems != 3 * m->channels)
        return fvlm_match_expected(o->net, o->top, "another size", o->err, "a bias of 3 * %" PRIu64, m->channels);
    if (own) return match_own_layer(out, o, m);
    for (unsigned k = 0; k < 3; k++) {
        fvlm_net_value *v = k < n->n_inputs ? n->inputs[k] : NULL;
        if (!v || v->is_const || v->n_elems != m->channels * m->pixels)
            return fvlm_match_expected(o->net, o->top, "other inputs", o->err,
                                       "%s with %s of its own, %" PRIu64 " by %" PRIu64, o->what,
                                       fvlm_tower_operand_names[k], m->pixels, m->channels);
        order[k] = v->rank == 4 ? FVLM_HEAD_PIXEL_CHANNEL : FVLM_PIXEL_HEAD_CHANNEL;
        fvlm_view_trace(&o->view[k], v, NULL);
    }
    return fvlm_tower_match_layers(out, o, order, m);
}
