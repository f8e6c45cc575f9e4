/* SPDX-License-Identifier: Apache-2.0 */
/* match_names.c - see match_tower.h: convolutions and their modules under the names of Apple's checkpoint.
 * names/apple_tower.c is the grammar that these names are read by. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "convert/graph/match_tower.h"

/* BatchNorm that does nothing but scale: 1 / sqrt(variance + 1e-5) is 1 to 1e-8. */
#define UNIT_VARIANCE 0.99999f

fvlm_match_tensor *fvlm_emit_tensor(fvlm_tower *t, unsigned rank, const uint64_t *dims, const char *prefix,
                                    const char *name)
{
    fvlm_match_tensor *out = fvlm_match_add(t->m, t->err, "%s%s", prefix, name);
    if (!out) return NULL;
    out->rank = rank;
    memcpy(out->dims, dims, rank * sizeof *dims);
    return out;
}

fvlm_status fvlm_emit_vector(fvlm_tower *t, const fvlm_net_value *v, uint64_t n, float fill, unsigned rank,
                             const fvlm_net_node *user, const char *prefix, const char *name)
{
    const uint64_t dims[] = {n, 1, 1};
    fvlm_match_tensor *out = fvlm_emit_tensor(t, rank, dims, prefix, name);
    if (!out) return FVLM_NOMEM;
    out->node = user->node;
    out->fill = fill;
    if (!v) return FVLM_OK;
    if (v->n_elems == n)
        return fvlm_match_set_rows(out, t->net, &(fvlm_match_rows){.v = v, .n_rows = n}, 1, user, t->err);
    fvlm_scalar s;
    if (v->n_elems != 1 || !fvlm_scalar_of(&s, v))
        return fvlm_match_expected(t->net, user->outputs[0], "another number", t->err, "%" PRIu64 " numbers for \"%s\"",
                                   n, out->name);
    out->fill = (float)s.x;
    return FVLM_OK;
}

static fvlm_status emit_kernel(fvlm_tower *t, const fvlm_net_branch *b, const char *prefix, const char *name)
{
    const fvlm_net_value *w = b->conv->inputs[1];
    fvlm_match_tensor *out = fvlm_emit_tensor(t, w->rank, w->dims, prefix, name);
    if (!out) return FVLM_NOMEM;
    const fvlm_match_rows all = {.v = w, .n_rows = b->out, .twice = t->twice};
    return fvlm_match_set_rows(out, t->net, &all, 1, b->conv, t->err);
}

static const fvlm_net_value *conv_bias(const fvlm_net_branch *b)
{
    return b->conv->n_inputs > 2 ? b->conv->inputs[2] : NULL;
}

/* A bias after the convolution is the convolution's if it has none. */
static void move_bias(fvlm_net_branch *b, const fvlm_net_value **bias)
{
    *bias = conv_bias(b);
    if (b->bn || b->gain || *bias) return;
    *bias = b->shift;
    b->shift = NULL;
}

/* BatchNorm, or Mul and Add as one. */
static fvlm_status emit_bn(fvlm_tower *t, const fvlm_net_branch *b, const char *prefix)
{
    static const char *const names[] = {".weight", ".bias", ".running_mean", ".running_var"};
    const float fill[] = {1, 0, 0, UNIT_VARIANCE};
    const fvlm_net_node *user = b->bn ? b->bn : b->conv ? b->conv : b->top.v->producer;
    const fvlm_net_value *plain[] = {b->gain, b->shift, NULL, NULL};
    fvlm_status st = FVLM_OK;
    for (unsigned i = 0; i < 4 && !st; i++)
        st = fvlm_emit_vector(t, b->bn ? b->bn->inputs[i + 1] : plain[i], b->top.channels, fill[i], 1, user, prefix,
                              names[i]);
    return st;
}

fvlm_status fvlm_emit_conv_bn(fvlm_tower *t, const fvlm_net_branch *branch, const char *at)
{
    fvlm_net_branch b = *branch;
    const fvlm_net_value *bias;
    char bn[FVLM_TOWER_NAME];
    move_bias(&b, &bias);
    snprintf(bn, sizeof bn, "%s.bn", at);
    fvlm_status st = emit_kernel(t, &b, at, ".conv.weight");
    if (!st && (bias || !fvlm_net_branch_is_normalized(&b)))
        st = fvlm_emit_vector(t, bias, b.out, 0, 1, b.conv, at, ".conv.bias");
    if (!st && fvlm_net_branch_is_normalized(&b)) st = emit_bn(t, &b, bn);
    return st;
}

static fvlm_status emit_conv(fvlm_tower *t, const fvlm_net_branch *branch, const char *name)
{
    fvlm_net_branch b = *branch;
    const fvlm_net_value *bias;
    move_bias(&b, &bias);
    fvlm_status st = emit_kernel(t, &b, name, ".weight");
    if (!st) st = fvlm_emit_vector(t, bias, b.out, 0, 1, b.conv, name, ".bias");
    return st;
}

/* One convolution without BatchNorm: fused. */
static bool is_fused(const fvlm_net_sum *s)
{
    fvlm_net_branch b = s->branch[0];
    const fvlm_net_value *bias;
    if (s->n != 1 || b.kind != FVLM_BRANCH_CONV || b.sign != 1 || b.scale) return false;
    move_bias(&b, &bias);
    return !fvlm_net_branch_is_normalized(&b);
}

static fvlm_status refuse_branch(fvlm_tower *t, const fvlm_net_branch *b, const char *prefix)
{
    char found[160];
    return fvlm_match_expected(t->net, b->conv ? b->conv->outputs[0] : b->top.v,
                               b->conv ? fvlm_net_layer_text(b->conv, found) : "another branch", t->err,
                               "the branches of \"%s\": convolutions of one size, one of 1x1, one identity, each with "
                               "BatchNorm",
                               prefix);
}

/* The branches with this sign, all of them scaled alike: PREFIX.rbr_conv.K, .rbr_scale, .rbr_skip. k is the side of the
 * widest kernel. */
static fvlm_status emit_branches(fvlm_tower *t, const fvlm_net_sum *s, int sign, const fvlm_net_value *scale,
                                 uint64_t k, const char *prefix)
{
    unsigned n_convs = 0, scales = 0, skips = 0;
    fvlm_status st = FVLM_OK;
    for (unsigned i = 0; i < s->n && !st; i++) {
        const fvlm_net_branch *b = &s->branch[i];
        char at[FVLM_TOWER_NAME];
        if (b->sign != sign) continue;
        if (b->scale != scale) return refuse_branch(t, b, prefix);
        if (b->kind == FVLM_BRANCH_IDENTITY && fvlm_net_branch_is_normalized(b) && skips++ == 0) {
            snprintf(at, sizeof at, "%s.rbr_skip", prefix);
            st = emit_bn(t, b, at);
        } else if (b->kind == FVLM_BRANCH_CONV && b->k == k) {
            snprintf(at, sizeof at, "%s.rbr_conv.%u", prefix, n_convs++);
            st = fvlm_emit_conv_bn(t, b, at);
        } else if (b->kind == FVLM_BRANCH_CONV && b->k == 1 && scales++ == 0) {
            snprintf(at, sizeof at, "%s.rbr_scale", prefix);
            st = fvlm_emit_conv_bn(t, b, at);
        } else {
            return refuse_branch(t, b, prefix);
        }
    }
    return st;
}

fvlm_status fvlm_emit_mobile_one(fvlm_tower *t, const fvlm_segment *s, const char *prefix)
{
    char fused[FVLM_TOWER_NAME];
    snprintf(fused, sizeof fused, "%s.reparam_conv", prefix);
    if (is_fused(&s->sum)) return emit_conv(t, &s->sum.branch[0], fused);
    for (unsigned i = 0; i < s->sum.n; i++)
        if (s->sum.branch[i].sign != 1) return refuse_branch(t, &s->sum.branch[i], prefix);
    return emit_branches(t, &s->sum, 1, NULL, fvlm_net_sum_widest(&s->sum), prefix);
}

fvlm_status fvlm_emit_downsample(fvlm_tower *t, const fvlm_segment *s, const char *prefix)
{
    char at[FVLM_TOWER_NAME];
    snprintf(at, sizeof at, "%s.lkb_reparam", prefix);
    if (is_fused(&s->sum)) return emit_conv(t, &s->sum.branch[0], at);
    const uint64_t k = fvlm_net_sum_widest(&s->sum);
    bool large = false, small = false;
    fvlm_status st = FVLM_OK;
    for (unsigned i = 0; i < s->sum.n && !st; i++) {
        const fvlm_net_branch *b = &s->sum.branch[i];
        bool *seen = b->k == k ? &large : &small;
        if (b->kind != FVLM_BRANCH_CONV || b->sign != 1 || b->scale || *seen) return refuse_branch(t, b, prefix);
        snprintf(at, sizeof at, "%s.%s", prefix, b->k == k ? "lkb_origin" : "small_conv");
        st = fvlm_emit_conv_bn(t, b, at);
        *seen = true;
    }
    return st;
}

static fvlm_net_sum without_input(const fvlm_net_sum *s)
{
    fvlm_net_sum rest = {0};
    for (unsigned i = 0; i < s->n; i++)
        if (!fvlm_net_branch_is_input(&s->branch[i])) rest.branch[rest.n++] = s->branch[i];
    return rest;
}

/* RepCPE: one kernel, or pe(x) + x. */
fvlm_status fvlm_emit_position(fvlm_tower *t, const fvlm_segment *s, const char *prefix)
{
    char at[FVLM_TOWER_NAME];
    const fvlm_net_sum rest = without_input(&s->sum);
    if (!is_fused(&rest) || s->sum.n > 2)
        return fvlm_match_expected(
            t->net, s->first, "other branches", t->err,
            "a position encoding: a depthwise convolution without BatchNorm, perhaps added to its "
            "input");
    snprintf(at, sizeof at, "%s.%s", prefix, s->sum.n == 1 ? "reparam_conv" : "pe");
    return emit_conv(t, &rest.branch[0], at);
}

/* x + layer_scale * (mixer(x) - norm(x)), or one kernel. */
fvlm_status fvlm_emit_repmixer(fvlm_tower *t, const fvlm_segment *s, const char *prefix)
{
    char at[FVLM_TOWER_NAME];
    snprintf(at, sizeof at, "%s.token_mixer.reparam_conv", prefix);
    if (is_fused(&s->sum)) return emit_conv(t, &s->sum.branch[0], at);
    const fvlm_net_sum rest = without_input(&s->sum);
    if (rest.n + 1 != s->sum.n) return refuse_branch(t, &s->sum.branch[0], at);
    const fvlm_net_value *scale = rest.branch[0].scale;
    const uint64_t k = fvlm_net_sum_widest(&s->sum);
    snprintf(at, sizeof at, "%s.token_mixer.mixer", prefix);
    fvlm_status st = emit_branches(t, &rest, 1, scale, k, at);
    snprintf(at, sizeof at, "%s.token_mixer.norm", prefix);
    if (!st) st = emit_branches(t, &rest, -1, scale, k, at);
    if (!st && scale)
        st = fvlm_emit_vector(t, scale, t->x.channels, 1, 3, s->first->producer, prefix, ".token_mixer.layer_scale");
    return st;
}
