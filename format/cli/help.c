/* SPDX-License-Identifier: Apache-2.0 */
/* help.c - `fvlm COMMAND --help`, at most 100 columns wide. */
#include <string.h>

#include "format/cli/cli.h"

enum { COLUMNS = 100 };

static size_t head_width(const fvlm_cli_option *o)
{
    return strlen(o->name) + (o->arg ? 1 + strlen(o->arg) : 0);
}

/* Continues a line at column 'left' with text, broken between words; every further line begins there. */
static void print_wrapped(FILE *to, size_t left, const char *text)
{
    for (size_t column = left; *text;) {
        const size_t n = strcspn(text, " ");
        if (column > left && column + 1 + n > COLUMNS) {
            fprintf(to, "\n%*s", (int)left, "");
            column = left;
        }
        column += (size_t)fprintf(to, "%s%.*s", column > left ? " " : "", (int)n, text);
        text += n + strspn(text + n, " ");
    }
    fputc('\n', to);
}

static void print_option(FILE *to, const fvlm_cli_option *o, size_t width)
{
    char note[300], text[500], letter[5] = "    ";
    fvlm_cli_option_note(o, note);
    snprintf(text, sizeof text, "%s%s", o->help, note);
    if (o->letter) snprintf(letter, sizeof letter, "-%c, ", o->letter);
    fprintf(to, "  %s--%s%s%s%*s", letter, o->name, o->arg ? " " : "", o->arg ? o->arg : "",
            (int)(width - head_width(o) + 2), "");
    print_wrapped(to, 8 + width + 2, text);
}

void fvlm_cli_write_help(const fvlm_cli_command *cmd, FILE *to)
{
    static const fvlm_cli_option help = {.name = "help", .letter = 'h', .help = "print this text"};
    size_t width = head_width(&help);
    for (const fvlm_cli_option *o = cmd->options; o && o->name; o++)
        if (head_width(o) > width) width = head_width(o);
    fprintf(to, "usage: fvlm %s %s%s[options]\n%s\n", cmd->name, cmd->args, *cmd->args ? " " : "", cmd->summary);
    for (const fvlm_cli_option *o = cmd->options; o && o->name; o++) print_option(to, o, width);
    print_option(to, &help, width);
    fprintf(to, "examples:\n");
    for (const char *line = cmd->examples; *line; line += strcspn(line, "\n"), line += *line == '\n')
        fprintf(to, "  %.*s\n", (int)strcspn(line, "\n"), line);
}
