/* SPDX-License-Identifier: Apache-2.0 */
/* cli.c - the frame around every command. */
#include "format/cli/cli.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "format/cli/interrupt.h"
#include "format/cli/terminal.h"

/* "-h", or among other flags as in "-qh". */
static bool has_help_letter(const fvlm_cli_command *command, const char *text)
{
    bool found = false;
    if (text[0] != '-' || text[1] == '-') return false;
    for (text++; *text; text++) {
        const fvlm_cli_option *o = command->options;
        while (o && o->name && o->letter != *text) o++;
        if (*text == 'h')
            found = true;
        else if (!o || !o->name || !o->flag)
            return false;
    }
    return found;
}

static bool asks_for_help(const fvlm_cli_command *command, int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (!strcmp(argv[i], "--help") || has_help_letter(command, argv[i])) return true;
    return false;
}

static int lost; /* why a write to stdout failed first; 0: none did */

/* Of an earlier write, stdio has forgotten why it failed: another one fails alike. */
static int write_error(void)
{
    if (errno) return errno;
    return write(STDOUT_FILENO, "\n", 1) < 0 ? errno : EIO;
}

/* A command whose output did not arrive has failed, unless a signal broke off the write: SIGPIPE, or one of ours. */
fvlm_status fvlm_cli_flush(fvlm_status st, fvlm_err *err)
{
    errno = 0;
    if (!lost && (fflush(stdout) != 0 || ferror(stdout))) lost = write_error();
    if (!lost || (st && st != FVLM_INTERRUPTED)) return st;
    if (lost == EINTR) return fvlm_stop_check(fvlm_cli_stop(), err);
    fvlm_cli_request_stop(); /* nobody reads what the rest of the work prints */
    return fvlm_fail(err, lost == EPIPE ? FVLM_INTERRUPTED : FVLM_IO, "standard output: %s", strerror(lost));
}

static fvlm_status run(const fvlm_cli_command *command, int argc, char **argv, fvlm_err *err)
{
    fvlm_cli_list args = {0};
    fvlm_status st = fvlm_cli_parse(command, argc, argv, &args, err);
    if (!st) st = fvlm_cli_check_arguments(command, &args, err);
    if (!st) st = command->run(&args, err);
    fvlm_cli_list_free(&args);
    for (const fvlm_cli_option *o = command->options; o && o->name; o++)
        if (o->list) fvlm_cli_list_free(o->list);
    return st;
}

int fvlm_cli_end(fvlm_status st, fvlm_err *err)
{
    if (st == FVLM_INTERRUPTED) fvlm_interrupt_end();
    st = fvlm_cli_flush(st, err);
    if (st == FVLM_INTERRUPTED) fvlm_interrupt_end();
    if (st == FVLM_INTERRUPTED && lost == EPIPE) fvlm_interrupt_end_by_pipe();
    fvlm_interrupt_disarm();
    if (!st) return 0;
    fvlm_terminal_line_clear();
    fvlm_terminal_print(stderr, "fvlm: %s%s\n", err->msg, st == FVLM_EXISTS ? "; --force replaces it" : "");
    return fvlm_exit_code(st);
}

int fvlm_cli_main(const fvlm_cli_command *command, int argc, char **argv)
{
    fvlm_err err = {0};
    fvlm_status st = FVLM_OK;
    fvlm_interrupt_install();
    if (asks_for_help(command, argc, argv))
        fvlm_cli_write_help(command, stdout);
    else
        st = run(command, argc, argv, &err);
    return fvlm_cli_end(st, &err);
}

fvlm_status fvlm_cli_no_output(fvlm_err *err)
{
    return fvlm_fail(err, FVLM_USAGE, "no output file; give -o FILE, or --dry-run to see the plan");
}
