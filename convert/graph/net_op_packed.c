/* SPDX-License-Identifier: Apache-2.0 */
/* net_op_packed.c - handlers of onnxruntime's products with packed weights: MatMulNBits, MatMulBnb4,
 * GatherBlockQuantized. Layouts: onnxruntime's docs/ContribOperators.md. */
#include "convert/graph/net_operators.h"

#include <inttypes.h>
#include <string.h>

static fvlm_status block_of(fvlm_packed *p, const fvlm_graph_node *n, int64_t absent, fvlm_err *err)
{
    fvlm_status st = fvlm_net_attr_count(&p->block, n, "block_size", absent, err);
    if (!st && (p->block < 16 || p->block & (p->block - 1)))
        st = fvlm_fail(err, FVLM_BAD_INPUT, "block_size = %" PRIu64 " is not a power of 2 from 16 up", p->block);
    return st;
}

static fvlm_status expect(const fvlm_net_value *v, const char *what, uint64_t n, fvlm_err *err)
{
    if (v->n_elems == n) return FVLM_OK;
    return fvlm_fail(err, FVLM_BAD_INPUT, "%s: %" PRIu64 " elements instead of %" PRIu64, what, v->n_elems, n);
}

static fvlm_status new_packed(fvlm_net_value **out, fvlm_net *net, const fvlm_net_value *weight,
                              const fvlm_net_value *scales, const fvlm_net_value *zeros, const fvlm_packed *packed,
                              const fvlm_net_shape *shape, fvlm_err *err)
{
    if (!weight->is_const || !scales->is_const || (zeros && !zeros->is_const))
        return fvlm_fail(err, FVLM_UNSUPPORTED, "its packed weights, scales and zero points must be constants");
    fvlm_status st = fvlm_net_new_value(out, net, scales->type, shape, err);
    if (st) return st;
    fvlm_net_weight *w = &(*out)->weight;
    (*out)->is_const = true;
    (*out)->name = weight->name;
    w->packed = *packed;
    w->tensor = fvlm_net_tensor_of(net, weight, err);
    if (w->tensor) w->packed.scales = fvlm_net_tensor_of(net, scales, err);
    if (!w->packed.scales) return err->code;
    if (zeros && !(w->packed.zero_points = fvlm_net_tensor_of(net, zeros, err))) return err->code;
    return FVLM_OK;
}

/* g_idx: only the original order of columns is supported. */
static fvlm_status check_order(const fvlm_net_value *order, uint64_t k, uint64_t block, fvlm_err *err)
{
    if (!order) return FVLM_OK;
    bool plain = order->numbers && order->n_elems >= k;
    for (uint64_t i = 0; i < k && plain; i++) plain = order->numbers[i] == (double)(i / block);
    return plain ? FVLM_OK : fvlm_fail(err, FVLM_UNSUPPORTED, "its columns are reordered (g_idx)");
}

/* MatMulNBits(a, packed [N, blocks, bytes], scales, zero points, order, bias). */
fvlm_status fvlm_net_op_nbits(fvlm_net *net, const fvlm_graph_node *n, fvlm_net_value **in, fvlm_net_value **out,
                              fvlm_err *err)
{
    uint64_t k = 0, rows = 0, bits = 4;
    fvlm_packed p = {.kind = FVLM_PACKED_NBITS, .axis = 1};
    fvlm_status st = fvlm_net_attr_count(&k, n, "K", 0, err);
    if (!st) st = fvlm_net_attr_count(&rows, n, "N", 0, err);
    if (!st) st = fvlm_net_attr_count(&bits, n, "bits", 4, err);
    if (!st) st = block_of(&p, n, 128, err);
    if (!st) st = fvlm_net_attr_only(n, "weight_prepacked", 0, err);
    if (!st && bits != 4 && bits != 8)
        st = fvlm_fail(err, FVLM_UNSUPPORTED, "%" PRIu64 " bits are not supported, 4 and 8 are", bits);
    if (st) return st;
    p.bits = (unsigned)bits;
    uint64_t blocks = (k + p.block - 1) / p.block;
    st = expect(in[1], "packed weight", rows * blocks * (p.block * bits / 8), err);
    if (!st) st = expect(in[2], "scales", rows * blocks, err);
    if (!st && in[3])
        st = expect(in[3], "zero points",
                    fvlm_net_is_float(in[3]->type) ? rows * blocks : rows * ((blocks * bits + 7) / 8), err);
    if (!st) st = check_order(in[4], k, p.block, err);
    fvlm_net_value *w = NULL;
    fvlm_net_shape shape = {.rank = 2, .dims = {k, rows}};
    if (!st) st = new_packed(&w, net, in[1], in[2], in[3], &p, &shape, err);
    if (st) return st;
    w->weight.transposed = true;
    st = fvlm_net_emit_matmul(out, net, in[0], w, err);
    return st || !in[5] ? st : fvlm_net_emit_binary(out, net, "Add", *out, in[5], err);
}

/* MatMulBnb4(a, packed, largest magnitudes). */
fvlm_status fvlm_net_op_bnb4(fvlm_net *net, const fvlm_graph_node *n, fvlm_net_value **in, fvlm_net_value **out,
                             fvlm_err *err)
{
    uint64_t k = 0, rows = 0;
    int64_t table = 0;
    fvlm_packed p = {.kind = FVLM_PACKED_BNB4, .bits = 4, .axis = 1};
    fvlm_status st = fvlm_net_attr_count(&k, n, "K", 0, err);
    if (!st) st = fvlm_net_attr_count(&rows, n, "N", 0, err);
    if (!st) st = block_of(&p, n, 0, err);
    if (!st) st = fvlm_graph_attr_int(&table, n, "quant_type", 1, err);
    if (!st) st = fvlm_net_attr_only(n, "transB", 1, err);
    if (!st && table != 0 && table != 1)
        st = fvlm_fail(err, FVLM_BAD_INPUT, "quant_type = %" PRId64 " is neither 0 (FP4) nor 1 (NF4)", table);
    if (st) return st;
    p.table = (unsigned)table;
    st = expect(in[1], "packed weight", (rows * k + 1) / 2, err);
    if (!st) st = expect(in[2], "absmax", (rows * k + p.block - 1) / p.block, err);
    fvlm_net_value *w = NULL;
    fvlm_net_shape shape = {.rank = 2, .dims = {k, rows}};
    if (!st) st = new_packed(&w, net, in[1], in[2], NULL, &p, &shape, err);
    if (st) return st;
    w->weight.transposed = true;
    return fvlm_net_emit_matmul(out, net, in[0], w, err);
}

/* GatherBlockQuantized(packed [rows, columns], indices, scales, zero points). */
fvlm_status fvlm_net_op_gather_blocks(fvlm_net *net, const fvlm_graph_node *n, fvlm_net_value **in,
                                      fvlm_net_value **out, fvlm_err *err)
{
    uint64_t bits = 4;
    unsigned gather = 0, quantize = 0;
    fvlm_packed p = {.kind = FVLM_PACKED_GATHER, .axis = 1};
    if (in[0]->rank != 2) return fvlm_fail(err, FVLM_UNSUPPORTED, "its table must be a matrix");
    fvlm_status st = fvlm_net_attr_axis(&gather, n, "gather_axis", 0, 2, err);
    if (!st) st = fvlm_net_attr_axis(&quantize, n, "quantize_axis", 1, 2, err);
    if (!st) st = fvlm_net_attr_count(&bits, n, "bits", 4, err);
    if (!st) st = block_of(&p, n, 128, err);
    if (!st && (gather != 0 || quantize != 1 || (bits != 4 && bits != 8)))
        st = fvlm_fail(err, FVLM_UNSUPPORTED, "only gather_axis 0, quantize_axis 1 and 4 or 8 bits are supported");
    if (st) return st;
    p.bits = (unsigned)bits;
    fvlm_net_shape shape = fvlm_net_shape_of(in[0]);
    bool bytes = in[0]->type == FVLM_ONNX_U8;
    if (!bytes && (bits != 4 || (in[0]->type != FVLM_ONNX_U4 && in[0]->type != FVLM_ONNX_I4)))
        return fvlm_fail(err, FVLM_UNSUPPORTED, "a table of type %s with %" PRIu64 " bits",
                         fvlm_onnx_type_name(in[0]->type), bits);
    if (bytes) shape.dims[1] *= 8 / bits;
    uint64_t blocks = (shape.dims[1] + p.block - 1) / p.block;
    st = expect(in[2], "scales", shape.dims[0] * blocks, err);
    if (!st && in[3])
        st = expect(in[3], "zero points", shape.dims[0] * (bytes ? (blocks * bits + 7) / 8 : blocks), err);
    fvlm_net_value *inputs[2] = {NULL, in[1]};
    if (!st) st = new_packed(&inputs[0], net, in[0], in[2], in[3], &p, &shape, err);
    fvlm_net_node proto = {.op = "Gather", .n_inputs = 2, .inputs = inputs};
    if (in[1]->rank >= FVLM_GRAPH_MAX_RANK) return fvlm_fail(err, FVLM_LIMIT, "indices of rank %u", in[1]->rank);
    fvlm_net_shape y = fvlm_net_shape_of(in[1]);
    y.dims[y.rank++] = shape.dims[1];
    return st ? st : fvlm_net_emit(out, net, &proto, in[2]->type, &y, err);
}
