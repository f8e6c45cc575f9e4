/* SPDX-License-Identifier: Apache-2.0 */
/* apple_conv.c - see apple_conv.h. */
#include "convert/names/apple_conv.h"

#include <stdio.h>

#define MAX_PATH_TEXT 200

static fvlm_branch *add_branch(fvlm_resolver *r, fvlm_recipe *m, int sign)
{
    fvlm_branch *b = fvlm_recipe_add_branch(m, sign);
    if (b) return b;
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

void fvlm_apple_require_fused(fvlm_resolver *r, fvlm_recipe *m, const char *at)
{
    fvlm_branch *b = add_branch(r, m, 1);
    b->kernel = fvlm_resolver_require(r, "%s.weight", at);
    b->bias = fvlm_resolver_require(r, "%s.bias", at);
}

void fvlm_apple_require_conv_bn(fvlm_resolver *r, fvlm_recipe *m, int sign, const char *at)
{
    char bn[MAX_PATH_TEXT];
    fvlm_branch *b = add_branch(r, m, sign);
    b->kernel = fvlm_resolver_require(r, "%s.conv.weight", at);
    if (fvlm_resolver_has(r, "%s.conv.bias", at)) b->bias = fvlm_resolver_require(r, "%s.conv.bias", at);
    snprintf(bn, sizeof bn, "%s.bn", at);
    require_bn(r, b, bn);
}

void fvlm_apple_require_mobile_one(fvlm_resolver *r, fvlm_recipe *m, int sign, const char *at, fvlm_mobile_one branches)
{
    char path[MAX_PATH_TEXT];
    for (unsigned i = 0; i < branches.n_convs && !r->st; i++) {
        snprintf(path, sizeof path, "%s.rbr_conv.%u", at, i);
        fvlm_apple_require_conv_bn(r, m, sign, path);
    }
    snprintf(path, sizeof path, "%s.rbr_scale", at);
    if (branches.scale) fvlm_apple_require_conv_bn(r, m, sign, path);
    snprintf(path, sizeof path, "%s.rbr_skip", at);
    if (branches.skip) require_bn(r, add_branch(r, m, sign), path); /* no kernel: the identity */
}

fvlm_recipe *fvlm_apple_conv(fvlm_resolver *r, const char *name, const char *at, fvlm_conv_shape shape)
{
    fvlm_recipe *m = fvlm_resolver_new_recipe(r, "%s", name);
    unsigned n = fvlm_resolver_has_prefix(r, "%s.reparam_conv.", at)
                     ? 0
                     : fvlm_resolver_count(r, FVLM_MAX_BRANCHES, "%s.rbr_conv.", at);
    if (n == 0) {
        char path[MAX_PATH_TEXT];
        snprintf(path, sizeof path, "%s.reparam_conv", at);
        fvlm_apple_require_fused(r, m, path);
    } else {
        fvlm_mobile_one branches = {.n_convs = n, .scale = fvlm_resolver_has_prefix(r, "%s.rbr_scale.", at)};
        branches.skip = shape.stride == 1 && shape.out && shape.out == (shape.depthwise ? shape.groups : shape.in);
        fvlm_apple_require_mobile_one(r, m, 1, at, branches);
    }
    fvlm_recipe_set_conv(m, shape, &r->shape);
    return m;
}
