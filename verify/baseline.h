/* SPDX-License-Identifier: Apache-2.0 */
/* baseline.h - what a model is compared with: another .fvlm file, or a checkpoint folder or ONNX file, which is
 * converted into a temporary file without a name. */
#ifndef FVLM_VERIFY_BASELINE_H
#define FVLM_VERIFY_BASELINE_H

#include "convert/convert.h"

typedef struct {
    const char *path; /* of a .fvlm file; can be opened until fvlm_baseline_close. Do not copy the struct. */
    /* The temporary file: */
    int fd;             /* -1 if there is none */
    uint64_t n_bytes;   /* 0 if there is none */
    const char *folder; /* in which it was made */
    char fd_path[24];
} fvlm_baseline;

/* what: a folder, a .fvlm file, or, if onnx is set, an ONNX file; borrowed until close. o: how to convert it; with
 * o->type NULL, nothing is lost (the source's types are kept, fused tensors are f32). On failure nothing is left to
 * close. */
fvlm_status fvlm_baseline_open(fvlm_baseline *out, const char *what, bool onnx, const fvlm_convert_options *o,
                               fvlm_err *err);
void fvlm_baseline_close(fvlm_baseline *a);

#endif
