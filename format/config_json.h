/* SPDX-License-Identifier: Apache-2.0 */
/* config_json.h - an fvlm_config as the metadata's "config" object (SPEC.md, section 5). */
#ifndef FVLM_FORMAT_CONFIG_JSON_H
#define FVLM_FORMAT_CONFIG_JSON_H

#include <jansson.h>

#include "format/config.h"

/* JSON object of the metadata's "config"; caller owns (json_decref). NULL if out of memory. */
json_t *fvlm_config_to_json(const fvlm_config *c);

/* Reads and checks every field (present, typed, within limits, divisible where the
 * architecture divides). */
fvlm_status fvlm_config_from_json(fvlm_config *out, const json_t *json, fvlm_err *err);

#endif
