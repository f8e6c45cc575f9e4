/* SPDX-License-Identifier: Apache-2.0 */
/* progress.c - see progress.h. */
#include "format/cli/progress.h"

#include <stdio.h>
#include <unistd.h>

#include "format/base/clock.h"
#include "format/cli/terminal.h"

#define SHOW_AFTER 0.5 /* seconds: quick work draws nothing */
#define SHOW_EVERY 0.1
#define BAR_CELLS 30

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
    fvlm_terminal_line_is(FVLM_LINE_BAR);
    double fraction = (double)done / (double)total;
    draw(p, fraction > 1 ? 1 : fraction, now - p->started);
}

void fvlm_progress_end(fvlm_progress *p)
{
    if (p->drawn) fvlm_terminal_line_clear();
    p->drawn = false;
}
