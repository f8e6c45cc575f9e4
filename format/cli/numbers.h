/* SPDX-License-Identifier: Apache-2.0 */
/* numbers.h - numbers for people: three significant digits and a decimal unit. */
#ifndef FVLM_FORMAT_CLI_NUMBERS_H
#define FVLM_FORMAT_CLI_NUMBERS_H

#include <stdint.h>

const char *fvlm_human_bytes(uint64_t n, char out[16]); /* "999 B", "1.52 GB" */
const char *fvlm_human_count(uint64_t n, char out[16]); /* "1351", "24.2 k", "2.19 M" */

#endif
