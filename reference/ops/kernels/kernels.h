/* SPDX-License-Identifier: Apache-2.0 */
/* kernels.h - the table of kernels that each instruction set fills (kernels_tmpl.h) and exec.c chooses from. A kernel
 * does one task's share of an operation, on one thread, in scratch memory that the caller provides; ops_*.c split the
 * work. Private to reference/ops. */
#ifndef FVLM_REFERENCE_OPS_KERNELS_KERNELS_H
#define FVLM_REFERENCE_OPS_KERNELS_KERNELS_H

#include "reference/ops/ops.h"

#define FVLM_ROW_BLOCK 128 /* most activation rows per call of linear */

/* One activation row within one group of a weight. See gemm_int_tmpl.h for the algebra. */
typedef struct {
    float scale;       /* x = scale * q */
    int32_t dot_start; /* initial value of the dot products: corrects for the weights' zero point */
    float scaled_sum;  /* scale * (sum of q), which multiplies the offset of an asymmetric weight */
} fvlm_row_group;

/* Activation rows as input of a matrix product: floats, or int8 in the groups of the weight they multiply. */
typedef struct {
    const float *x;
    size_t x_stride; /* floats from row to row */
    int8_t *q;       /* NULL: the product is in floats */
    size_t q_stride; /* bytes from row to row; a row is zero from k to the next multiple of 8 */
    fvlm_row_group *group;
    size_t group_stride; /* [n_groups][group_stride]: the rows of a group are adjacent */
} fvlm_rows;

/* What a product goes through on its way to memory: y = act(product + bias) + residual.
 * Pointers are to column 0 of the task's first row. */
typedef struct {
    const float *bias, *residual; /* or NULL */
    float *y;
    size_t residual_stride, y_stride;
    fvlm_activation act;
} fvlm_epilogue;

/* c[rows][16 * panels] = a[rows][k] . b, or c += where 'resume'. Strides are in elements. */
typedef struct {
    const float *a;
    size_t a_stride;
    const void *b; /* element (i, lane) of panel p is at p * panel_stride + i * b_stride + lane */
    size_t panel_stride, b_stride;
    float *c;
    size_t c_stride, k;
    bool resume; /* c holds the chain of the inputs so far */
} fvlm_product;

/* The input of a depthwise convolution, x [height, width, d->in_c]. */
typedef struct {
    const fvlm_depthwise *d;
    const float *x;
    size_t height, width;
    fvlm_activation act;
} fvlm_depthwise_input;

/* Floats of scratch that linear needs. */
#define FVLM_LINEAR_SCRATCH (FVLM_ROW_BLOCK * 64 + 64 * 256)

typedef struct {
    const char *name;

    /* Columns panel*16 .. panel_end*16 - 1 (those that w has) of n_rows <= FVLM_ROW_BLOCK rows times w. False if a
     * value was not finite, before the activation or in y. */
    bool (*linear)(const fvlm_weight *w, const fvlm_rows *a, size_t n_rows, size_t panel, size_t panel_end,
                   const fvlm_epilogue *out, float *scratch);
    /* Fills a->q and a->group from a->x for products with w. A group with a value that is not finite gets the scale
     * NaN, and so does every product with it. */
    void (*quantize)(const fvlm_rows *a, size_t n_rows, const fvlm_weight *w);
    /* b is f32. */
    void (*matmul)(const fvlm_product *t, size_t n_rows, size_t panels);

    /* Output pixels first .. end-1, counted along the rows of the image. */
    void (*depthwise)(const fvlm_depthwise_input *in, size_t first, size_t end, float *y, size_t y_stride);

    void (*layer_norm)(const float *x, size_t c, float eps, float *y);
    void (*rms_norm)(const float *x, size_t c, const float *gamma, float eps, float *y);
    /* s[i] = exp(s[i] * scale - max); returns their sum, or NaN if a score is not finite. */
    float (*softmax)(float *s, size_t n, float scale);
    void (*divide)(const float *x, size_t n, float by, float *y);
    void (*silu_mul)(const float *gate, const float *up, size_t n, float *y);
    void (*gate_gelu)(float *x, const float *gate, size_t c);
    /* Means of channels first .. end-1 (first a multiple of 16). */
    void (*channel_mean)(const float *x, size_t m, size_t c, size_t first, size_t end, float *mean);
    bool (*all_finite)(const float *x, size_t n);
    /* One head at one position: x [head_dim], cos_sin [head_dim]. */
    void (*rope)(float *x, size_t head_dim, const float *cos_sin);
    /* Rows x [n <= 16][k] as one panel, out[i * 16 + lane]; lanes from n on are 0. */
    void (*panel)(const float *x, size_t stride, size_t n, size_t k, float *out);

    /* 'rounds' of multiply-adds in registers and nothing else; return how many multiply-adds that was (peak_tmpl.h). */
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
