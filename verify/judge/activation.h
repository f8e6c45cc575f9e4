/* SPDX-License-Identifier: Apache-2.0 */
/* activation.h - private to judge/: the activation that onnxruntime's optimizer moves into FusedConv and FusedGemm. */
#ifndef FVLM_VERIFY_JUDGE_ACTIVATION_H
#define FVLM_VERIFY_JUDGE_ACTIVATION_H

#include "verify/judge/call.h"

typedef struct {
    int kind; /* 0: none */
    double p[2];
} fvlm_activation;

/* From "activation", and its numbers from "activation_params" (FusedConv) or "activation_alpha" and so on (FusedGemm).
 */
fvlm_status fvlm_activation_read(fvlm_activation *a, const fvlm_judge_call *c);
void fvlm_activation_apply(const fvlm_activation *a, float *x, uint64_t n);

#endif
