/* SPDX-License-Identifier: Apache-2.0 */
/* work.h - how much a pass has to do: multiply-adds of matrices, convolutions and attention, bytes
 * of weights. For fvlm bench, which divides it by time. Private to reference/. */
#ifndef FVLM_REFERENCE_WORK_H
#define FVLM_REFERENCE_WORK_H

#include "reference/model.h"

/* 243e9 for FastViTHD at 1024. */
double fvlm_work_tower_macs(const fvlm_model *m, uint32_t side);

/* n positions after none, logits of the last: causal attention looks back at half of them. */
double fvlm_work_prefill_macs(const fvlm_model *m, double n);

/* Bytes of weights that one decoded token reads. */
double fvlm_work_decode_bytes(const fvlm_model *m);

#endif
