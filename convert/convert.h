/* SPDX-License-Identifier: Apache-2.0 */
/* convert.h - turns a checkpoint, safetensors or ONNX, into a .fvlm file.
 *
 *   fvlm_conversion *c;
 *   fvlm_convert_options o = {.type = "bf16"};
 *   fvlm_status st = fvlm_conversion_plan(&c, "FastVLM-0.5B", &o, &err);
 *   if (!st) st = fvlm_conversion_write(c, "fastvlm.fvlm", &err);
 *   fvlm_conversion_free(&c);
 *
 * conversion_report.h describes what a conversion will write, or has written.
 *
 * How it works, and where: source/ opens the folder and gives named tensors; checkpoint.h reads config.json,
 * vocabulary/ the tokenizer; names/ turns tensor names into recipes (recipe.h), one for each module of the model;
 * pack.h carries a recipe out: fuse.h computes it in f64, prove.h checks the result, elements.h rounds it once. */
#ifndef FVLM_CONVERT_CONVERT_H
#define FVLM_CONVERT_CONVERT_H

#include "format/base/stop.h"
#include "format/reader.h"

/* The community's suffixes of ONNX files; transformers.js calls quantized "q8". */
#define FVLM_CONVERT_VARIANTS "fp32|fp16|q4|q4f16|int8|uint8|q8|quantized|bnb4"

#define FVLM_CONVERT_DIALECTS "apple|transformers|mlx-vlm|apple-mlx|timm|openclip|mobileclip|apple-tower"

typedef struct {
    const char *type;      /* "f32", "bf16", "f16", or NULL: keep the checkpoint's types, store fused tensors as f32 */
    const char *tokenizer; /* "tokenizer.json" or "vocab.json": which to believe where they disagree; NULL: refuse */
    const char *head;      /* "own" (lm_head.weight) or "tied" (the embedding): which to use where config.json says
                              tie_word_embeddings and both differ, or denies it and no head is stored; NULL: refuse */
    const char *conversation; /* name of the prompt's template, as in LLaVA's conversation.py; NULL: what the checkpoint
                                 states, else that of its family */
    const char *variant;      /* of an ONNX folder: one of those; NULL: fp32, or the only one that is there */
    const char *quantized;    /* of weights that the source has quantized: "keep" the codes where a type of ours has the
                                 same groups, or make them "float"; NULL: keep, unless type is given */
    const char *dialect;      /* of tensor names: one of FVLM_CONVERT_DIALECTS; NULL: recognized by the names */
    const char *vision;       /* folder or ONNX file whose vision tower to take, for checkpoints without one; or NULL */
    unsigned threads;         /* 0 = all */
    bool force;               /* replace an existing file */
    fvlm_progress_fn progress; /* called by the thread that called fvlm_conversion_write; may be NULL */
    void *progress_ctx;
    const fvlm_stop *stop; /* set it to end plan or write early; may be NULL */
} fvlm_convert_options;

/* A planned conversion: the tensors to write, their types, sources and sizes. One thread at a time. */
typedef struct fvlm_conversion fvlm_conversion;

/* Reads the config, the tokenizer, and the name and shape of every tensor, and decides everything; reads no weights,
 * except to compare a stored head with the embedding. Refuses, among others, missing and left-over tensors (by name).
 * On failure *out is NULL. The strings and pointers of *o must outlive the conversion. */
fvlm_status fvlm_conversion_plan(fvlm_conversion **out, const char *folder, const fvlm_convert_options *o,
                                 fvlm_err *err);

/* Writes the file. The same source, version and options give the same bytes, with any number of threads. On failure
 * nothing appears at path, and a file that was there is unchanged; the conversion can still be described and freed. */
fvlm_status fvlm_conversion_write(fvlm_conversion *c, const char *path, fvlm_err *err);

void fvlm_conversion_free(fvlm_conversion **c); /* sets *c to NULL; NULL is fine */

#endif
