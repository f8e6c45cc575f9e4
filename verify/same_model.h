/* SPDX-License-Identifier: Apache-2.0 */
/* same_model.h - whether two files hold one model, so that their weights and outputs can be compared. */
#ifndef FVLM_VERIFY_SAME_MODEL_H
#define FVLM_VERIFY_SAME_MODEL_H

#include "format/reader.h"

/* Refuses configurations that make other networks (FVLM_MISMATCH), naming the field and both values; 'name' is the
 * source's. */
fvlm_status fvlm_same_model_check(const fvlm_reader *model, const fvlm_reader *source, const char *name, fvlm_err *err);

/* What affects only how a model is used may differ: end tokens, prompt template, context, size of the image, tokenizer.
 * *differences says in what the two files do, NULL if in nothing. The caller frees it. */
fvlm_status fvlm_same_model_describe(fvlm_reader *model, fvlm_reader *source, char **differences, fvlm_err *err);

/* Whether the model's provenance names every .onnx file that the file at 'source' was converted from, by its hash. */
fvlm_status fvlm_same_model_made_from(bool *out, const fvlm_reader *model, const char *source, fvlm_err *err);

#endif
