/* SPDX-License-Identifier: Apache-2.0 */
/* kernels_tmpl.h - all kernels, and their table, for one instruction set.
 *
 *   The including file defines   V_ISA_AVX2, V_ISA_AVX512, V_ISA_NEON (and V_ISA_DOTPROD), or none of them: plain C
 *                                V_TABLE, V_NAME   the table that comes out, and its name for --cpu
 *   and opens before             FVLM_TARGET_* (format/base/target.h) */
#include "reference/ops/kernels/depthwise_tmpl.h"
#include "reference/ops/kernels/gemm_f32_tmpl.h"
#include "reference/ops/kernels/gemm_int_tmpl.h"
#include "reference/ops/kernels/peak_tmpl.h"
#include "reference/ops/kernels/rows_tmpl.h"

_Static_assert(TILE_INT_PANELS <= TILE_F32_PANELS, "the sums of both kinds of product share SUMS_STRIDE");
_Static_assert(FVLM_ROW_BLOCK *SUMS_STRIDE + K_BLOCK * 16 * TILE_F32_PANELS <= FVLM_LINEAR_SCRATCH, "scratch");

const fvlm_kernels V_TABLE = {
    .name = V_NAME,
    .linear = linear,
    .quantize = quantize,
    .matmul = matmul,
    .depthwise = depthwise,
    .layer_norm = layer_norm,
    .rms_norm = rms_norm,
    .softmax = softmax,
    .divide = divide,
    .silu_mul = silu_mul,
    .gate_gelu = gate_gelu,
    .channel_mean = channel_mean,
    .all_finite = all_finite,
    .rope = rope,
    .panel = panel,
    .peak_f32 = peak_f32,
    .peak_int8 = peak_int8,
};
