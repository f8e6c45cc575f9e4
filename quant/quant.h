/* SPDX-License-Identifier: Apache-2.0 */
/* quant.h - a float .fvlm file to an int8 / int4 one.
 *
 *   fvlm_quantization *q;  fvlm_quant_options o = {.type = "int4"};
 *   if (fvlm_quantization_plan(&q, "model.fvlm", &o, &err)) return complain(&err);
 *   st = fvlm_quantization_write(q, "model-int4.fvlm", &err);
 *   fvlm_quantization_free(&q);
 *
 * Which tensor gets which type (plan.c):
 *   matrices (1x1 convolutions, attention, SE, projector, LLM, embedding, head)   the type asked for
 *   depthwise taps and the 3x3 stem (1 % of the tower)                            f16
 *   biases and norms                                                              as they are
 * Presets: "int8" = int8-sym-g64; "int4" = int4-asym-g64, with int8-sym-g64 for the embedding, the head, and what no
 * residual passes by (stem, downsampling, projector: 1 % of the model).
 * A full type name ("int4-sym-g32") is used for every matrix. Rules override, the last match wins.
 * There is no silent fallback: what cannot be done as asked is refused by name. */
#ifndef FVLM_QUANT_QUANT_H
#define FVLM_QUANT_QUANT_H

#include <jansson.h>

#include "format/reader.h"

typedef struct {
    const char *regex; /* PCRE2; must match a whole canonical name */
    const char *type;  /* a type name of types.h, or "keep": the source's type */
} fvlm_quant_rule;

typedef struct {
    const char *type; /* "int8", "int4" or an integer type's name */
    const fvlm_quant_rule *rules;
    size_t n_rules;
    const char *cpu;  /* most to be used, see fvlm_encode_select; NULL = the best. Never changes a byte */
    unsigned threads; /* 0 = all. Never changes a byte */
    bool force;       /* replace an existing output */
    fvlm_progress_fn progress;
    void *progress_ctx;
} fvlm_quant_options;

typedef struct fvlm_quantization fvlm_quantization;

/* Opens the file and decides the type of every tensor; reads no weights. Options are borrowed until free.
 * Refuses a file that is quantized already, and a rule that matches nothing. */
fvlm_status fvlm_quantization_plan(fvlm_quantization **out, const char *path, const fvlm_quant_options *o,
                                   fvlm_err *err);

/* Carries it out: every source byte is hashed as it is used and must agree with the source's index;
 * NaN, infinities and magnitudes no code can hold are refused, naming tensor and index. Anonymous
 * memory: a few panels a thread, and the scales of the tensors in flight. */
fvlm_status fvlm_quantization_write(fvlm_quantization *q, const char *path, fvlm_err *err);

/* {"type", "set", "families", "tensors", "bytes_before", "bytes_after", ...}; errors (relative L2 of the weights) are
 * there after writing. Caller owns; NULL if out of memory. */
json_t *fvlm_quantization_report(const fvlm_quantization *q);
void fvlm_quantization_free(fvlm_quantization **q); /* NULL is fine; sets NULL */

#endif
