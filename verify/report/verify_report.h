/* SPDX-License-Identifier: Apache-2.0 */
/* verify_report.h - what verify found, in one struct; report_text.c prints it for people, report_json.c as JSON. */
#ifndef FVLM_VERIFY_REPORT_VERIFY_REPORT_H
#define FVLM_VERIFY_REPORT_VERIFY_REPORT_H

#include <stdio.h>

#include "verify/parity.h"
#include "verify/weights.h"

struct json_t; /* of <jansson.h> */

/* Texts and results are borrowed. */
typedef struct {
    const char *model, *against; /* paths; against is NULL if only checksums were checked */
    const char *differences;     /* in use, of a model and its source (same_model.h); NULL: none */
    const char *no_weights;      /* why those of ONNX files are not compared; NULL: they are */
    bool swapped;                /* the source is quantized and the model is not */
    size_t n_tensors;            /* whose checksums match */
    uint64_t n_bytes;            /* of the file */
    double seconds;              /* that the checksums took */
    const fvlm_weights *weights; /* NULL: not compared */
    const fvlm_parity *parity;   /* NULL: outputs not compared */
} fvlm_verify_report;

void fvlm_verify_report_print(FILE *to, const fvlm_verify_report *r);

/* Infinite figures become null. The caller owns it; NULL if out of memory. */
struct json_t *fvlm_verify_report_json(const fvlm_verify_report *r);

#endif
