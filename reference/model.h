/* SPDX-License-Identifier: Apache-2.0 */
/* model.h - the open model: what the passes share. Private to reference/; callers see reference.h, which declares the
 * passes themselves. */
#ifndef FVLM_REFERENCE_MODEL_H
#define FVLM_REFERENCE_MODEL_H

#include "reference/bind.h"
#include "reference/reference.h"

/* What the tower works in: two buffers as large as the largest layer, used in turn, and one for what is wide but
 * short-lived: bands of the stem, qkv, squeeze-and-excitation. */
typedef struct {
    float *a, *b, *wide;
    size_t n_ab, n_wide; /* floats */
} fvlm_tower_memory;

/* What the language model works in. */
typedef struct {
    size_t capacity, position; /* positions that fit, and that are filled */
    float *keys, *values;      /* [layers][capacity][kv_heads * head_dim] */
    float *cos_sin;            /* [capacity][head_dim] */
    size_t rows;               /* that go through the layers together */
    float *x, *narrow, *q;     /* [rows][hidden]: the residual stream, norms and attention, queries */
    float *gate, *up;          /* [rows][intermediate] */
    size_t n_cache, n_rows;    /* floats in the buffers of capacity and of rows */
} fvlm_llm_memory;

struct fvlm_model {
    fvlm_model_options options;
    fvlm_reader *reader;
    const fvlm_config *config; /* the reader's */
    fvlm_tokenizer *tokenizer;
    fvlm_exec *exec;
    fvlm_model_weights weights;
    fvlm_tower_memory tower_memory;
    float *projector_hidden; /* [tokens, projector.hidden] */
    size_t n_projector_hidden;
    fvlm_llm_memory llm_memory;
};

/* vision.c. The sizes for an image of that side, without buffers. */
fvlm_tower_memory fvlm_tower_memory_for(const fvlm_config *c, size_t side);
size_t fvlm_tower_memory_bytes(const fvlm_tower_memory *t);
void fvlm_tower_memory_free(fvlm_tower_memory *t);

/* llm.c */
void fvlm_llm_memory_free(fvlm_llm_memory *l);

/* encode.c. fvlm_model_load_tiles and fvlm_model_encode_tiles with what they cost: *seconds is set, to *timing the
 * parts are added, *tiling is set, also on failure, and its 'each' owned by the caller. */
fvlm_status fvlm_model_load_timed(const fvlm_model *m, const fvlm_image *image, fvlm_tiles *out, double *seconds,
                                  fvlm_err *err);
fvlm_status fvlm_model_encode_timed(fvlm_model *m, const fvlm_tiles *t, float *rows, fvlm_timing *timing,
                                    fvlm_tiling_cost *tiling, fvlm_err *err);

/* parts.c. Each refuses a model that lacks the part. */
fvlm_status fvlm_model_require_llm(const fvlm_model *m, fvlm_err *err);
fvlm_status fvlm_model_require_projector(const fvlm_model *m, fvlm_err *err);

/* observe.c. Called after each block: passes its output x [rows, cols] to the observer. Fails when the kernels could
 * not allocate their scratch, when a value of the block was not finite, and when the caller asked to stop. The second
 * is for blocks that end with something else than a product, which checks its results (ops.h). */
fvlm_status fvlm_model_observe(const fvlm_model *m, const char *name, const float *x, size_t rows, size_t cols,
                               fvlm_err *err);
fvlm_status fvlm_model_observe_checked(const fvlm_model *m, const char *name, const float *x, size_t rows, size_t cols,
                                       fvlm_err *err);

/* Refuses the embedding's row of token id, as decoded, if it is not finite. */
fvlm_status fvlm_model_check_embedding(const fvlm_model *m, uint32_t id, const float *row, fvlm_err *err);

#endif
