/* SPDX-License-Identifier: Apache-2.0 */
/* cli.c - the frame around every command. */
#include "format/cli/cli.h"

#include <errno.h>
#include <string.h>

#include "format/cli/signals.h"
#include "format/cli/terminal.h"

static bool asks_for_help(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) return true;
    return false;
}

/* A command whose output did not arrive has failed. */
static fvlm_status flush(fvlm_status st, fvlm_err *err)
{
    errno = 0;
    if ((fflush(stdout) == 0 && !ferror(stdout)) || st) return st;
    if (!errno) errno = EIO; /* an earlier write failed */
    return fvlm_fail_errno(err, "standard output");
}

static fvlm_status run(const fvlm_cli_command *command, int argc, char **argv, fvlm_err *err)
{
    fvlm_cli_list args = {0};
    fvlm_status st = fvlm_cli_parse(command, argc, argv, &args, err);
    if (!st) {
        fvlm_signals_install();
        st = command->run(&args, err);
    }
    fvlm_cli_list_free(&args);
    for (const fvlm_cli_option *o = command->options; o && o->name; o++)
        if (o->list) fvlm_cli_list_free(o->list);
    return st;
}

int fvlm_cli_main(const fvlm_cli_command *command, int argc, char **argv)
{
    fvlm_err err = {0};
    fvlm_status st = FVLM_OK;
    if (asks_for_help(argc, argv))
        fvlm_cli_write_help(command, stdout);
    else
        st = run(command, argc, argv, &err);
    st = flush(st, &err);
    if (!st) return 0;
    fvlm_terminal_line_clear();
    fvlm_terminal_print(stderr, "fvlm: %s%s\n", err.msg, st == FVLM_EXISTS ? "; --force replaces it" : "");
    if (st == FVLM_INTERRUPTED) fvlm_signals_reraise();
    return fvlm_exit_code(st);
}

fvlm_status fvlm_cli_no_output(fvlm_err *err)
{
    return fvlm_fail(err, FVLM_USAGE, "no output file; give -o FILE, or --dry-run to see the plan");
}
