/* quant.h - a float .fvlm file to an int8 / int4 one. */
#ifndef FVLM_QUANT_H
#define FVLM_QUANT_H

#include "format/container.h"

typedef struct {
    const char *regex, *type; /* canonical names that match take this type; the last match wins */
} fvlm_quant_rule;

typedef struct {
    const char *type; /* "int8", "int4" or a type name of types.h */
    const fvlm_quant_rule *rules;
    size_t n_rules;
    unsigned threads;
    bool force;
    fvlm_progress_fn progress;
    void *progress_ctx;
} fvlm_quant_options;

typedef struct fvlm_quantization fvlm_quantization;

fvlm_status fvlm_quantization_plan(fvlm_quantization **out, const char *path, const fvlm_quant_options *o,
                                   fvlm_err *err);
fvlm_status fvlm_quantization_write(fvlm_quantization *q, const char *path, fvlm_err *err);
json_t *fvlm_quantization_report(const fvlm_quantization *q); /* caller owns */
void fvlm_quantization_free(fvlm_quantization **q);

/* Encodes row values x[k] with the least-squares scale search (and, for tests, plain absmax):
 * q[k] unsigned integers, scales (and offsets if asymmetric) [groups] as bf16. Returns the sum of
 * squared errors. Non-finite input is refused before this is called. */
double fvlm_encode_row(fvlm_type t, const float *x, size_t k, bool search, uint8_t *q, uint16_t *scales,
                       uint16_t *offsets);

#endif
