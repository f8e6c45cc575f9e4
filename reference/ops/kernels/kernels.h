/* SPDX-License-Identifier: Apache-2.0 */
/* kernels.h - the table of kernels that one instruction set fills (kernels_tmpl.h)
 * and exec.c chooses from. A kernel works on one task's share, in one thread, in
 * scratch memory it is given; splitting work is the business of ops_*.c. */
#ifndef FVLM_REFERENCE_OPS_KERNELS_KERNELS_H
#define FVLM_REFERENCE_OPS_KERNELS_KERNELS_H

#include "reference/ops/ops.h"

#define FVLM_ROW_BLOCK 128 /* most activation rows to one call of linear */

/* What a row of activations brings to one group of a weight. */
typedef struct {
    float scale;   /* x = scale * q */
    int32_t start; /* added to the sum of products, which turns w's stored integers into those of the formula */
    float moved;   /* (sum of q) * scale: meets the offset of an asymmetric weight */
} fvlm_group;

/* Activation rows as a matrix product reads them: floats, or int8 in the groups of
 * the weight they meet. */
typedef struct {
    const float *x;
    size_t x_stride; /* floats from row to row */
    int8_t *q;       /* NULL: the product is in floats */
    size_t q_stride; /* bytes from row to row; a row is zero from k to the next multiple of 8 */
    fvlm_group *group;
    size_t group_stride; /* [n_groups][group_stride]: rows lie side by side */
} fvlm_rows;

/* What happens to a product on its way out: y = act(product + bias) + residual.
 * The pointers are those of column 0 and of the task's first row. */
typedef struct {
    const float *bias, *residual; /* or NULL */
    float *y;
    size_t residual_stride, y_stride;
    fvlm_activation act;
} fvlm_finish;

/* Floats of scratch that linear needs. */
#define FVLM_LINEAR_SCRATCH (FVLM_ROW_BLOCK * 64 + 64 * 256)

typedef struct {
    const char *name;

    /* Columns panel*16 .. panel_end*16 - 1 (as far as w has rows) of n_rows <= FVLM_ROW_BLOCK rows times w. */
    void (*linear)(const fvlm_weight *w, const fvlm_rows *a, size_t n_rows, size_t panel, size_t panel_end,
                   const fvlm_finish *f, float *scratch);
    /* Fills a->q and a->group from a->x for products with w. */
    void (*quantize)(const fvlm_rows *a, size_t n_rows, const fvlm_weight *w);
    /* c[n_rows][16 * panels] = a[n_rows][k] . b; element (i, lane) of panel p of b at p*panel_stride + i*b_stride +
     * lane. */
    void (*matmul)(size_t n_rows, size_t panels, size_t k, const float *a, size_t a_stride, const float *b,
                   size_t panel_stride, size_t b_stride, float *c, size_t c_stride);

    /* Output pixels first .. end-1, counted through the rows of the picture. */
    void (*depthwise)(const fvlm_depthwise *d, const float *x, size_t height, size_t width, fvlm_activation act,
                      size_t first, size_t end, float *y, size_t y_stride);

    void (*layer_norm)(const float *x, size_t c, float eps, float *y);
    void (*rms_norm)(const float *x, size_t c, const float *gamma, float eps, float *y);
    /* s[i] = exp(s[i] * scale - max); returns their sum. */
    float (*softmax)(float *s, size_t n, float scale);
    void (*divide)(const float *x, size_t n, float by, float *y);
    void (*silu_mul)(const float *gate, const float *up, size_t n, float *y);
    void (*gate_gelu)(float *x, const float *gate, size_t c);
    void (*activate)(float *x, size_t n, fvlm_activation act);
    /* Means of channels first .. end-1 (first a multiple of 16). */
    void (*channel_mean)(const float *x, size_t m, size_t c, size_t first, size_t end, float *mean);
    /* One head of one position: x [head_dim], cos_sin [head_dim]. */
    void (*rope)(float *x, size_t head_dim, const float *cos_sin);
    /* Rows of x [n <= 16][k] as one panel: out[i*16 + lane], lanes from n on 0. */
    void (*panel)(const float *x, size_t stride, size_t n, size_t k, float *out);

    /* So many rounds of nothing but multiply-adds in registers; return how many those were (peak_tmpl.h). */
    double (*peak_f32)(size_t rounds, float *sink);
    double (*peak_int8)(size_t rounds, float *sink);
} fvlm_kernels;

extern const fvlm_kernels fvlm_kernels_scalar;
#if defined(__x86_64__)
extern const fvlm_kernels fvlm_kernels_avx2, fvlm_kernels_avx512;
#elif defined(__aarch64__)
extern const fvlm_kernels fvlm_kernels_neon, fvlm_kernels_dotprod;
#endif

#endif
