/* SPDX-License-Identifier: Apache-2.0 */
/* json_fields.h - the members of one JSON object, read by name, type and range. The first failure is kept and all
 * reads after it do nothing, so that a reader lists its members and checks st once. */
#ifndef FVLM_FORMAT_BASE_JSON_FIELDS_H
#define FVLM_FORMAT_BASE_JSON_FIELDS_H

#include "format/base/json.h"

typedef struct {
    const json_t *object;
    const char *name; /* of the object, for messages */
    bool quoted;      /* a message begins: NAME.key, or NAME: "key" */
    fvlm_err *err;
    fvlm_status st;
} fvlm_json_fields;

/* Each requires the member to be there and sets *out, or fails and leaves *out alone. */
void fvlm_json_fields_u32(fvlm_json_fields *f, const char *key, uint32_t min, uint32_t max, uint32_t *out);
void fvlm_json_fields_real(fvlm_json_fields *f, const char *key, double min, double max, double *out);
void fvlm_json_fields_bool(fvlm_json_fields *f, const char *key, bool *out);

/* The array, object or string called key; borrowed. NULL on failure. */
const json_t *fvlm_json_fields_child(fvlm_json_fields *f, const char *key, json_type type);

#endif
