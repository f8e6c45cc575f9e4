/* SPDX-License-Identifier: Apache-2.0 */
/* print_json.h - what --json prints. */
#ifndef FVLM_FORMAT_CLI_PRINT_JSON_H
#define FVLM_FORMAT_CLI_PRINT_JSON_H

#include <jansson.h>

#include "format/base/base.h"

/* Prints value to stdout, indented, without control characters; frees it. NULL: FVLM_NOMEM. */
fvlm_status fvlm_cli_print_json(json_t *value, fvlm_err *err);

/* Outside text as a JSON string: what is not UTF-8 becomes U+FFFD. NULL if out of memory. */
json_t *fvlm_cli_json_text(const char *text);

#endif
