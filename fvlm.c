/* SPDX-License-Identifier: Apache-2.0 */
/* fvlm.c - main(): the list of commands, and the two that are about the list. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "format/base/mapped.h"
#include "format/cli/cli.h"
#include "format/cli/terminal.h"

static const fvlm_cli_command *const commands[9];

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

static const fvlm_cli_command *const commands[9] = {&fvlm_convert_command, &fvlm_quant_command, &fvlm_verify_command,
                                                    &fvlm_run_command,     &fvlm_info_command,  &fvlm_bench_command,
                                                    &completion_command,   &man_command,        NULL};

static void print_help(FILE *to)
{
    fprintf(to, "fvlm %s - convert, quantize, verify and run FastVLM models\n\n", FVLM_VERSION);
    for (size_t i = 0; commands[i]; i++)
        if (!commands[i]->hidden) fprintf(to, "  fvlm %-10s  %s\n", commands[i]->name, commands[i]->summary);
    fprintf(to, "\n'fvlm COMMAND --help' lists its options and gives two examples.\n");
}

/* A file that is opened must not take the number of a standard stream that was closed. Reading from stdin, and writing
 * to the others, still fails. */
static void fill_standard_streams(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) < 0) _exit(3);
}

int main(int argc, char **argv)
{
    fill_standard_streams();
    fvlm_err err = {0};
    const char *name = argc >= 2 ? argv[1] : NULL;
    if (name && (!strcmp(name, "--help") || !strcmp(name, "-h") || !strcmp(name, "help"))) {
        print_help(stdout);
        return fvlm_cli_end(FVLM_OK, &err);
    }
    if (name && !strcmp(name, "--version")) {
        printf("fvlm %s\n", FVLM_VERSION);
        return fvlm_cli_end(FVLM_OK, &err);
    }
    fvlm_mapped_guard(fvlm_terminal_line_clear);
    for (size_t i = 0; name && commands[i]; i++)
        if (!strcmp(name, commands[i]->name)) return fvlm_cli_main(commands[i], argc - 1, argv + 1);
    if (name)
        fvlm_terminal_print(stderr, "fvlm: unknown command \"%s\"; try 'fvlm --help'\n", name);
    else
        print_help(stderr);
    return 2;
}
