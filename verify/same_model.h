/* SPDX-License-Identifier: Apache-2.0 */
/* same_model.h - whether two files hold one model, so that their weights and outputs can be compared. */
#ifndef FVLM_VERIFY_SAME_MODEL_H
#define FVLM_VERIFY_SAME_MODEL_H

#include "format/reader.h"

/* Refuses configurations that make other networks (FVLM_MISMATCH), naming the field and both values; 'name' is the
 * source's. */
fvlm_status fvlm_same_model_check(const fvlm_reader *model, const fvlm_reader *source, const char *name, fvlm_err *err);

/* What affects only how a model is used may differ: end tokens, prompt template, context, size of the image, tokenizer,
 * and whether the head is the embedding (quantizers give a tied model a head of its own). *differences says in what the
 * two files do, NULL if in nothing. The caller frees it. */
fvlm_status fvlm_same_model_describe(fvlm_reader *model, fvlm_reader *source, char **differences, fvlm_err *err);

/* Whether the weights of the file at 'source', converted from ONNX files, can be those of the model: it has the same
 * parts, and the model's provenance names the same .onnx files by their hashes. *why is NULL, or says why not. */
fvlm_status fvlm_same_model_made_from(const char **why, const fvlm_reader *model, const char *source, fvlm_err *err);

/* Whether one of the two was made from ONNX files and the other was not, or from others: exporters fold BatchNorm
 * themselves, in f32. */
bool fvlm_same_model_folded_apart(const fvlm_reader *model, const fvlm_reader *source);

#endif
