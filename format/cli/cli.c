/* SPDX-License-Identifier: Apache-2.0 */
/* cli.c - one option parser for all commands, so that every fault reads the same:
 * one line, the option named, and where help is. */
#include "format/cli/cli.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define SUGGEST_MAX 32 /* longest option name that is compared for a suggestion */

void fvlm_cli_list_free(fvlm_cli_list *l)
{
    free(l->items);
    l->items = NULL;
    l->n = 0;
}

static fvlm_status list_add(fvlm_cli_list *l, const char *item, fvlm_err *err)
{
    const char **grown = realloc(l->items, (l->n + 1) * sizeof *grown);
    if (!grown) return fvlm_fail(err, FVLM_NOMEM, "out of memory");
    l->items = grown;
    l->items[l->n++] = item;
    return FVLM_OK;
}

static fvlm_status misuse(const fvlm_cli_command *cmd, fvlm_err *err, const char *fmt, ...) FVLM_PRINTF(3, 4);
static fvlm_status misuse(const fvlm_cli_command *cmd, fvlm_err *err, const char *fmt, ...)
{
    char text[320];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return fvlm_fail(err, FVLM_USAGE, "%s; try 'fvlm %s --help'", text, cmd->name);
}

/* ---- help ---- */

static void print_examples(const char *text)
{
    while (text && *text) {
        size_t n = strcspn(text, "\n");
        const char *next = text + n + (text[n] == '\n');
        while (n > 0 && *text == ' ') text++, n--;
        if (n > 0) printf("  %.*s\n", (int)n, text);
        text = next;
    }
}

static void print_help(const fvlm_cli_command *cmd)
{
    printf("usage: fvlm %s %s [options]\n%s\n\n", cmd->name, cmd->positional ? cmd->positional : "", cmd->summary);
    int width = (int)strlen("help");
    for (const fvlm_cli_option *o = cmd->options; o->name; o++) {
        int n = (int)(strlen(o->name) + (o->arg ? 1 + strlen(o->arg) : 0));
        if (n > width) width = n;
    }
    for (const fvlm_cli_option *o = cmd->options; o->name; o++) {
        char head[96];
        snprintf(head, sizeof head, "%s%s%s", o->name, o->arg ? " " : "", o->arg ? o->arg : "");
        char letter[5] = "    ";
        if (o->letter) snprintf(letter, sizeof letter, "-%c, ", o->letter);
        printf("  %s--%-*s  %s\n", letter, width, head, o->help);
    }
    printf("      --%-*s  print this text\n\nexamples:\n", width, "help");
    print_examples(cmd->examples);
}

/* ---- suggestions ---- */

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Edits (insert, delete, replace, swap of neighbours) from a to b, both at most SUGGEST_MAX long. */
static size_t edit_distance(const char *a, const char *b)
{
    size_t na = strlen(a), nb = strlen(b);
    size_t d[SUGGEST_MAX + 1][SUGGEST_MAX + 1];
    for (size_t i = 0; i <= na; i++) d[i][0] = i;
    for (size_t j = 0; j <= nb; j++) d[0][j] = j;
    for (size_t i = 1; i <= na; i++)
        for (size_t j = 1; j <= nb; j++) {
            size_t replace = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            d[i][j] = least(replace, least(d[i - 1][j], d[i][j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                d[i][j] = least(d[i][j], d[i - 2][j - 2] + 1);
        }
    return d[na][nb];
}

static const char *nearest(const fvlm_cli_command *cmd, const char *name)
{
    const char *best = NULL;
    size_t best_edits = 3, n = strlen(name);
    if (n < 2 || n > SUGGEST_MAX) return NULL;
    for (const fvlm_cli_option *o = cmd->options; o->name; o++) {
        if (strlen(o->name) > SUGGEST_MAX) continue;
        size_t edits = strncmp(o->name, name, n) == 0 ? 1 : edit_distance(o->name, name);
        if (edits < best_edits) best = o->name, best_edits = edits;
    }
    return best;
}

static fvlm_status unknown_option(const fvlm_cli_command *cmd, const char *name, fvlm_err *err)
{
    const char *near = nearest(cmd, name);
    if (near) return misuse(cmd, err, "unknown option \"--%.80s\", did you mean \"--%s\"?", name, near);
    return misuse(cmd, err, "unknown option \"--%.80s\"", name);
}

/* ---- values ---- */

static fvlm_status take_number(const fvlm_cli_command *cmd, const fvlm_cli_option *o, const char *value, fvlm_err *err)
{
    errno = 0;
    char *end = NULL;
    unsigned long long n = 0;
    if (*value >= '0' && *value <= '9') n = strtoull(value, &end, 10);
    if (!end || *end || errno) return misuse(cmd, err, "--%s: \"%.80s\" is not a whole number", o->name, value);
    *o->number = n;
    return FVLM_OK;
}

static fvlm_status take_real(const fvlm_cli_command *cmd, const fvlm_cli_option *o, const char *value, fvlm_err *err)
{
    char *end = NULL;
    double d = 0;
    if (*value && strspn(value, "0123456789+-.eE") == strlen(value)) d = strtod(value, &end);
    if (!end || *end || !isfinite(d)) return misuse(cmd, err, "--%s: \"%.80s\" is not a number", o->name, value);
    *o->real = d;
    return FVLM_OK;
}

static fvlm_status take_value(const fvlm_cli_command *cmd, const fvlm_cli_option *o, const char *value, fvlm_err *err)
{
    if (o->number) return take_number(cmd, o, value, err);
    if (o->real) return take_real(cmd, o, value, err);
    if (!*value) return misuse(cmd, err, "--%s needs %s, but it is empty", o->name, o->arg);
    if (o->list) return list_add(o->list, value, err);
    *o->text = value;
    return FVLM_OK;
}

/* The value is what follows '=', or the next argument, which may not look like an option:
 * "--output --force" is a forgotten file name far more often than a file named --force. */
static fvlm_status take_option(const fvlm_cli_command *cmd, const fvlm_cli_option *o, const char *inline_value,
                               int argc, char **argv, int *i, fvlm_err *err)
{
    if (o->flag) {
        if (inline_value) return misuse(cmd, err, "--%s takes no value", o->name);
        *o->flag = true;
        return FVLM_OK;
    }
    if (inline_value) return take_value(cmd, o, inline_value, err);
    if (*i + 1 >= argc || strncmp(argv[*i + 1], "--", 2) == 0)
        return misuse(cmd, err, "--%s needs %s", o->name, o->arg ? o->arg : "a value");
    return take_value(cmd, o, argv[++*i], err);
}

static fvlm_status parse_long(const fvlm_cli_command *cmd, int argc, char **argv, int *i, fvlm_err *err)
{
    const char *text = argv[*i] + 2, *equals = strchr(text, '=');
    size_t n = equals ? (size_t)(equals - text) : strlen(text);
    for (const fvlm_cli_option *o = cmd->options; o->name; o++)
        if (strlen(o->name) == n && memcmp(o->name, text, n) == 0)
            return take_option(cmd, o, equals ? equals + 1 : NULL, argc, argv, i, err);
    char name[96];
    snprintf(name, sizeof name, "%.*s", (int)(n < 80 ? n : 80), text);
    return unknown_option(cmd, name, err);
}

/* "-q", "-vq", "-o FILE", "-oFILE" */
static fvlm_status parse_short(const fvlm_cli_command *cmd, int argc, char **argv, int *i, fvlm_err *err)
{
    for (const char *p = argv[*i] + 1; *p; p++) {
        const fvlm_cli_option *o = cmd->options;
        while (o->name && o->letter != *p) o++;
        if (!o->name) return misuse(cmd, err, "unknown option \"-%c\"", *p);
        bool last = o->flag == NULL;
        fvlm_status st = take_option(cmd, o, last && p[1] ? p + 1 : NULL, argc, argv, i, err);
        if (st || last) return st;
    }
    return FVLM_OK;
}

fvlm_status fvlm_cli_parse(const fvlm_cli_command *cmd, int argc, char **argv, fvlm_cli_list *args, bool *help,
                           fvlm_err *err)
{
    *help = false;
    bool options_end = false;
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i];
        fvlm_status st = FVLM_OK;
        if (options_end || a[0] != '-' || !a[1]) {
            st = list_add(args, a, err);
        } else if (strcmp(a, "--") == 0) {
            options_end = true;
        } else if (strcmp(a, "--help") == 0 || strcmp(a, "-h") == 0) {
            print_help(cmd);
            *help = true;
            return FVLM_OK;
        } else {
            st = a[1] == '-' ? parse_long(cmd, argc, argv, &i, err) : parse_short(cmd, argc, argv, &i, err);
        }
        if (st) return st;
    }
    return FVLM_OK;
}

int fvlm_cli_complain(const fvlm_err *err)
{
    fvlm_terminal_line_clear();
    fprintf(stderr, "fvlm: %s\n", err->msg);
    return fvlm_exit_code(err->code);
}
