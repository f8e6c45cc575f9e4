/* SPDX-License-Identifier: Apache-2.0 */
/* cli.h - what the commands share on the command line: options, progress, signals, numbers for people. */
#ifndef FVLM_FORMAT_CLI_CLI_H
#define FVLM_FORMAT_CLI_CLI_H

#include <stdio.h>

#include "format/base/clock.h"
#include "format/base/memory.h"
#include "format/base/base.h"

/* One option of a command. Long names only, "--name VALUE" or "--name=VALUE";
 * 'letter' adds a short form (-o FILE, -q). Exactly one target is set. */
typedef struct {
    const char *name; /* "output"; NULL ends the list */
    char letter;      /* 'o' or 0 */
    const char *arg;  /* "FILE" for help text; NULL for a flag */
    const char *help;
    bool *flag;
    const char **text;
    uint64_t *number;
    double *real;
    struct fvlm_cli_list *list; /* collects repeats: --set A --set B */
} fvlm_cli_option;

typedef struct fvlm_cli_list {
    const char **items; /* borrowed from argv; the array is freed by fvlm_cli_list_free */
    size_t n;
} fvlm_cli_list;
void fvlm_cli_list_free(fvlm_cli_list *l);

typedef struct {
    const char *name;       /* "convert" */
    const char *summary;    /* one line */
    const char *positional; /* "CHECKPOINT_FOLDER" for the usage line */
    const fvlm_cli_option *options;
    const char *examples; /* two lines */
} fvlm_cli_command;

/* Parses argv[1..]; positionals into *args. --help prints and sets *help. Usage errors name the
 * option and end with "try 'fvlm NAME --help'". Unknown options suggest the nearest. */
fvlm_status fvlm_cli_parse(const fvlm_cli_command *cmd, int argc, char **argv, fvlm_cli_list *args, bool *help,
                           fvlm_err *err);

/* Prints "fvlm: MESSAGE" to stderr (for --json callers the same) and returns the exit code. */
int fvlm_cli_complain(const fvlm_err *err);

/* Every command is int fvlm_cmd_NAME(int argc, char **argv), argv[0] = its name. */
int fvlm_cmd_convert(int argc, char **argv);
int fvlm_cmd_quant(int argc, char **argv);
int fvlm_cmd_verify(int argc, char **argv);
int fvlm_cmd_run(int argc, char **argv);
int fvlm_cmd_bench(int argc, char **argv);
int fvlm_cmd_info(int argc, char **argv);
extern const fvlm_cli_command fvlm_convert_command, fvlm_quant_command, fvlm_verify_command, fvlm_run_command,
    fvlm_bench_command, fvlm_info_command;

/* A bar with ETA on stderr: only on a terminal, only after half a second, not with quiet. */
typedef struct {
    const char *what; /* "convert" */
    double started;   /* seconds, monotonic */
    double shown;
    bool quiet, drawn;
} fvlm_progress;
void fvlm_progress_start(fvlm_progress *p, const char *what, bool quiet);
void fvlm_progress_update(void *p, uint64_t done, uint64_t total); /* a fvlm_progress_fn; call from one thread */
void fvlm_progress_end(fvlm_progress *p);

/* What stands on the terminal's current line, so that an error begins on one of its own: a bar is
 * erased, an answer of which a part is shown is ended. The bar's functions say so themselves; who
 * prints to a terminal without ending its line does. fvlm_terminal_line_clear may be called in a signal handler. */
typedef enum { FVLM_LINE_FREE, FVLM_LINE_BAR, FVLM_LINE_TEXT } fvlm_terminal_line;
void fvlm_terminal_line_is(fvlm_terminal_line what);
void fvlm_terminal_line_clear(void);

/* INT, TERM, HUP set a flag that work loops look at; PIPE is ignored. */
void fvlm_signals_install(void);
bool fvlm_interrupted(void);
void fvlm_signals_reraise(void); /* after clean-up: dies by the signal that came, if one came */

const char *fvlm_human_bytes(uint64_t n, char out[16]); /* "1.52 GB", decimal units */

#endif
