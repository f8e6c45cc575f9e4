/* SPDX-License-Identifier: Apache-2.0 */
/* source_json.h - the JSON files of a checkpoint folder. */
#ifndef FVLM_CONVERT_SOURCE_SOURCE_JSON_H
#define FVLM_CONVERT_SOURCE_SOURCE_JSON_H

#include <jansson.h>

#include "convert/source/source.h"

/* Reads a file of the folder that must hold a JSON object. The caller owns *out, which is NULL on failure, and also if
 * the file is absent. */
fvlm_status fvlm_source_json(json_t **out, fvlm_source *src, const char *name, uint64_t max_bytes, fvlm_err *err);

#endif
