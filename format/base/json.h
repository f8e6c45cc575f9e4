/* SPDX-License-Identifier: Apache-2.0 */
/* json.h - JSON text from a file to a jansson tree, within limits. */
#ifndef FVLM_FORMAT_BASE_JSON_H
#define FVLM_FORMAT_BASE_JSON_H

#include <float.h>
#include <jansson.h>

#include "format/base/json_pull.h"

#define FVLM_MAX_JSON_VALUES (1u << 20)

/* Reads the next value as a tree, which the caller owns; NULL on failure. Duplicate keys are refused, and so is more
 * than the limits above, before memory is spent on it. An integer beyond 64 bits becomes a real. Jansson has no
 * others than f64, so that what is beyond it, and Infinity, become +-FVLM_JSON_NOT_FINITE, and NaN
 * -FVLM_JSON_NOT_FINITE: every reader of a number must have a range, as json_fields.h demands, and may take a large
 * number for no limit. */
json_t *fvlm_json_pull_tree(fvlm_json_pull *p);

#define FVLM_JSON_NOT_FINITE DBL_MAX

/* The same for a whole text. what names it in messages. */
fvlm_status fvlm_json_parse(json_t **out, const char *text, size_t n_bytes, fvlm_json_dialect dialect, const char *what,
                            fvlm_err *err);

/* "missing", "null", "a string" ... for messages. */
const char *fvlm_json_kind(const json_t *v);

/* Append or set, and take over the element. If that fails (out of memory), the array or object is freed and becomes
 * NULL: the whole must fail, not shrink. */
void fvlm_json_append(json_t **array, json_t *element);
void fvlm_json_set(json_t **object, const char *key, json_t *value);

/* A deep copy; NULL if out of memory, where json_deep_copy leaves members out instead. */
json_t *fvlm_json_copy(const json_t *v);

/* The text of a tree, malloc'd; NULL if out of memory, where json_dumps leaves characters out instead. flags:
 * jansson's. */
char *fvlm_json_dumps(const json_t *v, size_t flags);

/* Outside text as a JSON string: what is not UTF-8 becomes U+FFFD. NULL if out of memory. */
json_t *fvlm_json_lossy_string(const char *text);

#endif
