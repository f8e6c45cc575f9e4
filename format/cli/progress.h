/* SPDX-License-Identifier: Apache-2.0 */
/* progress.h - a progress bar with the time left, on stderr. */
#ifndef FVLM_FORMAT_CLI_PROGRESS_H
#define FVLM_FORMAT_CLI_PROGRESS_H

#include "format/base/base.h"

/* Drawn only on a terminal, only after half a second, and not when quiet. */
typedef struct {
    const char *what; /* "convert" */
    double started;   /* seconds, monotonic */
    double shown;
    bool quiet, drawn;
} fvlm_progress;

void fvlm_progress_start(fvlm_progress *p, const char *what, bool quiet);
void fvlm_progress_update(void *p, uint64_t done, uint64_t total); /* a fvlm_progress_fn; call from one thread */
void fvlm_progress_end(fvlm_progress *p);

#endif
