/* SPDX-License-Identifier: Apache-2.0 */
/* fvlm.c - main(): finds the command, nothing more. */
#include <stdio.h>
#include <string.h>

#include "format/cli/cli.h"
#include "format/base/mapped.h"

static const struct {
    const fvlm_cli_command *about;
    int (*run)(int argc, char **argv);
} commands[] = {
    {&fvlm_convert_command, fvlm_cmd_convert}, {&fvlm_quant_command, fvlm_cmd_quant},
    {&fvlm_verify_command, fvlm_cmd_verify},   {&fvlm_run_command, fvlm_cmd_run},
    {&fvlm_info_command, fvlm_cmd_info},       {&fvlm_bench_command, fvlm_cmd_bench},
};
enum { N_COMMANDS = sizeof commands / sizeof commands[0] };

static void print_help(FILE *to)
{
    fprintf(to, "fvlm %s - convert, quantize, verify and run FastVLM checkpoints\n\n", FVLM_VERSION);
    for (int i = 0; i < N_COMMANDS; i++)
        fprintf(to, "  fvlm %-8s %s\n", commands[i].about->name, commands[i].about->summary);
    fprintf(to, "\n'fvlm COMMAND --help' tells its options and gives two examples.\n");
}

int main(int argc, char **argv)
{
    if (argc >= 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help"))) {
        print_help(stdout);
        return 0;
    }
    if (argc >= 2 && !strcmp(argv[1], "--version")) {
        printf("fvlm %s\n", FVLM_VERSION);
        return 0;
    }
    fvlm_mapped_guard(fvlm_terminal_line_clear);
    for (int i = 0; argc >= 2 && i < N_COMMANDS; i++)
        if (!strcmp(argv[1], commands[i].about->name)) return commands[i].run(argc - 1, argv + 1);
    if (argc >= 2)
        fprintf(stderr, "fvlm: unknown command \"%s\"; try 'fvlm --help'\n", argv[1]);
    else
        print_help(stderr);
    return 2;
}
