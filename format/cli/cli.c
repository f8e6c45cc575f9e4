/* SPDX-License-Identifier: Apache-2.0 */
/* cli.c - the frame around every command. */
#include "format/cli/cli.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "format/cli/terminal.h"

/* ---- signals ---- */

static volatile sig_atomic_t caught;
static fvlm_stop stop;

static void on_signal(int sig)
{
    caught = sig;
    atomic_store(&stop, true);
}

/* INT, TERM and HUP set the flag; PIPE and XFSZ are ignored, so that the write fails.
 * SA_RESETHAND: a second Ctrl-C kills a program that is slow to poll. Without SA_RESTART a blocking call returns.
 * A signal that was ignored at the start (nohup) stays ignored. */
static void install_signals(void)
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

static void die_by_signal(void)
{
    if (!caught) return;
    signal(caught, SIG_DFL);
    raise(caught);
}

/* ---- the frame ---- */

static bool asks_for_help(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) return true;
    return false;
}

/* A command whose output did not arrive has failed, unless it was the signal that broke off the write. */
fvlm_status fvlm_cli_flush(fvlm_status st, fvlm_err *err)
{
    errno = 0;
    if ((fflush(stdout) == 0 && !ferror(stdout)) || st) return st;
    st = fvlm_stop_check(&stop, err);
    if (st) return st;
    if (!errno) errno = EIO; /* an earlier write failed */
    return fvlm_fail_errno(err, "standard output");
}

static fvlm_status run(const fvlm_cli_command *command, int argc, char **argv, fvlm_err *err)
{
    fvlm_cli_list args = {0};
    fvlm_status st = fvlm_cli_parse(command, argc, argv, &args, err);
    if (!st) {
        install_signals();
        st = command->run(&args, err);
    }
    fvlm_cli_list_free(&args);
    for (const fvlm_cli_option *o = command->options; o && o->name; o++)
        if (o->list) fvlm_cli_list_free(o->list);
    return st;
}

int fvlm_cli_end(fvlm_status st, fvlm_err *err)
{
    st = fvlm_cli_flush(st, err);
    if (!st) return 0;
    fvlm_terminal_line_clear();
    fvlm_terminal_print(stderr, "fvlm: %s%s\n", err->msg, st == FVLM_EXISTS ? "; --force replaces it" : "");
    if (st == FVLM_INTERRUPTED) die_by_signal();
    return fvlm_exit_code(st);
}

int fvlm_cli_main(const fvlm_cli_command *command, int argc, char **argv)
{
    fvlm_err err = {0};
    fvlm_status st = FVLM_OK;
    if (asks_for_help(argc, argv))
        fvlm_cli_write_help(command, stdout);
    else
        st = run(command, argc, argv, &err);
    return fvlm_cli_end(st, &err);
}

fvlm_status fvlm_cli_no_output(fvlm_err *err)
{
    return fvlm_fail(err, FVLM_USAGE, "no output file; give -o FILE, or --dry-run to see the plan");
}
