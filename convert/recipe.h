/* SPDX-License-Identifier: Apache-2.0 */
/* recipe.h - how one module of the container (a weight and perhaps a bias) is computed from source tensors.
 *
 * Every fold of a FastVLM checkpoint is one formula, linear in the kernels:
 *
 *   W[o, i, :] = identity + scale[o] * sum over branches b of  sign_b * g_b[o] * pad(K_b)[o, i, :] * gain[i]
 *   bias[o]    =       scale[o] * sum over branches b of  sign_b * (beta_b - mean_b g_b + g_b bias_b)
 *                    + scale[o] * sum over i of K[o, i] * shift[i]
 *
 *   K_b       a kernel, or the identity (rbr_skip), zero-padded to the widest kernel
 *   g_b       gamma / sqrt(var + eps) of the branch's BatchNorm; 1 without one
 *   identity  added if the module is x + f(x) (RepMixer, RepCPE)
 *   scale     layer scale; for the q rows of qkv also head_dim^-0.5
 *   gain, shift   the affine part of the LayerNorm in front of a linear layer
 *
 * names/ makes recipes from tensor names, fuse.c computes them, prove.c checks the result against the unfused
 * branches, pack.c lays it out. A recipe of one bare kernel changes nothing: its tensors keep their type. */
#ifndef FVLM_CONVERT_RECIPE_H
#define FVLM_CONVERT_RECIPE_H

#include "convert/source/source.h"
#include "format/tensors.h"

#define FVLM_MAX_BRANCHES 8
#define FVLM_NORM_EPS 1e-5 /* of BatchNorm and of LayerNormChannel */

typedef struct {
    const fvlm_source_tensor *gamma, *beta, *mean, *var; /* all four or none */
} fvlm_batch_norm;

typedef struct {
    const fvlm_source_tensor *kernel; /* [out, in, k, k] or [out, in]; NULL = the identity */
    const fvlm_source_tensor *bias;   /* [out] or NULL */
    fvlm_batch_norm bn;               /* after the kernel */
    int sign;                         /* +1 or -1 */
    uint32_t k;                       /* side of this kernel, odd */
} fvlm_branch;

typedef struct {
    char *name;     /* malloc'd: "vision.stage0.block1.ffn.dw": the tensors are NAME.weight and NAME.bias */
    fvlm_part part; /* set by fvlm_recipes_check */
    fvlm_layout layout;
    unsigned rank;
    uint64_t dims[FVLM_MAX_RANK]; /* logical shape of the weight */
    uint64_t out, in;             /* rows; inputs of a group (1 for depthwise) */
    uint64_t groups;
    uint32_t k, stride; /* side of the fused kernel; only the proof uses the stride */
    fvlm_branch branch[FVLM_MAX_BRANCHES];
    unsigned n_branches;
    bool residual;                                    /* add the identity: x + f(x) */
    const fvlm_source_tensor *layer_scale;            /* [out] (stored [out,1,1]) or NULL */
    const fvlm_source_tensor *norm_gain, *norm_shift; /* [in], both or none */
    uint64_t q_rows;                                  /* the first q_rows rows are also scaled by q_scale */
    double q_scale;
    bool fused;    /* false: one bare kernel, stored as it is */
    bool has_bias; /* the module in the container has one */
} fvlm_recipe;

typedef struct {
    fvlm_recipe *items; /* in the order of the file */
    size_t n, capacity;
} fvlm_recipes;

/* The shape that a convolution must have; where it is 0, the widest kernel decides. */
typedef struct {
    uint64_t out, in, groups;
    uint32_t k, stride;
    bool depthwise; /* in is 1, groups = input channels */
} fvlm_conv_shape;

/* Set the recipe's shape and layout, and check its source tensors. Any of them may be NULL (missing tensors are
 * reported elsewhere). A tensor that does not fit is described in *bad, unless bad->code is set already.
 *
 * _conv: a convolution of the branches added so far.
 * _linear: a bare matrix [out, in] with a bias [out] or NULL; or, if in is 0, a vector [out]. */
void fvlm_recipe_set_conv(fvlm_recipe *m, fvlm_conv_shape shape, fvlm_err *bad);
void fvlm_recipe_set_linear(fvlm_recipe *m, const fvlm_source_tensor *weight, const fvlm_source_tensor *bias,
                            uint64_t out, uint64_t in, fvlm_err *bad);

/* Leaves out a layer scale of ones, and a norm without gain and shift, where the source has none of its own
 * (fvlm_source_tensor.filled): so a bare kernel stays as it is stored. */
void fvlm_recipe_simplify(fvlm_recipe *m);

/* Whether the source stores one of its kernels as integers. */
bool fvlm_recipe_is_quantized(const fvlm_recipe *m);

/* Checks that the recipes make exactly the tensors that config demands (format/tensors.h), in that order, and sets the
 * part of each. config must be valid: see fvlm_config_from_json. */
fvlm_status fvlm_recipes_check(fvlm_recipes *all, const fvlm_config *config, fvlm_err *err);

#endif
