/* SPDX-License-Identifier: Apache-2.0 */
/* convert.h - a checkpoint folder to a .fvlm file. */
#ifndef FVLM_CONVERT_CONVERT_H
#define FVLM_CONVERT_CONVERT_H

#include "format/reader.h"

typedef struct {
    const char *type; /* NULL = keep: source dtype, fused tensors f32; else "f32" "bf16" "f16" */
    unsigned threads; /* 0 = all */
    bool force;       /* replace an existing output */
    fvlm_progress_fn progress;
    void *progress_ctx;
} fvlm_convert_options;

typedef struct fvlm_conversion fvlm_conversion; /* what would be written: names, types, sources, sizes */

/* Reads config, tokenizer and every tensor's name and shape, decides everything,
 * reads no weights yet. Missing or left-over tensors are listed by name and refused. */
fvlm_status fvlm_conversion_plan(fvlm_conversion **out, const char *folder, const fvlm_convert_options *o,
                                 fvlm_err *err);
/* Carries it out. */
fvlm_status fvlm_conversion_write(fvlm_conversion *c, const char *path, fvlm_err *err);
void fvlm_conversion_free(fvlm_conversion **c);

#endif
