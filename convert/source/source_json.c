/* SPDX-License-Identifier: Apache-2.0 */
/* source_json.c - see source_json.h. */
#include "convert/source/source_json.h"

#include <stdio.h>
#include <stdlib.h>

#include "format/base/json.h"

fvlm_status fvlm_source_json(json_t **out, fvlm_source *src, const char *name, uint64_t max_bytes, fvlm_err *err)
{
    char *text, quoted[64];
    size_t n_bytes;
    *out = NULL;
    fvlm_status st = fvlm_source_text(src, name, max_bytes, &text, &n_bytes, err);
    if (st || !text) return st;
    snprintf(quoted, sizeof quoted, "\"%.60s\"", name);
    st = fvlm_json_parse(out, text, n_bytes, quoted, err);
    free(text);
    if (st || json_is_object(*out)) return st;
    st = fvlm_fail(err, FVLM_BAD_INPUT, "%s is %s, expected an object", quoted, fvlm_json_kind(*out));
    json_decref(*out);
    *out = NULL;
    return st;
}
