/* SPDX-License-Identifier: Apache-2.0 */
/* export_tower.c - what upstream's FastViT fixes in code, and what its checkpoints can say. */
#include "convert/export/export_tower.h"

#include <inttypes.h>

#include "format/base/json.h"

/* FastViTHD, timm's fastvit_mci3. */
static const fvlm_stage mci3[] = {{96, 2, 384, FVLM_REPMIXER, 0, false},
                                  {192, 12, 768, FVLM_REPMIXER, 0, false},
                                  {384, 24, 1536, FVLM_REPMIXER, 0, false},
                                  {768, 4, 3072, FVLM_ATTENTION, 24, true},
                                  {1536, 2, 6144, FVLM_ATTENTION, 48, true}};
enum { N_STAGES = sizeof mci3 / sizeof mci3[0] };

/* The sizes of FastViTHD, which are fastvit_mci3's own. */
static bool is_fastvithd(const fvlm_config *c)
{
    if (c->vision.n_stages != N_STAGES) return false;
    for (size_t i = 0; i < N_STAGES; i++)
        if (c->vision.stage[i].dim != mci3[i].dim || c->vision.stage[i].depth != mci3[i].depth) return false;
    return true;
}

static fvlm_status refuse(const fvlm_export *x, const char *what, fvlm_err *err)
{
    return fvlm_fail(err, FVLM_UNSUPPORTED,
                     "\"%s\": transformers builds the tower from timm's fastvit_mci3, whose %s; use --naming apple",
                     fvlm_reader_path(x->reader), what);
}

/* Sides of the depthwise kernels, which no config names. */
static fvlm_status check_kernels(const fvlm_export *x, fvlm_err *err)
{
    fvlm_tensors at = {.config = x->config};
    while (fvlm_tensors_next(&at)) {
        const fvlm_tensor *t = fvlm_reader_find(x->reader, at.name);
        const bool small =
            at.module == FVLM_MODULE_MIXER || at.module == FVLM_MODULE_FINAL_DW || at.module == FVLM_MODULE_STEM_1;
        if (at.layout == FVLM_TAPS && t && t->dims[2] != (small ? 3 : 7))
            return refuse(x, "kernels have sides of 3 and 7", err);
    }
    return FVLM_OK;
}

fvlm_status fvlm_export_check_tower(const fvlm_export *x, fvlm_export_naming naming, fvlm_err *err)
{
    const fvlm_config *c = x->config;
    if (naming == FVLM_EXPORT_APPLE) return FVLM_OK;
    if (c->tiles.n_sizes)
        return fvlm_fail(err, FVLM_UNSUPPORTED,
                         "\"%s\" divides pictures into tiles, which transformers' FastVLM does not; use --naming apple",
                         fvlm_reader_path(x->reader));
    if (c->vision.n_stages > N_STAGES) return refuse(x, "stages are at most 5", err);
    for (uint32_t i = 0; i < c->vision.n_stages; i++) {
        const fvlm_stage *s = &c->vision.stage[i];
        if (s->pos != mci3[i].pos) return refuse(x, "position encodings stand before stages 3 and 4", err);
    }
    const uint32_t last = c->vision.stage[c->vision.n_stages - 1].dim;
    if (c->vision.head_dim != 32) return refuse(x, "heads have 32 channels", err);
    if (c->vision.out_dim != 2 * last) return refuse(x, "last convolution doubles the channels", err);
    if (c->vision.se_dim != c->vision.out_dim / 16) return refuse(x, "squeeze-and-excitation divides by 16", err);
    return check_kernels(x, err);
}

json_t *fvlm_export_timm_args(const fvlm_config *c)
{
    json_t *j = json_pack("{s:b}", "inference_mode", 1);
    if (is_fastvithd(c)) return j;
    json_t *layers = json_array(), *dims = json_array(), *ratios = json_array(), *mixers = json_array();
    for (uint32_t i = 0; i < c->vision.n_stages; i++) {
        const fvlm_stage *s = &c->vision.stage[i];
        fvlm_json_append(&layers, json_integer(s->depth));
        fvlm_json_append(&dims, json_integer(s->dim));
        fvlm_json_append(&ratios, json_real((double)s->hidden / s->dim));
        fvlm_json_append(&mixers, json_string(s->mixer == FVLM_ATTENTION ? "attention" : "repmixer"));
    }
    fvlm_json_set(&j, "layers", layers);
    fvlm_json_set(&j, "embed_dims", dims);
    fvlm_json_set(&j, "mlp_ratios", ratios);
    fvlm_json_set(&j, "token_mixers", mixers);
    return j;
}
