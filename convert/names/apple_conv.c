/* SPDX-License-Identifier: Apache-2.0 */
/* apple_conv.c - see apple_conv.h. */
#include "convert/names/apple_conv.h"

/* Appends a branch, an identity until its kernel is set. */
static fvlm_branch *add_branch(fvlm_resolver *r, fvlm_recipe *m, int sign)
{
    if (m->n_branches < FVLM_MAX_BRANCHES) {
        m->branch[m->n_branches] = (fvlm_branch){.sign = sign, .k = 1};
        return &m->branch[m->n_branches++];
    }
    if (!r->st) r->st = fvlm_fail(r->err, FVLM_LIMIT, "\"%s\" has more than %d branches", m->name, FVLM_MAX_BRANCHES);
    return &r->nowhere.branch[0];
}

static void require_bn(fvlm_resolver *r, fvlm_branch *b, const char *at)
{
    b->bn.gamma = fvlm_resolver_require(r, "%s.weight", at);
    b->bn.beta = fvlm_resolver_require(r, "%s.bias", at);
    b->bn.mean = fvlm_resolver_require(r, "%s.running_mean", at);
    b->bn.var = fvlm_resolver_require(r, "%s.running_var", at);
}

void fvlm_apple_require_fused(fvlm_resolver *r, fvlm_recipe *m, const char *fmt, ...)
{
    char at[FVLM_MAX_SOURCE_NAME];
    FVLM_FORMAT_NAME(at, fmt);
    fvlm_branch *b = add_branch(r, m, 1);
    b->kernel = fvlm_resolver_require(r, "%s.weight", at);
    b->bias = fvlm_resolver_require(r, "%s.bias", at);
}

void fvlm_apple_require_conv_bn(fvlm_resolver *r, fvlm_recipe *m, int sign, const char *fmt, ...)
{
    char at[FVLM_MAX_SOURCE_NAME - 8], bn[FVLM_MAX_SOURCE_NAME];
    FVLM_FORMAT_NAME(at, fmt);
    fvlm_branch *b = add_branch(r, m, sign);
    b->kernel = fvlm_resolver_require(r, "%s.conv.weight", at);
    const bool has_bias = fvlm_resolver_has(r, "%s.conv.bias", at);
    if (has_bias) b->bias = fvlm_resolver_require(r, "%s.conv.bias", at);
    snprintf(bn, sizeof bn, "%s.bn", at);
    if (!has_bias || fvlm_resolver_has_prefix(r, "%s.", bn)) require_bn(r, b, bn);
}

void fvlm_apple_require_mobile_one(fvlm_resolver *r, fvlm_recipe *m, int sign, fvlm_mobile_one has, const char *fmt,
                                   ...)
{
    char at[FVLM_MAX_SOURCE_NAME - 16], skip[FVLM_MAX_SOURCE_NAME];
    FVLM_FORMAT_NAME(at, fmt);
    for (unsigned i = 0; i < has.n_convs && !r->st; i++)
        fvlm_apple_require_conv_bn(r, m, sign, "%s.rbr_conv.%u", at, i);
    if (has.scale) fvlm_apple_require_conv_bn(r, m, sign, "%s.rbr_scale", at);
    snprintf(skip, sizeof skip, "%s.rbr_skip", at);
    if (has.skip) require_bn(r, add_branch(r, m, sign), skip); /* no kernel: the identity */
}

void fvlm_apple_resolve_conv(fvlm_resolver *r, fvlm_recipe *m, fvlm_conv_shape shape, const char *fmt, ...)
{
    char at[FVLM_MAX_SOURCE_NAME];
    FVLM_FORMAT_NAME(at, fmt);
    fvlm_mobile_one has = {0};
    if (!fvlm_resolver_has_prefix(r, "%s.reparam_conv.", at))
        has.n_convs = fvlm_resolver_count(r, FVLM_MAX_BRANCHES, "%s.rbr_conv.", at);
    if (has.n_convs == 0) {
        fvlm_apple_require_fused(r, m, "%s.reparam_conv", at);
    } else {
        has.scale = fvlm_resolver_has_prefix(r, "%s.rbr_scale.", at);
        has.skip = shape.stride == 1 && shape.out && shape.out == (shape.depthwise ? shape.groups : shape.in);
        fvlm_apple_require_mobile_one(r, m, 1, has, "%s", at);
    }
    fvlm_recipe_set_conv(m, shape, &r->shape);
}
