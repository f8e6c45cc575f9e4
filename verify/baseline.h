/* SPDX-License-Identifier: Apache-2.0 */
/* baseline.h - what a model is held against: another .fvlm file, or a checkpoint folder that is converted for the
 * occasion into a temporary file without a name. */
#ifndef FVLM_VERIFY_BASELINE_H
#define FVLM_VERIFY_BASELINE_H

#include "convert/convert.h"

typedef struct {
    char path[4096];   /* of a .fvlm file that can be opened until fvlm_baseline_close */
    int fd;            /* of the temporary file, -1 if there is none */
    uint64_t n_bytes;  /* of the temporary file, 0 if there is none */
    char folder[1024]; /* it was made in */
} fvlm_baseline;

/* what = a folder or a .fvlm file. o says how to convert the folder; its type is NULL, so that the
 * conversion is lossless (source types kept, fused tensors in f32). */
fvlm_status fvlm_baseline_open(fvlm_baseline *out, const char *what, const fvlm_convert_options *o, fvlm_err *err);
void fvlm_baseline_close(fvlm_baseline *a);

#endif
