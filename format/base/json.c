/* SPDX-License-Identifier: Apache-2.0 */
/* json.c - bounded JSON parsing. jansson does the parsing; this file counts first,
 * so that a small compressed section cannot ask for gigabytes of tree. */
#include "format/base/json.h"
#include "format/base/utf8.h"

/* Counts nesting and values outside strings. Exact for well-formed text; ill-formed
 * text is jansson's to refuse. */
static fvlm_status scan(const char *text, size_t n_bytes, const char *what, fvlm_err *err)
{
    size_t depth = 0, values = 1;
    bool in_string = false;
    for (size_t i = 0; i < n_bytes; i++) {
        char c = text[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
            continue;
        }
        if (c == '"')
            in_string = true;
        else if (c == '{' || c == '[')
            depth++, values++;
        else if ((c == '}' || c == ']') && depth > 0)
            depth--;
        else if (c == ',' || c == ':')
            values++;
        if (depth > FVLM_MAX_JSON_DEPTH)
            return fvlm_fail(err, FVLM_LIMIT, "%s: nested over %d deep at byte %zu", what, FVLM_MAX_JSON_DEPTH, i);
        if (values > FVLM_MAX_JSON_VALUES)
            return fvlm_fail(err, FVLM_LIMIT, "%s: more than %u values", what, FVLM_MAX_JSON_VALUES);
    }
    return FVLM_OK;
}

fvlm_status fvlm_json_parse(json_t **out, const char *text, size_t n_bytes, const char *what, fvlm_err *err)
{
    *out = NULL;
    fvlm_status st = scan(text, n_bytes, what, err);
    if (st) return st;
    json_error_t error;
    *out = json_loadb(text, n_bytes, JSON_REJECT_DUPLICATES, &error);
    if (*out) return FVLM_OK;
    if (json_error_code(&error) == json_error_out_of_memory)
        return fvlm_fail(err, FVLM_NOMEM, "%s: out of memory", what);
    return fvlm_fail(err, FVLM_BAD_INPUT, "%s: byte %d: %s", what, error.position, error.text);
}

const char *fvlm_json_kind(const json_t *v)
{
    if (!v) return "missing";
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
        return "a whole number";
    case JSON_REAL:
        return "a number";
    case JSON_NULL:
        return "null";
    default:
        return "true or false";
    }
}

void fvlm_json_append(json_t **array, json_t *element)
{
    if (json_array_append_new(*array, element) == 0) return;
    json_decref(*array);
    *array = NULL;
}

void fvlm_json_set(json_t **object, const char *key, json_t *value)
{
    if (json_object_set_new(*object, key, value) == 0) return;
    json_decref(*object);
    *object = NULL;
}

json_t *fvlm_json_lossy_string(const char *text)
{
    const size_t n = strlen(text);
    char *valid = fvlm_alloc(3 * n + 1, 1);
    if (!valid) return NULL;
    size_t used = 0;
    for (size_t at = 0, length; at < n; at += length) {
        int32_t c;
        length = fvlm_utf8_next((const uint8_t *)text + at, n - at, &c);
        memcpy(valid + used, c < 0 ? "\xef\xbf\xbd" : text + at, c < 0 ? 3 : length);
        used += c < 0 ? 3 : length;
    }
    json_t *j = json_stringn(valid, used);
    free(valid);
    return j;
}
