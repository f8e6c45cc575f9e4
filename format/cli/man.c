/* SPDX-License-Identifier: Apache-2.0 */
/* man.c - the man page, in roff, written from the tables of options. */
#include <string.h>

#include "format/cli/cli.h"

/* Text as roff shows it: hyphens stay ASCII, no line begins with a request. */
static void put_text(FILE *to, const char *text)
{
    if (*text == '.' || *text == '\'') fputs("\\&", to);
    for (; *text; text++) {
        if (*text == '-')
            fputs("\\-", to);
        else if (*text == '\\')
            fputs("\\e", to);
        else if (*text == '\'')
            fputs("\\(aq", to);
        else
            fputc(*text, to);
    }
}

static void put_option(FILE *to, const fvlm_cli_option *o)
{
    char note[300];
    fvlm_cli_option_note(o, note);
    fprintf(to, ".TP\n");
    if (o->letter) fprintf(to, "\\fB\\-%c\\fR, ", o->letter);
    fprintf(to, "\\fB\\-\\-");
    put_text(to, o->name);
    fprintf(to, "\\fR");
    if (o->arg) {
        fprintf(to, " \\fI");
        put_text(to, o->arg);
        fprintf(to, "\\fR");
    }
    fputc('\n', to);
    put_text(to, o->help);
    put_text(to, note);
    fputc('\n', to);
}

static void put_command(FILE *to, const fvlm_cli_command *c)
{
    fprintf(to, ".SS fvlm %s \\fI", c->name);
    put_text(to, c->args);
    fprintf(to, "\\fR [options]\n");
    put_text(to, c->summary);
    fputc('\n', to);
    for (const fvlm_cli_option *o = c->options; o && o->name; o++) put_option(to, o);
    put_option(to, &(fvlm_cli_option){.name = "help", .letter = 'h', .help = "print the options"});
}

static void put_examples(FILE *to, const fvlm_cli_command *const *all)
{
    fprintf(to, ".SH EXAMPLES\n.EX\n");
    for (const fvlm_cli_command *const *c = all; *c; c++)
        for (const char *line = (*c)->examples; !(*c)->hidden && *line;) {
            char text[200];
            const size_t n = strcspn(line, "\n");
            snprintf(text, sizeof text, "%.*s", (int)n, line);
            put_text(to, text);
            fputc('\n', to);
            line += n + (line[n] == '\n');
        }
    fprintf(to, ".EE\n");
}

void fvlm_cli_write_man(const fvlm_cli_command *const *all, FILE *to)
{
    fprintf(to, ".TH FVLM 1 \"\" \"fvlm " FVLM_VERSION "\" \"User Commands\"\n"
                ".SH NAME\nfvlm \\- convert, quantize, verify and run FastVLM models\n"
                ".SH SYNOPSIS\n\\fBfvlm\\fR \\fICOMMAND\\fR [\\fIARGUMENT\\fR|\\fIOPTION\\fR]...\n"
                ".br\n\\fBfvlm\\fR \\fB\\-\\-help\\fR|\\fB\\-h\\fR|\\fB\\-\\-version\\fR\n"
                ".SH COMMANDS\n");
    for (const fvlm_cli_command *const *c = all; *c; c++)
        if (!(*c)->hidden) put_command(to, *c);
    put_examples(to, all);
    fprintf(
        to,
        ".SH \"EXIT STATUS\"\n"
        ".TP\n0\nDone.\n"
        ".TP\n1\nAn input was refused, or a comparison failed.\n"
        ".TP\n2\nThe command line is wrong.\n"
        ".TP\n3\nThe system failed: a file cannot be read or written, an input changed, memory ran out.\n"
        ".PP\nA command stopped by a signal removes its unfinished output and dies by that signal.\n"
        ".SH FILES\n"
        ".TP\n\\fI*.fvlm\\fR\n"
        "One model: configuration, tokenizer and tensors, each with a checksum.\n"
        ".TP\n\\fICHECKPOINT\\fR\n"
        "A FastVLM checkpoint as downloaded: config.json, model*.safetensors or onnx/*.onnx, and the tokenizer\\(aqs "
        "files; "
        "or one .onnx file of the vision encoder.\n"
        ".TP\n\\fBTMPDIR\\fR\n"
        "Where \\fBfvlm verify \\-\\-against\\fR keeps a converted checkpoint while it compares (default: /tmp).\n");
}
