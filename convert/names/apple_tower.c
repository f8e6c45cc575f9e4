/* SPDX-License-Identifier: Apache-2.0 */
/* apple_tower.c - FastViTHD in Apple's names, fused or as trained.
 *
 *   patch_embed.{0,1,2}   stem
 *   network.I             in order: a downsample (.proj.{0,1}), a position encoding (.reparam_conv or .pe), or
 *                         blocks (.B.)
 *   conv_exp, conv_exp.se.{reduce,expand}
 *
 * A convolution is stored fused (reparam_conv, lkb_reparam) or as the branches it was trained with. Which branches
 * there are is read off the names. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "convert/names/apple_conv.h"

#define T FVLM_TOWER_PREFIX
#define HEAD_DIM 32 /* of the tower's attention; neither names nor shapes show it */
#define MAX_NETWORK 64
#define MAX_BLOCKS 512

/* The branches of a RepMixer as trained. If one RepMixer of the checkpoint has a branch, all must have it. */
typedef struct {
    fvlm_mobile_one mixer, norm;
    bool layer_scale;
} mixer_branches;

static fvlm_conv_shape depthwise(uint64_t channels)
{
    return (fvlm_conv_shape){.out = channels, .groups = channels, .stride = 1, .depthwise = true};
}

static uint64_t resolve_stem(fvlm_resolver *r)
{
    fvlm_recipe *m = fvlm_resolver_new_recipe(r, "vision.stem.0");
    fvlm_apple_resolve_conv(r, m, (fvlm_conv_shape){.in = 3, .k = 3, .stride = 2}, T "patch_embed.0");
    uint64_t c = m->out;
    m = fvlm_resolver_new_recipe(r, "vision.stem.1");
    fvlm_conv_shape shape = {.out = c, .groups = c, .k = 3, .stride = 2, .depthwise = true};
    fvlm_apple_resolve_conv(r, m, shape, T "patch_embed.1");
    m = fvlm_resolver_new_recipe(r, "vision.stem.2");
    fvlm_apple_resolve_conv(r, m, (fvlm_conv_shape){.out = c, .in = c, .k = 1, .stride = 1}, T "patch_embed.2");
    return c;
}

/* A large depthwise kernel, in training with a small one in parallel, then 1x1. */
static uint64_t resolve_downsample(fvlm_resolver *r, unsigned stage, unsigned index, uint64_t in)
{
    fvlm_recipe *m = fvlm_resolver_new_recipe(r, "vision.stage%u.downsample.dw", stage);
    if (!fvlm_resolver_has_prefix(r, T "network.%u.proj.0.lkb_reparam.", index) &&
        fvlm_resolver_has_prefix(r, T "network.%u.proj.0.lkb_origin.", index)) {
        fvlm_apple_require_conv_bn(r, m, 1, T "network.%u.proj.0.lkb_origin", index);
        if (fvlm_resolver_has_prefix(r, T "network.%u.proj.0.small_conv.", index))
            fvlm_apple_require_conv_bn(r, m, 1, T "network.%u.proj.0.small_conv", index);
    } else {
        fvlm_apple_require_fused(r, m, T "network.%u.proj.0.lkb_reparam", index);
    }
    fvlm_recipe_set_conv(m, (fvlm_conv_shape){.groups = in, .stride = 2, .depthwise = true}, &r->shape);
    uint64_t out = m->out;
    m = fvlm_resolver_new_recipe(r, "vision.stage%u.downsample.pw", stage);
    fvlm_conv_shape shape = {.out = out, .in = out, .k = 1, .stride = 1};
    fvlm_apple_resolve_conv(r, m, shape, T "network.%u.proj.1", index);
    return out;
}

/* RepCPE: x + pe(x), or one kernel with the identity folded in. */
static void resolve_position(fvlm_resolver *r, unsigned stage, unsigned index, uint64_t c)
{
    fvlm_recipe *m = fvlm_resolver_new_recipe(r, "vision.stage%u.pos", stage);
    m->residual = !fvlm_resolver_has_prefix(r, T "network.%u.reparam_conv.", index);
    fvlm_apple_require_fused(r, m, T "network.%u.%s", index, m->residual ? "pe" : "reparam_conv");
    fvlm_recipe_set_conv(m, depthwise(c), &r->shape);
}

/* Layer scale, stored as [c, 1, 1]. */
static const fvlm_source_tensor *layer_scale(fvlm_resolver *r, const char *block, const char *name, uint64_t c)
{
    const fvlm_source_tensor *t = fvlm_resolver_require(r, "%s.%s", block, name);
    fvlm_source_check_shape(t, 3, (const uint64_t[]){c, 1, 1}, &r->shape);
    return t;
}

static void resolve_repmixer(fvlm_resolver *r, const mixer_branches *mixers, const char *name, const char *block,
                             uint64_t c)
{
    fvlm_recipe *m = fvlm_resolver_new_recipe(r, "%s.mixer", name);
    m->residual = !fvlm_resolver_has_prefix(r, "%s.token_mixer.reparam_conv.", block) &&
                  (fvlm_resolver_has_prefix(r, "%s.token_mixer.mixer.", block) ||
                   fvlm_resolver_has_prefix(r, "%s.token_mixer.norm.", block));
    if (m->residual) { /* x + layer_scale * (mixer(x) - norm(x)) */
        fvlm_apple_require_mobile_one(r, m, 1, mixers->mixer, "%s.token_mixer.mixer", block);
        fvlm_apple_require_mobile_one(r, m, -1, mixers->norm, "%s.token_mixer.norm", block);
        if (mixers->layer_scale) m->layer_scale = layer_scale(r, block, "token_mixer.layer_scale", c);
    } else {
        fvlm_apple_require_fused(r, m, "%s.token_mixer.reparam_conv", block);
    }
    fvlm_recipe_set_conv(m, depthwise(c), &r->shape);
}

/* Depthwise 7x7 with BatchNorm (or already folded, with a bias), then fc1, then fc2 with the block's layer scale.
 * Returns the hidden width; hidden = 0 accepts any. */
static uint64_t resolve_ffn(fvlm_resolver *r, const char *name, const char *block, uint64_t c, uint64_t hidden,
                            const char *scale)
{
    fvlm_recipe *m = fvlm_resolver_new_recipe(r, "%s.ffn.dw", name);
    fvlm_apple_require_conv_bn(r, m, 1, "%s.convffn.conv", block);
    fvlm_recipe_set_conv(m, depthwise(c), &r->shape);
    m = fvlm_resolver_new_recipe(r, "%s.ffn.fc1", name);
    fvlm_apple_require_fused(r, m, "%s.convffn.fc1", block);
    fvlm_recipe_set_conv(m, (fvlm_conv_shape){.out = hidden, .in = c, .k = 1}, &r->shape);
    hidden = m->out;
    m = fvlm_resolver_new_recipe(r, "%s.ffn.fc2", name);
    fvlm_apple_require_fused(r, m, "%s.convffn.fc2", block);
    fvlm_recipe_set_conv(m, (fvlm_conv_shape){.out = c, .in = hidden, .k = 1}, &r->shape);
    m->layer_scale = layer_scale(r, block, scale, c);
    m->fused = true;
    return hidden;
}

static void resolve_attention(fvlm_resolver *r, const char *name, const char *block, uint64_t c)
{
    fvlm_recipe *m = fvlm_resolver_new_recipe(r, "%s.attn.qkv", name);
    const fvlm_source_tensor *weight = fvlm_resolver_require(r, "%s.token_mixer.qkv.weight", block), *bias = NULL;
    if (fvlm_resolver_has(r, "%s.token_mixer.qkv.bias", block))
        bias = fvlm_resolver_require(r, "%s.token_mixer.qkv.bias", block);
    fvlm_recipe_set_linear(m, weight, bias, 3 * c, c, &r->shape);
    m->norm_gain = fvlm_resolver_require(r, "%s.norm.weight", block);
    m->norm_shift = fvlm_resolver_require(r, "%s.norm.bias", block);
    fvlm_source_check_shape(m->norm_gain, 1, &c, &r->shape);
    fvlm_source_check_shape(m->norm_shift, 1, &c, &r->shape);
    /* Graphs that scale nothing have the scale in their weights; only convert/graph can say so. */
    const bool scaled = fvlm_resolver_has(r, "%s.token_mixer.scale", block) &&
                        fvlm_resolver_require(r, "%s.token_mixer.scale", block)->filled;
    m->q_rows = scaled ? 0 : c;
    m->q_scale = 1 / sqrt((double)HEAD_DIM);
    m->fused = m->has_bias = true;
    m = fvlm_resolver_new_recipe(r, "%s.attn.proj", name);
    weight = fvlm_resolver_require(r, "%s.token_mixer.proj.weight", block);
    bias = fvlm_resolver_require(r, "%s.token_mixer.proj.bias", block);
    fvlm_recipe_set_linear(m, weight, bias, c, c, &r->shape);
    m->has_bias = true;
    m->layer_scale = layer_scale(r, block, "layer_scale_1", c);
    m->fused = true;
}

static void resolve_blocks(fvlm_resolver *r, const mixer_branches *mixers, unsigned stage, unsigned index, uint64_t c)
{
    fvlm_stage *s = &r->out->config.vision.stage[stage];
    unsigned depth = fvlm_resolver_count(r, MAX_BLOCKS, T "network.%u.", index);
    bool attention = false;
    for (unsigned b = 0; b < depth; b++)
        attention |= fvlm_resolver_has_prefix(r, T "network.%u.%u.token_mixer.qkv.", index, b);
    uint64_t hidden = 0;
    for (unsigned b = 0; b < depth && !r->st; b++) {
        char name[64], block[128];
        snprintf(name, sizeof name, "vision.stage%u.block%u", stage, b);
        snprintf(block, sizeof block, T "network.%u.%u", index, b);
        if (attention)
            resolve_attention(r, name, block, c);
        else
            resolve_repmixer(r, mixers, name, block, c);
        hidden = resolve_ffn(r, name, block, c, hidden, attention ? "layer_scale_2" : "layer_scale");
    }
    s->dim = (uint32_t)c;
    s->depth = depth;
    s->hidden = (uint32_t)hidden;
    s->mixer = attention ? FVLM_ATTENTION : FVLM_REPMIXER;
    s->heads = attention ? (uint32_t)(c / HEAD_DIM) : 0;
    if (attention && c % HEAD_DIM != 0 && !r->shape.code)
        fvlm_fail(&r->shape, FVLM_BAD_INPUT,
                  "stage %u: %" PRIu64 " channels are not a multiple of the attention head width %d", stage, c,
                  HEAD_DIM);
}

typedef enum { NOTHING, DOWNSAMPLE, POSITION, BLOCKS } kind;

static kind kind_of(fvlm_resolver *r, unsigned index)
{
    if (fvlm_resolver_has_prefix(r, T "network.%u.proj.", index)) return DOWNSAMPLE;
    if (fvlm_resolver_has_prefix(r, T "network.%u.reparam_conv.", index) ||
        fvlm_resolver_has_prefix(r, T "network.%u.pe.", index))
        return POSITION;
    return fvlm_resolver_count(r, MAX_BLOCKS, T "network.%u.", index) > 0 ? BLOCKS : NOTHING;
}

/* stage = [downsample] [position] blocks; 'next' is the first kind that may follow. */
static void resolve_network(fvlm_resolver *r, const mixer_branches *mixers, uint64_t c)
{
    static const char *const kinds[] = {"nothing that is known", "a downsample", "a position encoding", "blocks"};
    fvlm_config *config = &r->out->config;
    unsigned n = fvlm_resolver_count(r, MAX_NETWORK, T "network."), stage = 0;
    kind next = POSITION; /* the first stage has no downsample */
    for (unsigned index = 0; index < n && !r->st; index++) {
        kind found = kind_of(r, index);
        bool ok =
            found != NOTHING && found >= next && (next != DOWNSAMPLE || found == DOWNSAMPLE) && stage < FVLM_MAX_STAGES;
        if (!ok) {
            r->st = fvlm_fail(r->err, stage < FVLM_MAX_STAGES ? FVLM_BAD_INPUT : FVLM_LIMIT,
                              "\"" T
                              "network.%u\" holds %s; a tower is stages of [downsample] [position encoding] blocks, at "
                              "most %d, the first without downsample",
                              index, kinds[found], FVLM_MAX_STAGES);
            return;
        }
        if (found == DOWNSAMPLE) c = resolve_downsample(r, stage, index, c);
        if (found == POSITION) resolve_position(r, stage, index, c), config->vision.stage[stage].pos = true;
        if (found == BLOCKS) resolve_blocks(r, mixers, stage++, index, c);
        next = found == BLOCKS ? DOWNSAMPLE : (kind)(found + 1);
    }
    if (!r->st && n && next != DOWNSAMPLE)
        r->st = fvlm_fail(r->err, FVLM_BAD_INPUT, "\"" T "network.%u\" ends the tower inside a stage", n - 1);
    if (!n) /* record that the tower is missing */
        fvlm_resolver_require(r, T "network.0.0.token_mixer.reparam_conv.weight");
    config->vision.n_stages = stage;
}

static void resolve_final(fvlm_resolver *r, uint64_t c)
{
    fvlm_config *config = &r->out->config;
    fvlm_recipe *m = fvlm_resolver_new_recipe(r, "vision.final.dw");
    fvlm_conv_shape shape = {.groups = c, .stride = 1, .depthwise = true};
    fvlm_apple_resolve_conv(r, m, shape, T "conv_exp");
    uint64_t out = m->out;
    m = fvlm_resolver_new_recipe(r, "vision.final.se.reduce");
    fvlm_apple_require_fused(r, m, T "conv_exp.se.reduce");
    fvlm_recipe_set_conv(m, (fvlm_conv_shape){.in = out, .k = 1}, &r->shape);
    uint64_t inner = m->out;
    m = fvlm_resolver_new_recipe(r, "vision.final.se.expand");
    fvlm_apple_require_fused(r, m, T "conv_exp.se.expand");
    fvlm_recipe_set_conv(m, (fvlm_conv_shape){.out = out, .in = inner, .k = 1}, &r->shape);
    config->vision.out_dim = (uint32_t)out;
    config->vision.se_dim = (uint32_t)inner;
}

static mixer_branches find_mixer_branches(const fvlm_resolver *r)
{
    mixer_branches found = {.mixer.skip = true, .norm.skip = true};
    for (size_t i = 0; i < fvlm_source_n_tensors(r->src); i++) {
        const char *name = fvlm_source_tensor_at(r->src, i)->key, *at = strstr(name, ".token_mixer."), *digits;
        if (!at || strncmp(name, T, sizeof T - 1) != 0) continue;
        at += strlen(".token_mixer.");
        if (!strcmp(at, "layer_scale")) found.layer_scale = true;
        if (!strncmp(at, "mixer.rbr_scale.", 16)) found.mixer.scale = true;
        for (unsigned k = 0; k < 2; k++) {
            static const char *const prefix[] = {"mixer.rbr_conv.", "norm.rbr_conv."};
            unsigned *n = k ? &found.norm.n_convs : &found.mixer.n_convs;
            if (strncmp(at, prefix[k], strlen(prefix[k])) != 0) continue;
            digits = at + strlen(prefix[k]);
            if (digits[0] >= '0' && digits[0] <= '7' && digits[1] == '.' && *n < (unsigned)(digits[0] - '0') + 1)
                *n = (unsigned)(digits[0] - '0') + 1;
        }
    }
    return found;
}

void fvlm_apple_tower_resolve(fvlm_resolver *r)
{
    fvlm_config *c = &r->out->config;
    const mixer_branches mixers = find_mixer_branches(r);
    uint64_t width = resolve_stem(r);
    if (!r->st) resolve_network(r, &mixers, width);
    if (r->st) return;
    uint32_t last = c->vision.n_stages ? c->vision.stage[c->vision.n_stages - 1].dim : (uint32_t)width;
    resolve_final(r, last);
    c->vision.head_dim = HEAD_DIM;
    c->vision.norm_eps = FVLM_NORM_EPS;
    c->vision.stride = c->vision.n_stages ? 4u << (c->vision.n_stages - 1) : 4;
    if (c->vision.image_size % c->vision.stride == 0 || r->shape.code) return;
    if (!fvlm_config_has_llm(c))
        fvlm_fail(&r->shape, FVLM_BAD_INPUT,
                  "the tower's stride is %" PRIu32 " pixels, and its config asks for pictures of %" PRIu32
                  " pixels, not a multiple of it",
                  c->vision.stride, c->vision.image_size);
    else
        fvlm_fail(&r->shape, FVLM_BAD_INPUT,
                  "\"config.json\": \"mm_vision_tower\" asks for %" PRIu32
                  " pixels, not a multiple of the tower's stride %" PRIu32,
                  c->vision.image_size, c->vision.stride);
}
