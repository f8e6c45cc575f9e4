/* SPDX-License-Identifier: Apache-2.0 */
/* packed_folder.h - a checkpoint folder with one weight that MLX, GPTQ or AWQ has packed, and what the weight means.
 * Both come from formulas, one bit at a time. A program has one folder, and one weight in it. */
#ifndef FVLM_TESTS_SUPPORT_PACKED_FOLDER_H
#define FVLM_TESTS_SUPPORT_PACKED_FOLDER_H

#include "convert/source/source.h"
#include "tests/support/support.h"

#define PACKED_MODULE "model.layers.0.mlp.up_proj"

enum { PACKED_MAX = 1 << 22 };

/* A tensor of model.safetensors. */
typedef struct {
    char name[64], type[8];
    unsigned rank;
    uint64_t dims[3];
    uint8_t *bytes;
    size_t n_bytes;
} packed_part;

extern struct packed_folder {
    char path[256]; /* from test_folder */
    test_rng rng;
    packed_part parts[16];
    size_t n;
    char config[512];
} packed_folder;

extern struct packed_weight {
    size_t out, in, group, groups;
    unsigned bits;
    uint8_t codes[PACKED_MAX];                                     /* [out][in] */
    float scales[PACKED_MAX], zeros[PACKED_MAX], want[PACKED_MAX]; /* [out][groups]; [out][in] */
    uint32_t g_idx[1024];
} packed_weight;

/* GPTQ unless awq; plus: zero points are stored less 1; mixed: inputs in another order. */
typedef struct {
    bool awq, plus, mixed, symmetric;
} packed_columns;

/* ---- making ---- */

/* A weight of chance. group 0: a whole row. n_zeros: zero points are 1 .. n_zeros; 0: any floats. */
void packed_set(size_t out, size_t in, size_t group, unsigned bits, const char *type, unsigned n_zeros);

/* Such a weight, packed, and the config.json for it. type: of the scales. */
void packed_make_mlx(size_t out, size_t in, size_t group, unsigned bits, const char *type);
void packed_make_columns(size_t out, size_t in, size_t group, unsigned bits, const char *type, packed_columns form);

void packed_start(void); /* only what every checkpoint has: a tower and a language model */
void packed_clear(void); /* no parts */
/* A tensor of zeros; its bytes. A dimension of 0 ends the shape. size: of an element. */
uint8_t *packed_add(const char *name, const char *type, size_t size, uint64_t d0, uint64_t d1);
packed_part *packed_find(const char *name); /* fails the test if it is absent */
void packed_put_bits(uint8_t *stream, size_t first_bit, unsigned bits, unsigned value);

/* ---- writing and reading ---- */

uint8_t *packed_file(size_t *n_bytes); /* model.safetensors; malloc'd */
void packed_write_as(const char *name, const void *bytes, size_t n);
void packed_write(void);                                   /* both files */
fvlm_status packed_open(fvlm_source **src, fvlm_err *err); /* the folder, written first */

/* n elements from 'first' on are those of the weight. */
void packed_same_floats(const fvlm_source *src, const fvlm_source_tensor *t, uint64_t first, size_t n);

/* The folder is read as the weight, in whole and in parts; with the codes of this type, if it fits one. */
void packed_check(const char *type, bool fits);

#endif
