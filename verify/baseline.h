/* SPDX-License-Identifier: Apache-2.0 */
/* baseline.h - what a model is compared with: another .fvlm file, or a checkpoint folder, which is converted into a
 * temporary file without a name. */
#ifndef FVLM_VERIFY_BASELINE_H
#define FVLM_VERIFY_BASELINE_H

#include "convert/convert.h"

typedef struct {
    char path[4096]; /* of a .fvlm file; can be opened until fvlm_baseline_close */
    /* The temporary file: */
    int fd;            /* -1 if there is none */
    uint64_t n_bytes;  /* 0 if there is none */
    char folder[1024]; /* in which it was made */
} fvlm_baseline;

/* what: a folder or a .fvlm file. o: how to convert a folder; with o->type NULL, nothing is lost (the source's types
 * are kept, fused tensors are f32). On failure nothing is left to close. */
fvlm_status fvlm_baseline_open(fvlm_baseline *out, const char *what, const fvlm_convert_options *o, fvlm_err *err);
void fvlm_baseline_close(fvlm_baseline *a);

#endif
