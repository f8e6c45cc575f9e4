/* SPDX-License-Identifier: Apache-2.0 */
/* net_op_attention.c - handlers that check the shapes of attention operators and leave them as they are. B batch, S new
 * positions, P past ones, T = P + S, N heads, H their width.
 * Definitions: onnxruntime's docs/ContribOperators.md, https://onnx.ai/onnx/operators (opset 23 and up). */
#include "convert/graph/net_operators.h"

#include <inttypes.h>
#include <string.h>

static fvlm_status misfit(const fvlm_net_value *v, const char *what, fvlm_err *err)
{
    char text[200];
    return fvlm_fail(err, FVLM_BAD_INPUT, "%s of shape %s does not fit", what,
                     fvlm_net_shape_text(v->rank, v->dims, text));
}

/* The node with outputs of these shapes; rank 0: not an output. */
static fvlm_status append(fvlm_net *net, const fvlm_graph_node *n, fvlm_net_value **in, fvlm_net_value **out,
                          const fvlm_net_shape *shapes, size_t n_shapes, fvlm_err *err)
{
    fvlm_net_node proto = {.op = n->op, .n_inputs = n->n_inputs, .inputs = in, .outputs = out};
    proto.n_outputs = n->n_outputs < n_shapes ? n->n_outputs : n_shapes;
    fvlm_status st = FVLM_OK;
    for (size_t i = 0; i < proto.n_outputs && !st; i++)
        if (shapes[i].rank && n->outputs[i] != FVLM_GRAPH_NONE)
            st = fvlm_net_new_value(&out[i], net, in[0]->type, &shapes[i], err);
    return st ? st : fvlm_net_append(net, &proto, err);
}

/* com.microsoft: x [B, S, N * H] or [B, N, S, H], positions, cosines and sines [max, rotated / 2].
 * ai.onnx: x, cosines, sines, positions. */
fvlm_status fvlm_net_op_rotary(fvlm_net *net, const fvlm_graph_node *n, fvlm_net_value **in, fvlm_net_value **out,
                               fvlm_err *err)
{
    bool microsoft = strcmp(n->domain, "com.microsoft") == 0;
    const fvlm_net_value *cosines = in[microsoft ? 2 : 1], *sines = in[microsoft ? 3 : 2];
    fvlm_net_shape shape = fvlm_net_shape_of(in[0]), table = fvlm_net_shape_of(cosines);
    if (shape.rank != 3 && shape.rank != 4) return misfit(in[0], "an input", err);
    if (table.rank < 2 || !fvlm_net_same_shape(sines, &table)) return misfit(sines, "a table", err);
    return append(net, n, in, out, &shape, 1, err);
}

/* query [B, S, N * H], or all three in it; key, value [B, S, kv * H]; past [B, kv, P, H]. */
fvlm_status fvlm_net_op_gqa(fvlm_net *net, const fvlm_graph_node *n, fvlm_net_value **in, fvlm_net_value **out,
                            fvlm_err *err)
{
    uint64_t heads = 0, kv = 0;
    const fvlm_net_value *q = in[0], *past = in[3];
    fvlm_status st = fvlm_net_attr_count(&heads, n, "num_heads", 0, err);
    if (!st) st = fvlm_net_attr_count(&kv, n, "kv_num_heads", 0, err);
    if (st) return st;
    if (heads % kv != 0) return fvlm_fail(err, FVLM_BAD_INPUT, "%" PRIu64 " heads of %" PRIu64 " groups", heads, kv);
    uint64_t of = in[1] ? heads : heads + 2 * kv;
    if (q->rank != 3 || q->dims[2] % of != 0) return misfit(q, "a query", err);
    uint64_t width = q->dims[2] / of;
    for (unsigned i = 1; i <= 2; i++) {
        if (!in[1] != !in[i])
            return fvlm_fail(err, FVLM_BAD_INPUT, "it has a key without a value, or a value without a key");
        if (in[i] && (in[i]->rank != 3 || in[i]->dims[0] != q->dims[0] || in[i]->dims[2] != kv * width))
            return misfit(in[i], i == 1 ? "a key" : "a value", err);
    }
    if (past && (past->rank != 4 || past->dims[0] != q->dims[0] || past->dims[1] != kv || past->dims[3] != width))
        return misfit(past, "a past", err);
    uint64_t total = q->dims[1] + (past ? past->dims[2] : 0);
    if (in[6] && in[6]->numbers && in[6]->n_elems == 1 && in[6]->numbers[0] > 0)
        total = (uint64_t)fvlm_net_to_int(in[6]->numbers[0]);
    fvlm_net_shape shapes[3] = {{3, {q->dims[0], q->dims[1], heads * width}}, {4, {q->dims[0], kv, total, width}}};
    shapes[2] = shapes[1];
    return append(net, n, in, out, shapes, 3, err);
}

/* query [B, S, N * H], or [B, S, N, 3, H] with key and value in it; key and value [B, L, N * H] or [B, N, L, H], or
 * both in key [B, L, N, 2, H]; past at 6 and 7. */
fvlm_status fvlm_net_op_mha(fvlm_net *net, const fvlm_graph_node *n, fvlm_net_value **in, fvlm_net_value **out,
                            fvlm_err *err)
{
    uint64_t heads = 0;
    const fvlm_net_value *q = in[0], *k = in[1], *v = in[2], *past = in[6];
    fvlm_status st = fvlm_net_attr_count(&heads, n, "num_heads", 0, err);
    if (st) return st;
    bool packed = q->rank == 5;
    if ((packed ? q->dims[2] != heads || q->dims[3] != 3 : q->rank != 3 || q->dims[2] % heads != 0) || packed != !k)
        return misfit(q, "a query", err);
    uint64_t width = packed ? q->dims[4] : q->dims[2] / heads, length = q->dims[1], v_width = width;
    if (k && (k->rank < 3 || k->rank > 5 || k->dims[0] != q->dims[0])) return misfit(k, "a key", err);
    if (k) length = k->dims[k->rank == 4 ? 2 : 1];
    if (v && v->rank != 3 && v->rank != 4) return misfit(v, "a value", err);
    if (v && (v->rank == 3 ? v->dims[2] % heads != 0 : v->dims[1] != heads)) return misfit(v, "a value", err);
    if (v) v_width = v->rank == 3 ? v->dims[2] / heads : v->dims[3];
    if (past && (past->rank != 4 || past->dims[1] != heads)) return misfit(past, "a past", err);
    uint64_t total = length + (past ? past->dims[2] : 0);
    const fvlm_net_shape shapes[] = {{3, {q->dims[0], q->dims[1], heads * v_width}},
                                     {4, {q->dims[0], heads, total, width}},
                                     {4, {q->dims[0], heads, total, v_width}}};
    return append(net, n, in, out, shapes, 3, err);
}

/* com.microsoft: input [B, S, D], weights [D, 3 * N * H], bias, mask, past [2, B, N, P, H]. */
static fvlm_status microsoft_attention(fvlm_net *net, const fvlm_graph_node *n, fvlm_net_value **in,
                                       fvlm_net_value **out, fvlm_err *err)
{
    uint64_t heads = 0;
    const fvlm_net_value *x = in[0], *w = in[1], *past = in[4];
    const int64_t *sizes = NULL;
    size_t n_sizes = 0;
    fvlm_status st = fvlm_net_attr_count(&heads, n, "num_heads", 0, err);
    if (!st) st = fvlm_graph_attr_ints(&sizes, &n_sizes, n, "qkv_hidden_sizes", err);
    if (st) return st;
    if (x->rank != 3) return misfit(x, "an input", err);
    if (!w || w->rank != 2 || w->dims[0] != x->dims[2]) return misfit(w ? w : x, "a weight", err);
    if (n_sizes && (n_sizes != 3 || sizes[2] < 1))
        return fvlm_fail(err, FVLM_BAD_INPUT, "qkv_hidden_sizes is not three sizes");
    uint64_t hidden = n_sizes ? (uint64_t)sizes[2] : w->dims[1] / 3;
    if (hidden % heads != 0 || (past && past->rank != 5)) return misfit(past ? past : w, "a weight or past", err);
    const fvlm_net_shape shapes[] = {
        {3, {x->dims[0], x->dims[1], hidden}},
        {5, {2, x->dims[0], heads, x->dims[1] + (past ? past->dims[3] : 0), hidden / heads}}};
    return append(net, n, in, out, shapes, 2, err);
}

/* ai.onnx 23: Q, K, V [B, S, N * H] or [B, N, S, H], mask, past key and value. */
fvlm_status fvlm_net_op_attention(fvlm_net *net, const fvlm_graph_node *n, fvlm_net_value **in, fvlm_net_value **out,
                                  fvlm_err *err)
{
    if (strcmp(n->domain, "com.microsoft") == 0) return microsoft_attention(net, n, in, out, err);
    const fvlm_net_value *q = in[0], *k = in[1], *v = in[2], *past = in[4];
    bool flat = q->rank == 3;
    uint64_t heads = q->dims[1], kv = 0;
    fvlm_status st = FVLM_OK;
    if (!k || !v || (q->rank != 3 && q->rank != 4) || k->rank != q->rank || v->rank != q->rank)
        return misfit(q, "a query", err);
    kv = k->dims[1];
    if (flat) st = fvlm_net_attr_count(&heads, n, "q_num_heads", 0, err);
    if (!st && flat) st = fvlm_net_attr_count(&kv, n, "kv_num_heads", 0, err);
    if (st) return st;
    if (!heads || !kv || (flat && (q->dims[2] % heads || k->dims[2] % kv || v->dims[2] % kv)))
        return misfit(q, "a query", err);
    uint64_t length = flat ? k->dims[1] : k->dims[2], width = flat ? k->dims[2] / kv : k->dims[3];
    uint64_t v_width = flat ? v->dims[2] / kv : v->dims[3], queries = flat ? q->dims[1] : q->dims[2];
    if (past && past->rank != 4) return misfit(past, "a past", err);
    uint64_t total = length + (past ? past->dims[2] : 0), batch = q->dims[0];
    const fvlm_net_shape whole = {4, {batch, heads, queries, v_width}}, joined = {3, {batch, queries, heads * v_width}};
    const fvlm_net_shape shapes[] = {flat ? joined : whole,
                                     {4, {batch, kv, total, width}},
                                     {4, {batch, kv, total, v_width}},
                                     {4, {batch, heads, queries, total}}};
    return append(net, n, in, out, shapes, 4, err);
}
