/* SPDX-License-Identifier: Apache-2.0 */
/* describe.h - private to quant/: the record of a quantization in the new file. */
#ifndef FVLM_QUANT_DESCRIBE_H
#define FVLM_QUANT_DESCRIBE_H

#include "quant/plan.h"

struct json_t; /* of <jansson.h> */

/* The source's metadata with an entry for q appended to "transforms". Caller owns; NULL if out of memory. */
struct json_t *fvlm_quant_metadata(const fvlm_quantization *q);

#endif
