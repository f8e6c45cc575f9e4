/* SPDX-License-Identifier: Apache-2.0 */
/* json.h - JSON text from a file to a jansson tree, within limits. */
#ifndef FVLM_FORMAT_BASE_JSON_H
#define FVLM_FORMAT_BASE_JSON_H

#include <jansson.h>

#include "format/base/json_pull.h"

#define FVLM_MAX_JSON_VALUES (1u << 20)

/* Parses text[n_bytes]; duplicate keys, bad UTF-8 and anything after the value are refused, and
 * so are more than the limits above, before memory is spent on them. what names the text in messages. */
fvlm_status fvlm_json_parse(json_t **out, const char *text, size_t n_bytes, const char *what, fvlm_err *err);

/* "missing", "null", "a string" ... for messages. */
const char *fvlm_json_kind(const json_t *v);

/* Append or set, and take over the element. If that fails (out of memory), the array or object is freed and becomes
 * NULL: the whole must fail, not shrink. */
void fvlm_json_append(json_t **array, json_t *element);
void fvlm_json_set(json_t **object, const char *key, json_t *value);

/* Outside text as a JSON string: what is not UTF-8 becomes U+FFFD. NULL if out of memory. */
json_t *fvlm_json_lossy_string(const char *text);

#endif
