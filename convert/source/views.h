/* SPDX-License-Identifier: Apache-2.0 */
/* views.h - tensors that are computed from what files store: transposed, in parts, quantized. convert/graph makes a
 * source of them, and packed.h replaces packed weights by them; everything behind reads them like tensors of
 * safetensors. Defined in views.c. */
#ifndef FVLM_CONVERT_SOURCE_VIEWS_H
#define FVLM_CONVERT_SOURCE_VIEWS_H

#include "convert/source/source.h"

/* Rows of a quantized matrix: weight = scale * code + offset, with the group of its column. An integer zero point z is
 * the offset -scale * z, which a double holds exactly. */
typedef struct {
    uint8_t *codes;  /* [rows][columns], 0 .. 2^bits - 1 */
    float *scales;   /* [rows][groups] */
    double *offsets; /* the same; of a symmetric type -scale * 2^(bits - 1) */
} fvlm_source_codes;

typedef struct {
    /* Any number of threads call the first two at once, with a view's number. The range was checked. */
    fvlm_status (*read)(const void *ctx, size_t view, uint64_t at, size_t n_bytes, void *out, fvlm_err *err);
    fvlm_status (*read_codes)(const void *ctx, size_t view, uint64_t first_row, size_t n_rows, fvlm_source_codes out,
                              fvlm_err *err);
    /* Of the files of fvlm_source_add_views; NULL if there are none. */
    fvlm_status (*hash)(const void *ctx, size_t file, fvlm_hash *out, const fvlm_stop *stop, fvlm_err *err);
    const char *(*path)(const void *ctx, size_t file); /* with its folder */
    fvlm_status (*check_unchanged)(const void *ctx, fvlm_status st, fvlm_err *err);
    void (*close)(void *ctx);
} fvlm_source_reader;

/* A folder of config.json and its like, without weights. On failure *out is NULL. */
fvlm_status fvlm_source_open_bare(fvlm_source **out, const char *folder, fvlm_err *err);

/* Gives a bare source its tensors and files. Tensors and texts are copied; reader outlives src, and ctx is closed with
 * it, or now if this fails. Refuses two tensors of one name. */
fvlm_status fvlm_source_add_views(fvlm_source *src, const fvlm_source_reader *reader, void *ctx,
                                  const fvlm_source_tensor *tensors, size_t n, const fvlm_source_file *files,
                                  size_t n_files, fvlm_err *err);

/* Rows first_row .. first_row + n_rows - 1 of a view whose 'codes' is a type. Thread-safe. */
fvlm_status fvlm_source_read_codes(const fvlm_source *src, const fvlm_source_tensor *t, uint64_t first_row,
                                   size_t n_rows, fvlm_source_codes out, fvlm_err *err);

#endif
