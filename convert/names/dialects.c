/* SPDX-License-Identifier: Apache-2.0 */
/* dialects.c - who writes which names. Sources: timm's fastvit.py, transformers' models/fast_vlm and its mapping of old
 * LLaVA names, mlx-vlm's models/fastvlm, Apple's export to MLX (ml-fastvlm, model_export), ml-mobileclip. */
#include "convert/names/dialects.h"

#define TOWER FVLM_TOWER_PREFIX
#define PROJECTOR FVLM_PROJECTOR_PREFIX

static const fvlm_pattern_pair timm[] = {
    {"stem.{n}.conv_kxk.*", "patch_embed.{n}.rbr_conv.*"},
    {"stem.{n}.conv_scale.*", "patch_embed.{n}.rbr_scale.*"},
    {"stem.{n}.identity.*", "patch_embed.{n}.rbr_skip.*"},
    {"stem.{n}.reparam_conv.*", "patch_embed.{n}.reparam_conv.*"},
    {"stages.{D}.downsample.proj.0.reparam_conv.*", "network.{D}.proj.0.lkb_reparam.*"},
    {"stages.{D}.downsample.proj.0.large_conv.*", "network.{D}.proj.0.lkb_origin.*"},
    {"stages.{D}.downsample.proj.0.small_conv.*", "network.{D}.proj.0.small_conv.*"},
    {"stages.{D}.downsample.proj.0.se.*", "network.{D}.proj.0.se.*"},
    {"stages.{D}.downsample.proj.1.conv_kxk.*", "network.{D}.proj.1.rbr_conv.*"},
    {"stages.{D}.downsample.proj.1.conv_scale.*", "network.{D}.proj.1.rbr_scale.*"},
    {"stages.{D}.downsample.proj.1.identity.*", "network.{D}.proj.1.rbr_skip.*"},
    {"stages.{D}.downsample.proj.1.reparam_conv.*", "network.{D}.proj.1.reparam_conv.*"},
    {"stages.{P}.pos_emb.pos_enc.*", "network.{P}.pe.*"},
    {"stages.{P}.pos_emb.reparam_conv.*", "network.{P}.reparam_conv.*"},
    {"stages.{B}.blocks.{n}.token_mixer.norm.identity.*", "network.{B}.{n}.token_mixer.norm.rbr_skip.*"},
    {"stages.{B}.blocks.{n}.token_mixer.norm.conv_kxk.*", "network.{B}.{n}.token_mixer.norm.rbr_conv.*"},
    {"stages.{B}.blocks.{n}.token_mixer.mixer.conv_kxk.*", "network.{B}.{n}.token_mixer.mixer.rbr_conv.*"},
    {"stages.{B}.blocks.{n}.token_mixer.mixer.conv_scale.*", "network.{B}.{n}.token_mixer.mixer.rbr_scale.*"},
    {"stages.{B}.blocks.{n}.token_mixer.mixer.identity.*", "network.{B}.{n}.token_mixer.mixer.rbr_skip.*"},
    {"stages.{B}.blocks.{n}.token_mixer.layer_scale.gamma", "network.{B}.{n}.token_mixer.layer_scale"},
    {"stages.{B}.blocks.{n}.token_mixer.reparam_conv.*", "network.{B}.{n}.token_mixer.reparam_conv.*"},
    {"stages.{B}.blocks.{n}.token_mixer.qkv.*", "network.{B}.{n}.token_mixer.qkv.*"},
    {"stages.{B}.blocks.{n}.token_mixer.proj.*", "network.{B}.{n}.token_mixer.proj.*"},
    {"stages.{B}.blocks.{n}.norm.*", "network.{B}.{n}.norm.*"},
    {"stages.{B}.blocks.{n}.mlp.*", "network.{B}.{n}.convffn.*"},
    {"stages.{B}.blocks.{n}.layer_scale.gamma", "network.{B}.{n}.layer_scale"},
    {"stages.{B}.blocks.{n}.layer_scale_1.gamma", "network.{B}.{n}.layer_scale_1"},
    {"stages.{B}.blocks.{n}.layer_scale_2.gamma", "network.{B}.{n}.layer_scale_2"},
    {"final_conv.conv_kxk.*", "conv_exp.rbr_conv.*"},
    {"final_conv.conv_scale.*", "conv_exp.rbr_scale.*"},
    {"final_conv.identity.*", "conv_exp.rbr_skip.*"},
    {"final_conv.reparam_conv.*", "conv_exp.reparam_conv.*"},
    {"final_conv.se.fc1.*", "conv_exp.se.reduce.*"},
    {"final_conv.se.fc2.*", "conv_exp.se.expand.*"},
    {"head.fc.*", "head.proj.*"},
    {0},
};

static const fvlm_pattern_pair mlx[] = {
    {"patch_embed.blocks.{n}.*", "patch_embed.{n}.*"},
    {"network.*", "network.*"},
    {"conv_exp.*", "conv_exp.*"},
    {"head.*", "head.*"},
    {0},
};

static const fvlm_pattern_pair apple[] = {
    {"patch_embed.*", "patch_embed.*"},
    {"network.*", "network.*"},
    {"conv_exp.*", "conv_exp.*"},
    {"head.*", "head.*"},
    {0},
};

#define CLIP(name)                                                                                                     \
    {                                                                                                                  \
        name, FVLM_CLIP_PREFIX name, NULL                                                                              \
    }

static const fvlm_mount transformers[] = {
    {"model.vision_tower.timm_model.", TOWER, timm},
    {"model.multi_modal_projector.linear_1.", PROJECTOR "0.", NULL},
    {"model.multi_modal_projector.linear_2.", PROJECTOR "2.", NULL},
    {"model.language_model.", "model.", NULL},
    {"lm_head.", "lm_head.", NULL},
    {0},
};
static const fvlm_mount transformers_llava[] = {
    {"vision_tower.timm_model.", TOWER, timm},
    {"multi_modal_projector.linear_1.", PROJECTOR "0.", NULL},
    {"multi_modal_projector.linear_2.", PROJECTOR "2.", NULL},
    {"language_model.model.", "model.", NULL},
    {"language_model.lm_head.", "lm_head.", NULL},
    {"lm_head.", "lm_head.", NULL},
    {0},
};
static const fvlm_mount mlx_vlm[] = {
    {"vision_tower.vision_model.", TOWER, mlx},
    {"mm_projector.", PROJECTOR, NULL},
    {"language_model.model.", "model.", NULL},
    {"language_model.lm_head.", "lm_head.", NULL},
    {"lm_head.", "lm_head.", NULL},
    {0},
};
static const fvlm_mount apple_mlx[] = {
    {"multi_modal_projector.linear_0.", PROJECTOR "0.", NULL},
    {"multi_modal_projector.linear_2.", PROJECTOR "2.", NULL},
    {"language_model.model.", "model.", NULL},
    {"language_model.lm_head.", "lm_head.", NULL},
    {"lm_head.", "lm_head.", NULL},
    {0},
};
static const fvlm_mount mobileclip[] = {
    {"image_encoder.model.", TOWER, apple}, CLIP("text_encoder."), CLIP("logit_scale"), CLIP("logit_bias"), {0}};
static const fvlm_mount openclip[] = {
    {"visual.trunk.", TOWER, timm}, CLIP("visual.head."), CLIP("text."), CLIP("logit_scale"), CLIP("logit_bias"), {0}};
static const fvlm_mount timm_tower[] = {{"", TOWER, timm}, {0}};
static const fvlm_mount apple_tower[] = {{"", TOWER, apple}, {0}};

const fvlm_dialect fvlm_dialects[] = {
    {"transformers", "transformers' fast_vlm", {"model.vision_tower.timm_model."}, transformers, false},
    {"transformers",
     "transformers' fast_vlm, in LLaVA's older names",
     {"vision_tower.timm_model."},
     transformers_llava,
     false},
    {"mlx-vlm", "mlx-vlm", {"vision_tower.vision_model.patch_embed."}, mlx_vlm, false},
    {"apple-mlx", "Apple's export to MLX", {"multi_modal_projector.linear_0."}, apple_mlx, false},
    {"apple", "Apple's LLaVA", {TOWER "patch_embed.", "model.mm_projector.", "model.layers.0."}, NULL, false},
    {"mobileclip", "Apple's MobileCLIP", {"image_encoder.model.patch_embed."}, mobileclip, true},
    {"openclip", "a MobileCLIP of OpenCLIP", {"visual.trunk.stem."}, openclip, true},
    {"timm", "timm's FastViT", {"stem.0."}, timm_tower, true},
    {"apple-tower", "Apple's FastViT or FastViTHD alone", {"patch_embed.0."}, apple_tower, true},
};
const size_t fvlm_n_dialects = sizeof fvlm_dialects / sizeof *fvlm_dialects;
