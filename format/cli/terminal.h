/* SPDX-License-Identifier: Apache-2.0 */
/* terminal.h - text for people: control characters of outside text never reach a terminal, and an error starts on
 * a line of its own. */
#ifndef FVLM_FORMAT_CLI_TERMINAL_H
#define FVLM_FORMAT_CLI_TERMINAL_H

#include <stdio.h>

#include "format/base/base.h"

/* As fprintf, but control characters (fvlm_utf8_is_control) and bytes that are not UTF-8 are printed as escapes: file
 * and tensor names, prompts and messages come from outside. One newline at the end of fmt is kept. */
void fvlm_terminal_print(FILE *to, const char *fmt, ...) FVLM_PRINTF(2, 3);

/* The same for n bytes of running text such as an answer: newlines and tabs are kept. */
void fvlm_terminal_write(FILE *to, const char *text, size_t n_bytes);

/* Tracks whether the cursor is in the middle of a line. Call it whenever you print to a terminal without a newline. */
typedef enum { FVLM_LINE_FREE, FVLM_LINE_BAR, FVLM_LINE_TEXT } fvlm_terminal_line;
void fvlm_terminal_line_is(fvlm_terminal_line what);

/* Erases a progress bar, or ends a line of text. Async-signal-safe. */
void fvlm_terminal_line_clear(void);

/* Writes text to fd unless that would block. Async-signal-safe. */
void fvlm_terminal_write_now(int fd, const char *text);

/* Numbers with three significant digits and a decimal unit; they return out. */
const char *fvlm_human_bytes(uint64_t n, char out[16]); /* "999 B", "1.52 GB" */
const char *fvlm_human_count(uint64_t n, char out[16]); /* "1351", "24.2 k", "2.19 M" */

#endif
