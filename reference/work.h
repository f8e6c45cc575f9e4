/* SPDX-License-Identifier: Apache-2.0 */
/* work.h - what a pass costs: multiply-adds of matrices, convolutions and attention, and bytes of weights. fvlm bench
 * divides it by time. Private to reference/. */
#ifndef FVLM_REFERENCE_WORK_H
#define FVLM_REFERENCE_WORK_H

#include "reference/model.h"

/* 243e9 for FastViTHD at 1024. */
double fvlm_work_tower_macs(const fvlm_model *m, uint32_t side);

/* n positions into an empty cache, logits of the last: causal attention reads half of them on average. */
double fvlm_work_prefill_macs(const fvlm_model *m, double n);

/* Bytes of weights that decoding one token reads. */
double fvlm_work_decode_bytes(const fvlm_model *m);

#endif
