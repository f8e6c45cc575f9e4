/* SPDX-License-Identifier: Apache-2.0 */
/* gguf.h - private to convert/export: the language model as a GGUF file of version 3 (ggml's docs/gguf.md), planned. */
#ifndef FVLM_CONVERT_EXPORT_GGUF_H
#define FVLM_CONVERT_EXPORT_GGUF_H

#include "convert/export/export_tokens.h"
#include "convert/export/gguf_keys.h"
#include "convert/export/target.h"
#include "convert/export/values.h"

/* ggml's numbers of types. A block is 32 weights of a row: of Q8_0 an f16 scale and 32 bytes; of Q4_0 an f16 scale and
 * 16 bytes, the low halves first; of Q4_1 also an f16 offset behind the scale. */
typedef enum {
    FVLM_GGML_F32 = 0,
    FVLM_GGML_F16 = 1,
    FVLM_GGML_Q4_0 = 2,
    FVLM_GGML_Q4_1 = 3,
    FVLM_GGML_Q8_0 = 8,
    FVLM_GGML_BF16 = 30
} fvlm_ggml;

#define FVLM_GGUF_ALIGNMENT 32

typedef struct {
    fvlm_ggml type;
    fvlm_type plain;           /* of F32, F16, BF16 */
    fvlm_export_values values; /* of rope_freqs only the sizes */
    const fvlm_config *rope;   /* NULL: this is not rope_freqs */
    uint32_t head_dim;         /* of Llama's q and k: see fvlm_gguf_source_row; else 0 */
    unsigned rank;
    size_t row_bytes;
    uint64_t at; /* from the first tensor */
} fvlm_gguf_tensor;

/* llama.cpp rotates channels 2i and 2i + 1 of a Llama's heads together, fvlm and transformers i and i + head_dim / 2.
 * Row n of the file is this row of the model. */
static inline uint64_t fvlm_gguf_source_row(uint32_t head_dim, uint64_t n)
{
    if (!head_dim) return n;
    const uint64_t in_head = n % head_dim;
    return n - in_head + in_head % 2 * (head_dim / 2) + in_head / 2;
}

typedef struct {
    fvlm_gguf_tensor *tensors; /* in the order of the report's tensors */
    size_t n, capacity;
    uint64_t data_bytes;
} fvlm_gguf_plan;

/* gguf_types.c: chooses the type that holds the values of t->values exactly, if there is one, else F32, with the reason
 * in *cause, and sets row_bytes. Reads the scales of integer types. vector: a norm or a bias, which llama.cpp wants in
 * F32. asked: fvlm_export.floats. */
void fvlm_gguf_choose_type(fvlm_gguf_tensor *t, fvlm_type asked, bool vector, const char **cause);
const char *fvlm_gguf_type_name(fvlm_ggml type);

/* An fvlm_export_fill over an fvlm_gguf_tensor. */
fvlm_status fvlm_gguf_fill(const fvlm_export_stream *s, uint64_t first, size_t n, uint8_t *bytes, fvlm_export_thread *t,
                           fvlm_err *err);

/* gguf_tokenizer.c: refuses a tokenizer that llama.cpp does not have; notes small differences. */
fvlm_status fvlm_gguf_check_tokenizer(fvlm_export *x, fvlm_err *err);

/* A text and llama.cpp's type for each row of the embedding; texts are borrowed, NULL for a row without a token. */
typedef struct {
    const char **text;
    int32_t *type;
    size_t n;
} fvlm_gguf_vocabulary;
fvlm_status fvlm_gguf_collect_vocabulary(fvlm_gguf_vocabulary *v, const fvlm_export *x, const fvlm_tokens *t,
                                         fvlm_err *err);
void fvlm_gguf_free_vocabulary(fvlm_gguf_vocabulary *v); /* also after a failure; v began as zeros */

/* chat: a template, or NULL. */
void fvlm_gguf_put_tokenizer(fvlm_gguf_keys *w, const fvlm_export *x, const fvlm_tokens *t,
                             const fvlm_gguf_vocabulary *v, const char *chat);

/* gguf_header.c: everything before the first tensor, malloc'd, padded to the alignment. */
fvlm_status fvlm_gguf_header(fvlm_export *x, char **bytes, size_t *n_bytes, fvlm_err *err);

#endif
