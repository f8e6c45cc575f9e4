/* SPDX-License-Identifier: Apache-2.0 */
/* export_names.c - see export_names.h. In the tables, S is a stage, B a block, L a layer, and D, P and N are the
 * indices in Apple's network[] of a stage's downsample, position encoding and blocks. */
#include "convert/export/export_names.h"

#include <stdio.h>
#include <string.h>

#define APPLE "model.vision_tower.vision_tower.model."
#define TIMM "model.vision_tower.timm_model."

/* Apple's name and transformers'; NULL: the same. */
static const char *const modules[FVLM_N_MODULES][2] = {
    [FVLM_MODULE_STEM_0] = {APPLE "patch_embed.0.reparam_conv", TIMM "stem.0.reparam_conv"},
    [FVLM_MODULE_STEM_1] = {APPLE "patch_embed.1.reparam_conv", TIMM "stem.1.reparam_conv"},
    [FVLM_MODULE_STEM_2] = {APPLE "patch_embed.2.reparam_conv", TIMM "stem.2.reparam_conv"},
    [FVLM_MODULE_DOWN_DW] = {APPLE "network.{D}.proj.0.lkb_reparam", TIMM "stages.{S}.downsample.proj.0.reparam_conv"},
    [FVLM_MODULE_DOWN_PW] = {APPLE "network.{D}.proj.1.reparam_conv", TIMM "stages.{S}.downsample.proj.1.reparam_conv"},
    [FVLM_MODULE_POS] = {APPLE "network.{P}.reparam_conv", TIMM "stages.{S}.pos_emb.reparam_conv"},
    [FVLM_MODULE_MIXER] = {APPLE "network.{N}.{B}.token_mixer.reparam_conv",
                           TIMM "stages.{S}.blocks.{B}.token_mixer.reparam_conv"},
    [FVLM_MODULE_QKV] = {APPLE "network.{N}.{B}.token_mixer.qkv", TIMM "stages.{S}.blocks.{B}.token_mixer.qkv"},
    [FVLM_MODULE_PROJ] = {APPLE "network.{N}.{B}.token_mixer.proj", TIMM "stages.{S}.blocks.{B}.token_mixer.proj"},
    [FVLM_MODULE_DW] = {APPLE "network.{N}.{B}.convffn.conv.conv", TIMM "stages.{S}.blocks.{B}.mlp.conv.conv"},
    [FVLM_MODULE_FC1] = {APPLE "network.{N}.{B}.convffn.fc1", TIMM "stages.{S}.blocks.{B}.mlp.fc1"},
    [FVLM_MODULE_FC2] = {APPLE "network.{N}.{B}.convffn.fc2", TIMM "stages.{S}.blocks.{B}.mlp.fc2"},
    [FVLM_MODULE_FINAL_DW] = {APPLE "conv_exp.reparam_conv", TIMM "final_conv.reparam_conv"},
    [FVLM_MODULE_SE_REDUCE] = {APPLE "conv_exp.se.reduce", TIMM "final_conv.se.fc1"},
    [FVLM_MODULE_SE_EXPAND] = {APPLE "conv_exp.se.expand", TIMM "final_conv.se.fc2"},
    [FVLM_MODULE_PROJECTOR_0] = {"model.mm_projector.0", "model.multi_modal_projector.linear_1"},
    [FVLM_MODULE_PROJECTOR_2] = {"model.mm_projector.2", "model.multi_modal_projector.linear_2"},
    [FVLM_MODULE_NEWLINE] = {"model.image_newline"}, /* a parameter, not a module: see below */
    [FVLM_MODULE_EMBED] = {"{M}embed_tokens"},
    [FVLM_MODULE_ATTN_NORM] = {"{M}layers.{L}.input_layernorm"},
    [FVLM_MODULE_Q] = {"{M}layers.{L}.self_attn.q_proj"},
    [FVLM_MODULE_K] = {"{M}layers.{L}.self_attn.k_proj"},
    [FVLM_MODULE_V] = {"{M}layers.{L}.self_attn.v_proj"},
    [FVLM_MODULE_O] = {"{M}layers.{L}.self_attn.o_proj"},
    [FVLM_MODULE_FFN_NORM] = {"{M}layers.{L}.post_attention_layernorm"},
    [FVLM_MODULE_GATE] = {"{M}layers.{L}.mlp.gate_proj"},
    [FVLM_MODULE_UP] = {"{M}layers.{L}.mlp.up_proj"},
    [FVLM_MODULE_DOWN] = {"{M}layers.{L}.mlp.down_proj"},
    [FVLM_MODULE_NORM] = {"{M}norm"},
    [FVLM_MODULE_HEAD] = {"lm_head"},
};

static const char *const folded[][2] = {
    [FVLM_FOLDED_BATCH_NORM] = {APPLE "network.{N}.{B}.convffn.conv.bn", TIMM "stages.{S}.blocks.{B}.mlp.conv.bn"},
    [FVLM_FOLDED_NORM] = {APPLE "network.{N}.{B}.norm", TIMM "stages.{S}.blocks.{B}.norm"},
    [FVLM_FOLDED_LAYER_SCALE] = {APPLE "network.{N}.{B}.layer_scale", TIMM "stages.{S}.blocks.{B}.layer_scale.gamma"},
    [FVLM_FOLDED_LAYER_SCALE1] = {APPLE "network.{N}.{B}.layer_scale_1",
                                  TIMM "stages.{S}.blocks.{B}.layer_scale_1.gamma"},
    [FVLM_FOLDED_LAYER_SCALE2] = {APPLE "network.{N}.{B}.layer_scale_2",
                                  TIMM "stages.{S}.blocks.{B}.layer_scale_2.gamma"},
};

/* Apple's list of modules: for each stage [downsample] [position] blocks. */
static unsigned network_index(const fvlm_tensors *at, char what)
{
    const fvlm_config *c = at->config;
    unsigned n = 0;
    for (unsigned s = 0;; s++) {
        const unsigned downsample = n, position = n + (s > 0), blocks = position + c->vision.stage[s].pos;
        if (s == at->stage) return what == 'D' ? downsample : what == 'P' ? position : blocks;
        n = blocks + 1;
    }
}

static const char *expand(const char *name, fvlm_export_naming naming, const fvlm_tensors *at, const char *end,
                          char out[FVLM_EXPORT_MAX_NAME])
{
    size_t n = 0;
    for (const char *p = name; *p && n + 48 < FVLM_EXPORT_MAX_NAME; p++) {
        if (*p != '{') {
            out[n++] = *p;
            continue;
        }
        const char what = p[1];
        p += 2;
        if (what == 'M')
            n += (size_t)snprintf(out + n, 48, "%s", naming == FVLM_EXPORT_APPLE ? "model." : "model.language_model.");
        else
            n += (size_t)snprintf(out + n, 48, "%u",
                                  what == 'S'   ? at->stage
                                  : what == 'B' ? at->block
                                  : what == 'L' ? at->layer
                                                : network_index(at, what));
    }
    snprintf(out + n, FVLM_EXPORT_MAX_NAME - n, "%s%s", *end ? "." : "", end);
    return out;
}

const char *fvlm_export_name(fvlm_export_naming n, const fvlm_tensors *at, char out[FVLM_EXPORT_MAX_NAME])
{
    const char *end = at->module == FVLM_MODULE_NEWLINE ? "" : at->bias ? "bias" : "weight";
    const char *const *names = modules[at->module];
    return expand(names[n] ? names[n] : names[0], n, at, end, out);
}

const char *fvlm_export_name_folded(fvlm_export_naming n, const fvlm_tensors *at, fvlm_folded what, const char *end,
                                    char out[FVLM_EXPORT_MAX_NAME])
{
    return expand(folded[what][n], n, at, end, out);
}
