/* SPDX-License-Identifier: Apache-2.0 */
/* progress.c - what a command shows while it works, how it learns that it should
 * stop, and what it cost: progress bar, signals, clock, memory. */
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "format/cli/cli.h"

#define SHOW_AFTER 0.5 /* seconds: quick work draws nothing */
#define SHOW_EVERY 0.1
#define BAR_CELLS 30

/* ---- the terminal's current line ---- */

static volatile sig_atomic_t current_line = FVLM_LINE_FREE;

void fvlm_terminal_line_is(fvlm_terminal_line what)
{
    current_line = what;
}

void fvlm_terminal_line_clear(void)
{
    ssize_t ignored = 0;
    if (current_line == FVLM_LINE_BAR) ignored = write(STDERR_FILENO, "\r\033[K", 4);
    if (current_line == FVLM_LINE_TEXT) ignored = write(STDOUT_FILENO, "\n", 1);
    (void)ignored; /* nothing can be done about it, and the error itself comes next */
    current_line = FVLM_LINE_FREE;
}

/* ---- the bar ---- */

void fvlm_progress_start(fvlm_progress *p, const char *what, bool quiet)
{
    double now = fvlm_clock_seconds();
    *p = (fvlm_progress){.what = what, .started = now, .shown = now, .quiet = quiet || !isatty(STDERR_FILENO)};
}

static void draw(const fvlm_progress *p, double fraction, double elapsed)
{
    char bar[BAR_CELLS + 1];
    int full = (int)(fraction * BAR_CELLS);
    for (int i = 0; i < BAR_CELLS; i++) bar[i] = i < full ? '#' : '.';
    bar[BAR_CELLS] = 0;
    double left = fraction > 0 ? elapsed / fraction - elapsed : 0;
    fprintf(stderr, "\r%s %3.0f %% %s", p->what, fraction * 100, bar);
    if (left >= 100)
        fprintf(stderr, " %.0f min left \033[K", left / 60);
    else
        fprintf(stderr, " %.0f s left \033[K", left);
    fflush(stderr);
}

void fvlm_progress_update(void *ctx, uint64_t done, uint64_t total)
{
    fvlm_progress *p = ctx;
    if (p->quiet || total == 0) return;
    double now = fvlm_clock_seconds();
    if (now - p->started < SHOW_AFTER || now - p->shown < SHOW_EVERY) return;
    p->shown = now;
    p->drawn = true;
    current_line = FVLM_LINE_BAR;
    double fraction = (double)done / (double)total;
    draw(p, fraction > 1 ? 1 : fraction, now - p->started);
}

void fvlm_progress_end(fvlm_progress *p)
{
    if (p->drawn) fvlm_terminal_line_clear();
    p->drawn = false;
}

/* ---- signals ---- */

static volatile sig_atomic_t caught;

static void on_signal(int sig)
{
    caught = sig;
}

/* SA_RESETHAND: a second Ctrl-C ends a program that is slow to look at the flag. Without
 * SA_RESTART, so that a blocking call returns. What was ignored (nohup) stays ignored. */
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
    signal(SIGXFSZ, SIG_IGN); /* a file size limit becomes EFBIG, which names the file */
}

bool fvlm_interrupted(void)
{
    return caught != 0;
}

void fvlm_signals_reraise(void)
{
    int sig = caught;
    if (!sig) return;
    signal(sig, SIG_DFL);
    raise(sig);
}

/* ---- numbers for people ---- */

const char *fvlm_human_bytes(uint64_t n, char out[16])
{
    static const char *const unit[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
    if (n < 1000) {
        snprintf(out, 16, "%u B", (unsigned)n);
        return out;
    }
    double v = (double)n;
    size_t u = 0;
    while (v >= 999.5 && u + 1 < sizeof unit / sizeof unit[0]) v /= 1000, u++;
    int decimals = v < 9.995 ? 2 : v < 99.95 ? 1 : 0; /* three digits */
    snprintf(out, 16, "%.*f %s", decimals, v, unit[u]);
    return out;
}
