/* SPDX-License-Identifier: Apache-2.0 */
/* parity_report.h - what verify found, for people and as JSON. */
#ifndef FVLM_VERIFY_REPORT_PARITY_REPORT_H
#define FVLM_VERIFY_REPORT_PARITY_REPORT_H

#include <jansson.h>

#include "verify/parity.h"
#include "verify/weights.h"

/* One hash check of a whole file. */
typedef struct {
    size_t n_tensors;
    uint64_t n_bytes;
    double seconds;
} fvlm_hash_report;

void fvlm_report_hashes(const char *path, const fvlm_hash_report *h);

void fvlm_report_weights(const fvlm_weights *w);

/* Every block and the predictions, for each activation mode, with the verdict. */
void fvlm_report_parity(const fvlm_parity *p);

/* Caller owns; NULL if out of memory. against, w and p are NULL for what was not done. Infinite figures become null. */
json_t *fvlm_report_json(const char *path, const fvlm_hash_report *h, const char *against, const fvlm_weights *w,
                         const fvlm_parity *p);

#endif
