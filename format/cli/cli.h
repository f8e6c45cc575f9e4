/* SPDX-License-Identifier: Apache-2.0 */
/* cli.h - one frame for all commands. A command is a table of options and a function; fvlm_cli_main does the rest:
 * help, parsing, range checks, signals, the error message and the exit code. The help text, the man page and the shell
 * completions are written from the same tables. */
#ifndef FVLM_FORMAT_CLI_CLI_H
#define FVLM_FORMAT_CLI_CLI_H

#include <stdio.h>

#include "format/base/base.h"
#include "format/base/cpu.h"
#include "format/base/stop.h"

/* Arguments, or the values of an option that may be repeated. The texts are argv's; fvlm_cli_main frees the array. */
typedef struct {
    const char **items;
    size_t n, capacity;
} fvlm_cli_list;

/* The values of an option such as --size 256,512. */
enum { FVLM_CLI_MAX_NUMBERS = 16 };
typedef struct {
    uint32_t items[FVLM_CLI_MAX_NUMBERS];
    size_t n;
} fvlm_cli_numbers;

/* "--name VALUE" or "--name=VALUE"; with a letter also "-o VALUE" or "-oVALUE". Exactly one target is set. */
typedef struct {
    const char *name;    /* "output"; NULL ends the table */
    char letter;         /* 'o' or 0 */
    const char *arg;     /* "FILE"; NULL for a flag */
    const char *help;    /* without the choices, the range and the default: they are added */
    const char *choices; /* "f32|int8": the texts allowed; NULL: any */
    const char *words;   /* "int8|int4": texts that completion offers, though others are allowed */
    bool brief;          /* the choices are too many for the help, which says "such as" */
    const char *hint;    /* added when a text is refused by choices */
    const char *preset;  /* the default in words ("the model's"); NULL: the number in the target, unless it is 0 */
    double min, max;     /* inclusive range of numbers; max = 0: none */
    bool capped;         /* threads: more than this process may use, or than max, becomes that */
    bool *flag;
    const char **text;
    uint64_t *number;
    double *real;
    fvlm_cli_list *list; /* one item for each use of the option */
    fvlm_cli_numbers *numbers;
} fvlm_cli_option;

/* Options that several commands have: one help text, one behaviour. */
#define FVLM_CLI_OUTPUT(t)                                                                                             \
    {                                                                                                                  \
        .name = "output", .letter = 'o', .arg = "FILE", .help = "the file to write", .text = (t)                       \
    }
#define FVLM_CLI_FORCE(t)                                                                                              \
    {                                                                                                                  \
        .name = "force", .letter = 'f', .help = "replace FILE if it exists", .flag = (t)                               \
    }
#define FVLM_CLI_DRY_RUN(t)                                                                                            \
    {                                                                                                                  \
        .name = "dry-run", .help = "print what would be written, with sizes, and stop", .flag = (t)                    \
    }
#define FVLM_CLI_VERBOSE(t)                                                                                            \
    {                                                                                                                  \
        .name = "verbose", .letter = 'v', .help = "list every tensor", .flag = (t)                                     \
    }
#define FVLM_CLI_JSON(t)                                                                                               \
    {                                                                                                                  \
        .name = "json", .help = "print the results as JSON", .flag = (t)                                               \
    }
#define FVLM_CLI_PICTURE(t)                                                                                            \
    {                                                                                                                  \
        .name = "picture", .arg = "HOW", .help = "as people see it, or as Apple does", .choices = "seen|apple",        \
        .preset = "seen", .text = (t)                                                                                  \
    }
#define FVLM_CLI_QUIET(t)                                                                                              \
    {                                                                                                                  \
        .name = "quiet", .letter = 'q', .help = "print only errors, and the answer or JSON asked for", .flag = (t)     \
    }
#define FVLM_CLI_THREADS(t)                                                                                            \
    {                                                                                                                  \
        .name = "threads", .arg = "N", .help = "number of threads", .preset = "0: all; more are capped",               \
        .max = FVLM_MAX_THREADS, .capped = true, .number = (t)                                                         \
    }
#define FVLM_CLI_CPU(t)                                                                                                \
    {                                                                                                                  \
        .name = "cpu", .arg = "LEVEL", .help = "kernels", .choices = "scalar|avx2|avx512|neon|dotprod",                \
        .preset = "any", .text = (t)                                                                                   \
    }

typedef struct {
    const char *name;    /* "convert" */
    const char *summary; /* one line */
    const char *args;    /* "MODEL IMAGE PROMPT": what must follow, in any order with options; "" for nothing */
    const char *choices; /* "bash|zsh|fish" when the one argument is one of these */
    size_t min_args, max_args;
    const fvlm_cli_option *options;                               /* NULL: none but --help */
    const char *examples;                                         /* lines; two by custom */
    bool hidden;                                                  /* not in the list of commands */
    fvlm_status (*run)(const fvlm_cli_list *args, fvlm_err *err); /* after all checks of the tables */
} fvlm_cli_command;

/* Runs one command; argv[0] is its name. Returns the exit code: 0 done, 1 refused or mismatched, 2 usage, 3 system.
 * When a signal stopped the command, prints "fvlm: interrupted" and dies by that signal; when the reader of stdout has
 * gone, dies by SIGPIPE without a word. */
int fvlm_cli_main(const fvlm_cli_command *command, int argc, char **argv);

/* Ends the program as every command does: flushes stdout, prints the error if there is one, returns the exit code. */
int fvlm_cli_end(fvlm_status st, fvlm_err *err);

/* The flag that INT, TERM, HUP and a failed write to stdout set while a command runs; pass it on as 'stop' in a
 * library's options. */
const fvlm_stop *fvlm_cli_stop(void);
void fvlm_cli_request_stop(void);

/* Parses argv[1..]; arguments go to *args. Usage errors name the option and end with "try 'fvlm NAME --help'". */
fvlm_status fvlm_cli_parse(const fvlm_cli_command *command, int argc, char **argv, fvlm_cli_list *args, fvlm_err *err);
void fvlm_cli_list_free(fvlm_cli_list *l);

/* Refuses arguments that are not there or are known to be something else than command->args says. */
fvlm_status fvlm_cli_check_arguments(const fvlm_cli_command *command, const fvlm_cli_list *args, fvlm_err *err);

/* Refuses a file that is known to be neither a .fvlm file nor a folder; what is not there is left to its reader. */
fvlm_status fvlm_cli_check_source(const char *path, fvlm_err *err);

/* Delivers what was printed so far: st, or the failure to write to stdout, which also requests a stop. */
fvlm_status fvlm_cli_flush(fvlm_status st, fvlm_err *err);

/* "no output file; give -o FILE, or --dry-run to see the plan" */
fvlm_status fvlm_cli_no_output(fvlm_err *err);

/* The commands, each in its cmd_NAME.c. */
extern const fvlm_cli_command fvlm_convert_command, fvlm_quant_command, fvlm_verify_command, fvlm_run_command,
    fvlm_info_command, fvlm_bench_command, fvlm_export_command;

/* ---- what is written from the tables (commands: ended by NULL) ---- */

void fvlm_cli_write_help(const fvlm_cli_command *command, FILE *to);
void fvlm_cli_write_man(const fvlm_cli_command *const *commands, FILE *to);
/* shell: "bash", "zsh" or "fish" */
void fvlm_cli_write_completion(const char *shell, const fvlm_cli_command *const *commands, FILE *to);

/* "(0 to 100; default 1)", "(f32 or int8; default the model's)" or "". */
void fvlm_cli_option_note(const fvlm_cli_option *o, char out[300]);

/* Edits (insert, delete, replace, swap of neighbours) from a to b; FVLM_CLI_SUGGEST_MAX if one is longer than that. */
enum { FVLM_CLI_SUGGEST_MAX = 40 };
size_t fvlm_cli_edit_distance(const char *a, const char *b);

/* Takes the next word off "a|b|c" or "A B": returns its length and moves *words past it; 0 at the end. */
size_t fvlm_cli_next_word(const char **words, const char **word);

#endif
