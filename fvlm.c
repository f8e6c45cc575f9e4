/* SPDX-License-Identifier: Apache-2.0 */
/* fvlm.c - main(): the list of commands, and the two that are about the list. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "format/base/mapped.h"
#include "format/cli/cli.h"
#include "format/cli/interrupt.h"
#include "format/cli/terminal.h"

static const fvlm_cli_command *const commands[10];

static fvlm_status complete(const fvlm_cli_list *args, fvlm_err *err)
{
    (void)err;
    fvlm_cli_write_completion(args->items[0], commands, stdout);
    return FVLM_OK;
}

static fvlm_status man(const fvlm_cli_list *args, fvlm_err *err)
{
    (void)args, (void)err;
    fvlm_cli_write_man(commands, stdout);
    return FVLM_OK;
}

static const fvlm_cli_command completion_command = {
    .name = "completion",
    .summary = "print a completion script for a shell",
    .args = "SHELL",
    .choices = "bash|zsh|fish",
    .min_args = 1,
    .max_args = 1,
    .examples = "fvlm completion bash >~/.local/share/bash-completion/completions/fvlm\n"
                "fvlm completion fish >~/.config/fish/completions/fvlm.fish\n",
    .run = complete,
};
static const fvlm_cli_command man_command = {.name = "man",
                                             .summary = "print the man page",
                                             .args = "",
                                             .examples = "fvlm man | man -l -\n",
                                             .hidden = true,
                                             .run = man};

static const fvlm_cli_command *const commands[10] = {
    &fvlm_convert_command, &fvlm_quant_command, &fvlm_export_command, &fvlm_verify_command, &fvlm_run_command,
    &fvlm_info_command,    &fvlm_bench_command, &completion_command,  &man_command,         NULL};

static void print_help(FILE *to)
{
    fprintf(to, "fvlm %s - convert, quantize, verify and run FastVLM models\n\n", FVLM_VERSION);
    for (size_t i = 0; commands[i]; i++)
        if (!commands[i]->hidden) fprintf(to, "  fvlm %-10s  %s\n", commands[i]->name, commands[i]->summary);
    fprintf(
        to,
        "\n'fvlm COMMAND --help' lists its options and gives two examples.\n'fvlm --version' prints the version.\n");
}

/* A file that is opened must not take the number of a standard stream that was closed. Reading from stdin, and writing
 * to the others, still fails. */
static void fill_standard_streams(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) < 0) _exit(3);
}

static const fvlm_cli_command *find(const char *name)
{
    for (size_t i = 0; commands[i]; i++)
        if (!strcmp(name, commands[i]->name)) return commands[i];
    return NULL;
}

/* A command that is nearly name ("qaunt"), or that one of both begins with ("quantize"). */
static const char *suggest(const char *name)
{
    const size_t n = strlen(name);
    for (size_t i = 0; commands[i]; i++) {
        const char *c = commands[i]->name;
        if (n >= 3 && (!strncmp(name, c, n) || !strncmp(name, c, strlen(c)) || fvlm_cli_edit_distance(name, c) < 3))
            return c;
    }
    return NULL;
}

static fvlm_status refuse_command(const char *name, fvlm_err *err)
{
    const char *nearly = suggest(name);
    if (name[0] == '-')
        return fvlm_fail(err, FVLM_USAGE,
                         "\"%s\" is not an option of fvlm itself; options follow a command: fvlm COMMAND "
                         "[options]; try 'fvlm --help'",
                         name);
    if (nearly) return fvlm_fail(err, FVLM_USAGE, "unknown command \"%s\", did you mean \"%s\"?", name, nearly);
    if (strchr(name, '.') || strchr(name, '/'))
        return fvlm_fail(err, FVLM_USAGE,
                         "\"%s\" is not a command; to ask a model run 'fvlm run MODEL.fvlm IMAGE PROMPT'; "
                         "try 'fvlm --help'",
                         name);
    return fvlm_fail(err, FVLM_USAGE, "unknown command \"%s\"; try 'fvlm --help'", name);
}

/* "fvlm help quant" and "fvlm --help quant" are "fvlm quant --help". */
static fvlm_status help(const char *name, fvlm_err *err)
{
    const fvlm_cli_command *c = name ? find(name) : NULL;
    if (name && !c) return refuse_command(name, err);
    if (c)
        fvlm_cli_write_help(c, stdout);
    else
        print_help(stdout);
    return FVLM_OK;
}

int main(int argc, char **argv)
{
    fvlm_err err = {0};
    fill_standard_streams();
    fvlm_mapped_guard(fvlm_terminal_line_clear);
    const char *name = argc >= 2 ? argv[1] : NULL;
    const fvlm_cli_command *command = name ? find(name) : NULL;
    if (command) return fvlm_cli_main(command, argc - 1, argv + 1);
    fvlm_interrupt_install();
    if (!name) {
        print_help(stderr);
        return 2;
    }
    if (!strcmp(name, "--help") || !strcmp(name, "-h") || !strcmp(name, "help"))
        return fvlm_cli_end(help(argc > 2 ? argv[2] : NULL, &err), &err);
    if (strcmp(name, "--version") != 0 && strcmp(name, "-V") != 0 && strcmp(name, "version") != 0)
        return fvlm_cli_end(refuse_command(name, &err), &err);
    printf("fvlm %s\n", FVLM_VERSION);
    return fvlm_cli_end(FVLM_OK, &err);
}
