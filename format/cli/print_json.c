/* SPDX-License-Identifier: Apache-2.0 */
/* print_json.c - see print_json.h. */
#include "format/cli/print_json.h"

#include <stdio.h>
#include <stdlib.h>

fvlm_status fvlm_cli_print_json(json_t *value, fvlm_err *err)
{
    char *text = value ? json_dumps(value, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(value);
    if (!text) return fvlm_fail_nomem(err);
    /* jansson escapes C0. DEL and C1 occur in strings only, so they can be escaped afterwards. */
    for (const uint8_t *p = (const uint8_t *)text; *p; p++) {
        if (*p == 0x7f)
            fputs("\\u007f", stdout);
        else if (*p == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0)
            printf("\\u%04x", *++p);
        else
            putchar(*p);
    }
    putchar('\n');
    free(text);
    return FVLM_OK;
}
