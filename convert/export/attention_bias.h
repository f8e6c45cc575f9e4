/* SPDX-License-Identifier: Apache-2.0 */
/* attention_bias.h - private to convert/export: the bias of attn.qkv in a form that upstream's attention, which has no
 * bias there, computes the same with.
 *
 * A .fvlm file holds  q, k, v = W x + b  for the normalized x. Upstream computes  W (x + n),  n being the shift of its
 * LayerNorm. As convert made it, b = W n, and that n is taken. W may be quantized or rounded since, so that no n gives
 * b. Then three facts help:
 *   q   needs  Wq n = bq,  a square system
 *   k   a bias there adds the same to all scores of a query, which softmax does not see
 *   v   attention weights add up to 1, so a constant in v passes through:  proj.bias += Wproj (bv - Wv n)
 */
#ifndef FVLM_CONVERT_EXPORT_ATTENTION_BIAS_H
#define FVLM_CONVERT_EXPORT_ATTENTION_BIAS_H

#include "format/reader.h"

typedef struct {
    float *shift;     /* n, [dim], malloc'd */
    float *proj_bias; /* [dim], malloc'd */
    size_t dim;
    double error; /* |Wq n - bq| / |bq|, from rounding n to f32 */
} fvlm_attention_bias;

/* block: "vision.stage3.block0". Refuses (FVLM_UNSUPPORTED) query matrices that are too near singular. On failure
 * nothing needs to be freed. */
fvlm_status fvlm_attention_bias_find(fvlm_attention_bias *out, const fvlm_reader *r, const char *block,
                                     const fvlm_stop *stop, fvlm_err *err);
void fvlm_attention_bias_free(fvlm_attention_bias *b);

#endif
