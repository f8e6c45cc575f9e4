/* SPDX-License-Identifier: Apache-2.0 */
/* signals.c - see signals.h. */
#include "format/cli/signals.h"

#include <signal.h>

static volatile sig_atomic_t caught;
static fvlm_stop stop;

static void on_signal(int sig)
{
    caught = sig;
    atomic_store(&stop, true);
}

/* SA_RESETHAND: a second Ctrl-C kills a program that is slow to poll. Without SA_RESTART a blocking call returns.
 * A signal that was ignored at the start (nohup) stays ignored. */
void fvlm_signals_install(void)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        struct sigaction old, now = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
        sigemptyset(&now.sa_mask);
        if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler == SIG_IGN) continue;
        sigaction(signals[i], &now, NULL);
    }
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file size limit becomes EFBIG, and the message names the file */
}

const fvlm_stop *fvlm_cli_stop(void)
{
    return &stop;
}

void fvlm_signals_reraise(void)
{
    const int sig = caught;
    if (!sig) return;
    signal(sig, SIG_DFL);
    raise(sig);
}
