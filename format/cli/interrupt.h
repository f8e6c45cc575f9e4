/* SPDX-License-Identifier: Apache-2.0 */
/* interrupt.h - how INT, TERM, HUP and a closed pipe end a command: soon, with nothing left behind, by that signal. */
#ifndef FVLM_FORMAT_CLI_INTERRUPT_H
#define FVLM_FORMAT_CLI_INTERRUPT_H

#include "format/base/stop.h"

/* From here on INT, TERM and HUP set the stop flag. The command has 50 ms to clean up and return; after that, or at a
 * second signal, the handler removes what is left (leftovers.h) and ends the process. Either way stderr gets one line,
 * "fvlm: interrupted", and the process dies by the signal. A signal that was ignored at the start (nohup) stays
 * ignored. PIPE and XFSZ are ignored, so that the write fails. Call it before starting threads; again is fine. */
void fvlm_interrupt_install(void);

/* Ends the process as described if a signal has arrived; otherwise returns. */
void fvlm_interrupt_end(void);

/* The command has its result: the 50 ms no longer count. */
void fvlm_interrupt_disarm(void);

/* Removes what is left and dies by SIGPIPE, silently. */
void fvlm_interrupt_end_by_pipe(void);

#endif
