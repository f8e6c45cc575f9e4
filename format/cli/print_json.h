/* SPDX-License-Identifier: Apache-2.0 */
/* print_json.h - what --json prints. */
#ifndef FVLM_FORMAT_CLI_PRINT_JSON_H
#define FVLM_FORMAT_CLI_PRINT_JSON_H

#include <jansson.h>

#include "format/base/base.h"

/* Prints value to stdout, indented, without control characters; frees it. NULL: FVLM_NOMEM. */
fvlm_status fvlm_cli_print_json(json_t *value, fvlm_err *err);

#endif
