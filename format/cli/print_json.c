/* SPDX-License-Identifier: Apache-2.0 */
/* print_json.c - see print_json.h. */
#include "format/cli/print_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/json.h"
#include "format/base/utf8.h"

fvlm_status fvlm_cli_print_json(json_t *value, fvlm_err *err)
{
    char *text = value ? fvlm_json_dumps(value, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(value);
    if (!text) return fvlm_fail_nomem(err);
    /* jansson escapes C0 and holds no text that is not UTF-8. The other controls occur in strings only. */
    const uint8_t *bytes = (const uint8_t *)text;
    for (size_t at = 0, n, length = strlen(text); at < length; at += n) {
        int32_t c;
        n = fvlm_utf8_next(bytes + at, length - at, &c);
        if (c >= 0x7f && fvlm_utf8_is_control(c))
            printf("\\u%04x", (unsigned)c);
        else
            fwrite(bytes + at, 1, n, stdout);
    }
    putchar('\n');
    free(text);
    return FVLM_OK;
}
