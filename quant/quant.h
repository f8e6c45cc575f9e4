/* SPDX-License-Identifier: Apache-2.0 */
/* quant.h - quantize the float matrices of a .fvlm file to int8 or int4.
 *
 *   fvlm_quantization *q;  fvlm_err err;
 *   fvlm_quant_options o = {.type = "int4"};
 *   if (fvlm_quantization_plan(&q, "model.fvlm", &o, &err)) return complain(&err);
 *   fvlm_status st = fvlm_quantization_write(q, "model-int4.fvlm", &err);
 *   fvlm_quantization_free(&q);
 *
 * Which tensor gets which type (plan.c):
 *   matrices (1x1 convolutions, attention, SE, projector, LLM, embedding, head)   the type asked for
 *   depthwise taps and the 3x3 stem (1 % of the tower)                            f16
 *   biases and norms                                                              unchanged
 *   what is integer already (convert keeps what an ONNX file has quantized)       unchanged
 * Presets: "int8" means int8-sym-g64. "int4" means int4-asym-g64, but int8-sym-g64 for the embedding, the head and the
 * layers without a residual connection (stem, downsampling, projector: 1 % of the model). A full type name such as
 * "int4-sym-g32" applies to every matrix. Rules override all of this: of those that match a tensor and whose type fits
 * it (integers fit matrices, the others everything), the last decides. A rule that decides nothing is refused; the
 * report counts what a rule matches and does not fit. */
#ifndef FVLM_QUANT_QUANT_H
#define FVLM_QUANT_QUANT_H

#include "format/base/stop.h"
#include "format/reader.h"

typedef struct {
    const char *regex; /* PCRE2; must match a whole canonical name */
    const char *type;  /* a type name of types.h, or "keep": the source's type */
} fvlm_quant_rule;

typedef struct {
    const char *type; /* "int8", "int4" or an integer type's name */
    const fvlm_quant_rule *rules;
    size_t n_rules;
    const char *cpu;  /* see fvlm_cpu_select; never changes a byte */
    unsigned threads; /* 0 = all; never changes a byte */
    bool force;       /* replace an existing output */
    fvlm_progress_fn progress;
    void *progress_ctx;
    const fvlm_stop *stop;
} fvlm_quant_options;

typedef struct fvlm_quantization fvlm_quantization;

/* Opens the file and decides the type of every tensor; reads no weights. What o points to must live until
 * fvlm_quantization_free. On failure *out is NULL. Refuses a file whose matrices are all quantized already
 * (FVLM_UNSUPPORTED), and types and rules that make no sense (FVLM_USAGE). */
fvlm_status fvlm_quantization_plan(fvlm_quantization **out, const char *path, const fvlm_quant_options *o,
                                   fvlm_err *err);

/* Carries out the plan. Every source byte is hashed as it is used, and the hashes must agree with the source's index
 * (FVLM_MISMATCH). Refuses NaN, infinities and magnitudes that no code can stand for, naming tensor and index
 * (FVLM_BAD_INPUT). On failure there is no new file, and an existing one is unchanged. Anonymous memory: some
 * megabytes per thread, and the scales of the tensors in flight. */
fvlm_status fvlm_quantization_write(fvlm_quantization *q, const char *path, fvlm_err *err);

void fvlm_quantization_free(fvlm_quantization **q); /* NULL is fine; sets NULL */

#endif
