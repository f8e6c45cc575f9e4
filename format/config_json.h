/* SPDX-License-Identifier: Apache-2.0 */
/* config_json.h - an fvlm_config as the metadata's "config" object. SPEC.md, section 5. For format/ and convert/. */
#ifndef FVLM_FORMAT_CONFIG_JSON_H
#define FVLM_FORMAT_CONFIG_JSON_H

#include <jansson.h>

#include "format/config.h"

/* The caller owns the object (json_decref). NULL if out of memory. */
json_t *fvlm_config_to_json(const fvlm_config *c);

/* Reads every field and checks that it is present, of its type, within its limits, and consistent with the others.
 * Messages name the field: "config.vision.stages[2].dim". */
fvlm_status fvlm_config_from_json(fvlm_config *out, const json_t *json, fvlm_err *err);

#endif
