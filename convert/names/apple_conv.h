/* SPDX-License-Identifier: Apache-2.0 */
/* apple_conv.h - how Apple's checkpoints store one convolution; private to names/.
 *
 * Fused: AT.weight and AT.bias. As trained: branches that are summed, each a kernel (or the identity) followed by
 * BatchNorm. Each function appends branches to a recipe and requires their tensors; fmt and what follows give AT. */
#ifndef FVLM_CONVERT_NAMES_APPLE_CONV_H
#define FVLM_CONVERT_NAMES_APPLE_CONV_H

#include "convert/names/resolver.h"

/* The branches of one MobileOne block: rbr_conv.{0 .. n_convs-1}, rbr_scale, rbr_skip (the identity). */
typedef struct {
    unsigned n_convs;
    bool scale, skip;
} fvlm_mobile_one;

void fvlm_apple_require_fused(fvlm_resolver *r, fvlm_recipe *m, const char *fmt, ...) FVLM_PRINTF(3, 4);

/* AT.conv and AT.bn: a convolution, usually without bias, then BatchNorm; or one that BatchNorm was folded into, with
 * a bias and without AT.bn. */
void fvlm_apple_require_conv_bn(fvlm_resolver *r, fvlm_recipe *m, int sign, const char *fmt, ...) FVLM_PRINTF(4, 5);

void fvlm_apple_require_mobile_one(fvlm_resolver *r, fvlm_recipe *m, int sign, fvlm_mobile_one has, const char *fmt,
                                   ...) FVLM_PRINTF(5, 6);

/* The whole MobileOne convolution AT, fused (AT.reparam_conv) or as branches, and its shape. It has an identity branch
 * exactly if input and output have the same shape. */
void fvlm_apple_resolve_conv(fvlm_resolver *r, fvlm_recipe *m, fvlm_conv_shape shape, const char *fmt, ...)
    FVLM_PRINTF(4, 5);

#endif
