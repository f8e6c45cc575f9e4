/* SPDX-License-Identifier: Apache-2.0 */
/* foreign_tower.c - towers of the FastViT family that compute what FastViTHD does not. Their names are partly the same,
 * so that what is foreign is named before tensors are missed or, worse, not missed.
 *
 *   fastvit_t8, t12, s12, sa12, sa24, sa36, ma36   no activation after the large kernel of a downsample
 *   the sa and ma ones, MobileCLIP's mci0, mci1, mci2 BatchNorm before attention
 *   mci0, mci1, mci2                               squeeze-and-excitation in downsamples */
#include <string.h>

#include "convert/names/dialects.h"
#include "convert/names/resolver.h"

static const struct {
    const char *part, *what;
} foreign[] = {
    {".norm.running_mean", "its attention blocks normalize with BatchNorm; FastViTHD's have LayerNorm"},
    {".proj.0.se.", "its downsamples squeeze and excite; FastViTHD's do not"},
};

/* The first tensor of network[] whose key has this part. */
static const fvlm_source_tensor *find_part(const fvlm_resolver *r, const char *part)
{
    static const char network[] = FVLM_TOWER_PREFIX "network.";
    const size_t n = fvlm_source_n_tensors(r->src);
    for (size_t i = fvlm_source_first_at_or_after(r->src, network); i < n; i++) {
        const fvlm_source_tensor *t = fvlm_source_tensor_at(r->src, i);
        if (strncmp(t->key, network, sizeof network - 1)) break;
        const char *at = strstr(t->key, part);
        if (at && !strstr(t->key, ".token_mixer.norm.")) return t;
    }
    return NULL;
}

void fvlm_foreign_tower_check(fvlm_resolver *r)
{
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign && !r->st; i++) {
        const fvlm_source_tensor *t = find_part(r, foreign[i].part);
        if (t)
            r->st = fvlm_fail(
                r->err, FVLM_UNSUPPORTED,
                "\"%s\" is a FastViT, but not of FastViTHD's kind (fastvit_mci3, fastvit_mci4): %s (\"%.200s\")",
                fvlm_source_folder(r->src), foreign[i].what, t->name);
    }
    if (!r->st && r->naming && strcmp(fvlm_naming_dialect(r->naming), "apple") && find_part(r, ".token_mixer.") &&
        !find_part(r, ".token_mixer.qkv."))
        r->st = fvlm_fail(r->err, FVLM_UNSUPPORTED,
                          "\"%s\" is a FastViT without attention (fastvit_t8, t12 or s12), whose downsamples have no "
                          "activation after the large kernel; FastViTHD's have (fastvit_mci3, fastvit_mci4)",
                          fvlm_source_folder(r->src));
}
