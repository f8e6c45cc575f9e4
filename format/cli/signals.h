/* SPDX-License-Identifier: Apache-2.0 */
/* signals.h - how a command is told to stop. */
#ifndef FVLM_FORMAT_CLI_SIGNALS_H
#define FVLM_FORMAT_CLI_SIGNALS_H

#include "format/base/stop.h"

/* INT, TERM and HUP set the flag that fvlm_cli_stop returns. PIPE and XFSZ are ignored, so that the write fails. */
void fvlm_signals_install(void);

/* The flag that long work polls; pass it on as 'stop' in a library's options. */
const fvlm_stop *fvlm_cli_stop(void);

/* After clean-up: dies by the signal that arrived, if one did. */
void fvlm_signals_reraise(void);

#endif
