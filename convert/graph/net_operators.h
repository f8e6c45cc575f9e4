/* SPDX-License-Identifier: Apache-2.0 */
/* net_operators.h - the handlers of all operators; private to net*.c. net_operators.c has the table. */
#ifndef FVLM_CONVERT_GRAPH_NET_OPERATORS_H
#define FVLM_CONVERT_GRAPH_NET_OPERATORS_H

#include "convert/graph/net_internal.h"

/* net_op_elementwise.c */
fvlm_net_handler fvlm_net_op_identity, fvlm_net_op_dropout, fvlm_net_op_unary, fvlm_net_op_is_inf, fvlm_net_op_is_nan,
    fvlm_net_op_binary, fvlm_net_op_mod, fvlm_net_op_variadic, fvlm_net_op_where, fvlm_net_op_clip, fvlm_net_op_cast,
    fvlm_net_op_cast_like, fvlm_net_op_gelu, fvlm_net_op_bias_gelu, fvlm_net_op_quick_gelu;
/* net_op_move.c, net_op_slice.c */
fvlm_net_handler fvlm_net_op_reshape, fvlm_net_op_flatten, fvlm_net_op_squeeze, fvlm_net_op_unsqueeze,
    fvlm_net_op_transpose, fvlm_net_op_expand, fvlm_net_op_tile, fvlm_net_op_concat, fvlm_net_op_slice,
    fvlm_net_op_split, fvlm_net_op_gather, fvlm_net_op_elements, fvlm_net_op_nd, fvlm_net_op_trilu, fvlm_net_op_pad;
/* net_op_create.c, net_op_reduce.c */
fvlm_net_handler fvlm_net_op_shape, fvlm_net_op_size, fvlm_net_op_constant_of_shape, fvlm_net_op_range,
    fvlm_net_op_nonzero, fvlm_net_op_reduce, fvlm_net_op_arg, fvlm_net_op_cumsum, fvlm_net_op_softmax;
/* net_op_conv.c, net_op_matmul.c, net_op_norm.c, net_op_attention.c */
fvlm_net_handler fvlm_net_op_conv, fvlm_net_op_fused_conv, fvlm_net_op_pool, fvlm_net_op_global_pool,
    fvlm_net_op_matmul, fvlm_net_op_gemm, fvlm_net_op_fused_matmul, fvlm_net_op_layer_norm, fvlm_net_op_skip_norm,
    fvlm_net_op_batch_norm, fvlm_net_op_rotary, fvlm_net_op_gqa, fvlm_net_op_mha, fvlm_net_op_attention;
/* net_op_quantize.c, net_op_integer.c, net_op_packed.c */
fvlm_net_handler fvlm_net_op_quantize_linear, fvlm_net_op_dequantize_linear, fvlm_net_op_dynamic_quantize,
    fvlm_net_op_integer, fvlm_net_op_mul, fvlm_net_op_integer_to_float, fvlm_net_op_dynamic_matmul,
    fvlm_net_op_qlinear_matmul, fvlm_net_op_qlinear_conv, fvlm_net_op_qlinear_binary, fvlm_net_op_qlinear_unary,
    fvlm_net_op_nbits, fvlm_net_op_bnb4, fvlm_net_op_gather_blocks;

/* The window of a convolution of x, and the shape of its result. */
fvlm_status fvlm_net_conv_window(const fvlm_net_window **out, fvlm_net_shape *shape, fvlm_net *net,
                                 const fvlm_graph_node *n, const fvlm_net_value *x, const fvlm_net_value *weight,
                                 fvlm_err *err);
/* Replaces *x by its activation ("": none), as FusedConv and FusedGemm name it. */
fvlm_status fvlm_net_emit_activation(fvlm_net_value **x, fvlm_net *net, const fvlm_graph_node *n,
                                     const char *activation, fvlm_err *err);
/* Integers that stand for x, of this type if there is no zero point; and the activation that integers stand for, if
 * they are read as they were made. */
fvlm_status fvlm_net_quantize(fvlm_net_value **out, fvlm_net *net, fvlm_net_value *x, fvlm_net_value *scale,
                              fvlm_net_value *zero, int32_t type, fvlm_err *err);
fvlm_status fvlm_net_dequantize(fvlm_net_value **out, const fvlm_net_value *x, const fvlm_net_value *scale,
                                const fvlm_net_value *zero, fvlm_err *err);

#endif
