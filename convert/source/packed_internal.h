/* SPDX-License-Identifier: Apache-2.0 */
/* packed_internal.h - how one packed module is stored, and what reads it; private to packed*.c.
 *
 * A row of codes is a stream of bits, the lowest first: value j is bits j * bits .. j * bits + bits - 1 of its bytes.
 *
 *   MLX     weight U32 [out, in * bits / 32]        scales, biases [out, groups]     w = scale * q + bias
 *   mxfp4   the same with 4-bit floats (e2m1)       scales U8 (e8m0)                 w = scale * q
 *   mxfp8   the same with 8-bit floats (e4m3)       scales U8 (e8m0)
 *   nvfp4   the same as mxfp4, groups of 16         scales U8 (e4m3)
 *   GPTQ    qweight I32 [in * bits / 32, out]       scales [groups, out]             w = scale * (q - zero)
 *           a column is a stream of bits            qzeros I32 [groups, out * bits / 32], a row is one
 *           g_idx I32 [in]: the group of each input; zero is the stored number, in version 1 plus 1
 *   AWQ     qweight I32 [in, out / 8]               scales [groups, out], qzeros I32 [groups, out / 8]
 *           the nibbles of a word, the lowest first, are columns 0, 2, 4, 6, 1, 3, 5, 7
 *
 * Sources: mlx/backend/cpu/quantized.cpp and mlx/backend/metal/kernels/fp8.h of MLX, nn_modules/qlinear of GPTQModel,
 * awq/utils/packing_utils.py of AutoAWQ. */
#ifndef FVLM_CONVERT_SOURCE_PACKED_INTERNAL_H
#define FVLM_CONVERT_SOURCE_PACKED_INTERNAL_H

#include "convert/source/packed.h"

typedef enum {
    FVLM_FORM_MLX,
    FVLM_FORM_MXFP4,
    FVLM_FORM_MXFP8,
    FVLM_FORM_NVFP4,
    FVLM_FORM_GPTQ,
    FVLM_FORM_AWQ
} fvlm_packed_form;

static inline bool fvlm_packed_by_columns(fvlm_packed_form f)
{
    return f == FVLM_FORM_GPTQ || f == FVLM_FORM_AWQ;
}

/* ---- packed_config.c: what config.json says ---- */

typedef struct {
    fvlm_packed_form form;
    unsigned bits;
    uint64_t group; /* inputs that share a scale; 0: a whole row */
    bool desc_act;  /* GPTQ: inputs are in any order, so that g_idx is needed */
    bool zero_plus; /* GPTQ version 1 */
    bool varies;    /* GPTQ with "dynamic": modules may have other bits and groups */
} fvlm_packed_setting;

typedef struct {
    json_t *config;     /* owned */
    const json_t *mlx;  /* "quantization" or what means the same; NULL: none */
    const char *mlx_at; /* its key */
    bool has_columns;   /* 'columns' is set: quant_method is gptq or awq */
    fvlm_packed_setting columns;
} fvlm_packed_config;

/* Refuses a method that is not read, and settings that are not known. */
fvlm_status fvlm_packed_config_read(fvlm_packed_config *out, const fvlm_source *src, fvlm_err *err);
void fvlm_packed_config_free(fvlm_packed_config *c);

/* The setting of a module in MLX's form, by the name that the file gives it: n bytes. */
fvlm_status fvlm_packed_config_find(fvlm_packed_setting *out, const fvlm_packed_config *c, const char *module, size_t n,
                                    fvlm_err *err);

/* ---- packed_module.c: one module ---- */

typedef struct {
    char *name, *origin; /* of the view; owned */
    fvlm_packed_setting is;
    uint64_t out, in, n_groups;
    fvlm_source_tensor codes, scales, zeros; /* zeros: biases or qzeros; without a name: none */
    uint32_t *group_of;                      /* [in], owned; NULL: group j / is.group */
    unsigned shift;                          /* added to each code, so that a symmetric type of ours holds them */
    fvlm_type type;                          /* that holds the codes; kind 0: none */
} fvlm_packed_module;

/* The stored parts of a module; NULL: absent. */
typedef struct {
    const fvlm_source_tensor *codes, *scales, *zeros, *g_idx;
} fvlm_packed_parts;

/* Checks the parts against one another and the setting, and reads g_idx and the zero points. 'module' is the name
 * without an ending, n bytes. On failure *out must be freed, too. */
fvlm_status fvlm_packed_module_bind(fvlm_packed_module *out, const fvlm_source *src, const fvlm_packed_parts *parts,
                                    const fvlm_packed_setting *setting, const char *module, size_t n, fvlm_err *err);
void fvlm_packed_module_free(fvlm_packed_module *m);

/* ---- packed_rows.c: rows of any form ---- */

typedef struct fvlm_packed_slabs fvlm_packed_slabs; /* columns that were read ahead; for any number of threads */

typedef struct {
    uint8_t *codes;        /* [n_rows][in] */
    float *scales, *zeros; /* [n_rows][groups]; zeros: biases, or zero points as they are meant; unused by the rest */
} fvlm_packed_rows;

fvlm_packed_slabs *fvlm_packed_slabs_create(void); /* NULL if out of memory */
void fvlm_packed_slabs_destroy(fvlm_packed_slabs *s);

/* Rows first .. first + n - 1. */
fvlm_status fvlm_packed_rows_read(const fvlm_source *src, fvlm_packed_slabs *slabs, const fvlm_packed_module *m,
                                  uint64_t first, size_t n, fvlm_packed_rows to, fvlm_err *err);

/* The first n values of 'bits' bits of a stream. A byte more than the stream has must be readable. */
void fvlm_packed_unpack(const uint8_t *stream, unsigned bits, size_t n, uint8_t *out);

float fvlm_packed_e4m3(unsigned x); /* the value of an 8-bit float; NaN for 127 and 255 */

/* Column c of AWQ's 8 is this nibble of its word. */
static inline unsigned fvlm_packed_awq_nibble(uint64_t c)
{
    return (unsigned)(c % 2 * 4 + c % 8 / 2);
}

/* ---- packed_views.c: modules as views ---- */

typedef struct {
    const fvlm_source *src; /* which has the parts */
    fvlm_packed_module *modules;
    size_t n, capacity;
    fvlm_packed_slabs *slabs;
} fvlm_packed_modules;

/* View number i is modules[i] of the context, a fvlm_packed_modules on the heap, which is closed with all that it has.
 */
extern const fvlm_source_reader fvlm_packed_reader;

#endif
