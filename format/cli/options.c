/* SPDX-License-Identifier: Apache-2.0 */
/* options.c - parses a command line by a table of options, so that every mistake is told alike: one line, the option
 * named, what is allowed, and where the help is. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/grow.h"
#include "format/base/utf8.h"
#include "format/cli/cli.h"

void fvlm_cli_list_free(fvlm_cli_list *l)
{
    free(l->items);
    *l = (fvlm_cli_list){0};
}

static fvlm_status list_add(fvlm_cli_list *l, const char *item, fvlm_err *err)
{
    if (!fvlm_grow(&l->items, &l->capacity, l->n + 1, sizeof *l->items)) return fvlm_fail_nomem(err);
    l->items[l->n++] = item;
    return FVLM_OK;
}

static fvlm_status misuse(const fvlm_cli_command *cmd, fvlm_err *err, const char *fmt, ...) FVLM_PRINTF(3, 4);
static fvlm_status misuse(const fvlm_cli_command *cmd, fvlm_err *err, const char *fmt, ...)
{
    char text[400];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return fvlm_fail(err, FVLM_USAGE, "%s; try 'fvlm %s --help'", text, cmd->name);
}

/* ---- suggestions ---- */

/* Whether a word of args is name in capitals, such as "IMAGE" or "MODEL.fvlm". */
static bool names_argument(const char *args, const char *name)
{
    const char *word;
    for (size_t n, i; (n = fvlm_cli_next_word(&args, &word)) > 0;) {
        if (*word == '[') word++, n -= 2; /* optional */
        for (i = 0; name[i] && i < n && word[i] == (name[i] >= 'a' && name[i] <= 'z' ? name[i] - 32 : name[i]);) i++;
        if (!name[i] && (i == n || word[i] == '.' || word[i] == '_')) return true;
    }
    return false;
}

static fvlm_status unknown_option(const fvlm_cli_command *cmd, const char *name, fvlm_err *err)
{
    const char *best = NULL;
    if (names_argument(cmd->args, name))
        return misuse(cmd, err, "\"--%s\" is an argument, not an option: fvlm %s %s", name, cmd->name, cmd->args);
    size_t best_edits = 3, n = strlen(name);
    for (const fvlm_cli_option *o = cmd->options; o && o->name && n >= 2 && n <= FVLM_CLI_SUGGEST_MAX; o++) {
        size_t edits = strncmp(o->name, name, n) == 0 ? 1 : fvlm_cli_edit_distance(o->name, name);
        if (edits < best_edits) best = o->name, best_edits = edits;
    }
    if (best) return misuse(cmd, err, "unknown option \"--%.80s\", did you mean \"--%s\"?", name, best);
    return misuse(cmd, err, "unknown option \"--%.80s\"", name);
}

/* ---- values ---- */

static fvlm_status out_of_range(const fvlm_cli_command *cmd, const fvlm_cli_option *o, const char *text, fvlm_err *err)
{
    if (o->max <= 0) return misuse(cmd, err, "--%s: %.80s is out of range, 0 to %" PRIu64, o->name, text, UINT64_MAX);
    return misuse(cmd, err, "--%s: %.80s is out of range, %.10g to %.10g", o->name, text, o->min, o->max);
}

/* Threads beyond what the process may use are not an error. */
static fvlm_status check_range(const fvlm_cli_command *cmd, const fvlm_cli_option *o, double *value, const char *text,
                               fvlm_err *err)
{
    if (o->capped && *value > o->max) *value = o->max;
    if (o->capped && *value > fvlm_threads_available()) *value = fvlm_threads_available();
    return o->max <= 0 || (*value >= o->min && *value <= o->max) ? FVLM_OK : out_of_range(cmd, o, text, err);
}

/* A number too large for *n is UINT64_MAX, with errno ERANGE. */
static bool parse_whole(const char *text, char end, uint64_t *n, const char **rest)
{
    char *stop = NULL;
    errno = 0;
    if (*text >= '0' && *text <= '9') *n = strtoull(text, &stop, 10);
    *rest = stop;
    return stop && (!*stop || *stop == end);
}

static fvlm_status take_number(const fvlm_cli_command *cmd, const fvlm_cli_option *o, const char *text, fvlm_err *err)
{
    uint64_t n;
    const char *rest;
    if (!parse_whole(text, 0, &n, &rest))
        return misuse(cmd, err, "--%s: \"%.80s\" is not a whole number", o->name, text);
    if (errno && !o->capped) return out_of_range(cmd, o, text, err);
    double value = (double)n;
    fvlm_status st = check_range(cmd, o, &value, text, err);
    if (!st) *o->number = o->max > 0 ? (uint64_t)value : n;
    return st;
}

static fvlm_status take_numbers(const fvlm_cli_command *cmd, const fvlm_cli_option *o, const char *text, fvlm_err *err)
{
    fvlm_cli_numbers *out = o->numbers;
    out->n = 0;
    for (const char *p = text;; p++) {
        uint64_t n;
        const char *rest;
        if (!parse_whole(p, ',', &n, &rest))
            return misuse(cmd, err, "--%s: \"%.80s\" is not a list of whole numbers such as 1,2", o->name, text);
        if (out->n == FVLM_CLI_MAX_NUMBERS)
            return misuse(cmd, err, "--%s: more than %d numbers", o->name, FVLM_CLI_MAX_NUMBERS);
        double value = (double)n;
        char number[81];
        snprintf(number, sizeof number, "%.*s", (int)(rest - p < 80 ? rest - p : 80), p);
        fvlm_status st = check_range(cmd, o, &value, number, err);
        if (st) return st;
        out->items[out->n++] = (uint32_t)value;
        if (!*rest) return FVLM_OK;
        p = rest;
    }
}

static fvlm_status take_real(const fvlm_cli_command *cmd, const fvlm_cli_option *o, const char *text, fvlm_err *err)
{
    char *end = NULL;
    double d = 0;
    if (*text && strspn(text, "0123456789+-.eE") == strlen(text)) d = strtod(text, &end);
    if (!end || *end || !isfinite(d)) return misuse(cmd, err, "--%s: \"%.80s\" is not a number", o->name, text);
    fvlm_status st = check_range(cmd, o, &d, text, err);
    if (!st) *o->real = d;
    return st;
}

size_t fvlm_cli_next_word(const char **words, const char **word)
{
    *word = *words += strspn(*words, "| ");
    const size_t n = strcspn(*words, "| ");
    *words += n;
    return n;
}

/* "f32|int8|both" -> "f32, int8 or both" */
static void list_choices(const char *choices, char out[200])
{
    const char *word;
    size_t used = 0;
    out[0] = 0;
    for (size_t n; (n = fvlm_cli_next_word(&choices, &word)) > 0 && used < 150;) {
        const char *link = used == 0 ? "" : *choices ? ", " : " or ";
        used += (size_t)snprintf(out + used, 200 - used, "%s%.*s", link, (int)n, word);
    }
}

static fvlm_status check_choice(const fvlm_cli_command *cmd, const char *what, const char *choices, const char *hint,
                                const char *text, fvlm_err *err)
{
    const char *rest = choices, *word;
    for (size_t n; (n = fvlm_cli_next_word(&rest, &word)) > 0;)
        if (strlen(text) == n && !memcmp(text, word, n)) return FVLM_OK;
    char list[200];
    list_choices(choices, list);
    return misuse(cmd, err, "%s: \"%.40s\" is not %s%s%s", what, text, list, hint ? "; " : "", hint ? hint : "");
}

static fvlm_status take_value(const fvlm_cli_command *cmd, const fvlm_cli_option *o, const char *text, fvlm_err *err)
{
    if (o->number) return take_number(cmd, o, text, err);
    if (o->numbers) return take_numbers(cmd, o, text, err);
    if (o->real) return take_real(cmd, o, text, err);
    if (!*text) return misuse(cmd, err, "--%s needs %s, but it is empty", o->name, o->arg);
    if (!strcmp(text, "-") && !strcmp(o->name, "output"))
        return misuse(cmd, err, "--output: \"-\" is not a file name; fvlm does not write to standard output");
    if (o->list) return list_add(o->list, text, err);
    char what[48];
    snprintf(what, sizeof what, "--%s", o->name);
    fvlm_status st = o->choices ? check_choice(cmd, what, o->choices, o->hint, text, err) : FVLM_OK;
    if (!st) *o->text = text;
    return st;
}

void fvlm_cli_option_note(const fvlm_cli_option *o, char out[300])
{
    char range[200] = "", preset[64] = "";
    if (o->choices && !o->brief) list_choices(o->choices, range);
    if (o->max > 0 && !o->capped) snprintf(range, sizeof range, "%.10g to %.10g", o->min, o->max);
    if (o->preset)
        snprintf(preset, sizeof preset, "default %s", o->preset);
    else if ((o->number && *o->number) || (o->real && *o->real > 0))
        snprintf(preset, sizeof preset, "default %.10g", o->real ? *o->real : (double)*o->number);
    const char *link = *range && *preset ? "; " : "";
    out[0] = 0;
    if (*range || *preset) snprintf(out, 300, " (%s%s%s)", range, link, preset);
}

/* ---- parsing ---- */

/* "--force", or "-f" of this command. */
static bool looks_like_option(const fvlm_cli_command *cmd, const char *text)
{
    if (text[0] != '-' || !text[1]) return false;
    if (text[1] == '-') return true;
    for (const fvlm_cli_option *o = cmd->options; o && o->name; o++)
        if (o->letter == text[1] && !text[2]) return true;
    return false;
}

/* A command line being parsed. */
typedef struct {
    const fvlm_cli_command *cmd;
    int argc, i; /* argv[i] is the current word */
    char **argv;
    uint64_t seen; /* a bit for each option; no command has 64 */
    fvlm_err *err;
} parser;

/* The value is what follows '=', or the next argument. That may not look like an option: "--output --force" is a
 * forgotten file name far more often than a file named --force. */
static fvlm_status take_option(parser *p, const fvlm_cli_option *o, const char *inline_value)
{
    const uint64_t bit = UINT64_C(1) << (o - p->cmd->options);
    if ((p->seen & bit) && !o->flag && !o->list) return misuse(p->cmd, p->err, "--%s is given twice", o->name);
    p->seen |= bit;
    if (o->flag) {
        if (inline_value) return misuse(p->cmd, p->err, "--%s takes no value", o->name);
        *o->flag = true;
        return FVLM_OK;
    }
    if (inline_value) return take_value(p->cmd, o, inline_value, p->err);
    if (p->i + 1 >= p->argc || looks_like_option(p->cmd, p->argv[p->i + 1]))
        return misuse(p->cmd, p->err, "--%s needs %s", o->name, o->arg);
    return take_value(p->cmd, o, p->argv[++p->i], p->err);
}

static fvlm_status parse_long(parser *p)
{
    const char *text = p->argv[p->i] + 2, *equals = strchr(text, '=');
    size_t n = equals ? (size_t)(equals - text) : strlen(text);
    for (const fvlm_cli_option *o = p->cmd->options; o && o->name; o++)
        if (strlen(o->name) == n && memcmp(o->name, text, n) == 0) return take_option(p, o, equals ? equals + 1 : NULL);
    char name[96];
    snprintf(name, sizeof name, "%.*s", (int)(n < 80 ? n : 80), text);
    if (!strcmp(name, "help")) return misuse(p->cmd, p->err, "--help takes no value");
    return unknown_option(p->cmd, name, p->err);
}

/* "-q", "-vq", "-o FILE", "-oFILE" */
static fvlm_status parse_short(parser *p)
{
    for (const char *s = p->argv[p->i] + 1; *s; s++) {
        const fvlm_cli_option *o = p->cmd->options;
        int32_t c;
        while (o && o->name && o->letter != *s) o++;
        if (!o || !o->name)
            return misuse(p->cmd, p->err, "unknown option \"-%.*s\"; an argument that begins with - goes after --",
                          (int)fvlm_utf8_next((const uint8_t *)s, strlen(s), &c), s);
        const bool last = o->flag == NULL;
        fvlm_status st = take_option(p, o, last && s[1] ? s + 1 : NULL);
        if (st || last) return st;
    }
    return FVLM_OK;
}

static fvlm_status check_args(const fvlm_cli_command *cmd, const fvlm_cli_list *args, fvlm_err *err)
{
    if (args->n < cmd->min_args || args->n > cmd->max_args) {
        const bool more = args->n > cmd->max_args, writes = cmd->options && cmd->options[0].letter == 'o';
        const char *hint = "";
        if (more && strstr(cmd->args, "PROMPT")) hint = "; a prompt of several words goes in quotes";
        if (more && writes && !*cmd->options[0].text) hint = "; the output goes after -o";
        return misuse(cmd, err, "expected %s, got %zu argument%s%s", *cmd->args ? cmd->args : "no argument", args->n,
                      args->n == 1 ? "" : "s", hint);
    }
    return cmd->choices ? check_choice(cmd, cmd->args, cmd->choices, NULL, args->items[0], err) : FVLM_OK;
}

fvlm_status fvlm_cli_parse(const fvlm_cli_command *cmd, int argc, char **argv, fvlm_cli_list *args, fvlm_err *err)
{
    bool options_end = false;
    parser p = {.cmd = cmd, .argc = argc, .argv = argv, .err = err};
    for (p.i = 1; p.i < argc; p.i++) {
        const char *a = argv[p.i];
        fvlm_status st = FVLM_OK;
        if (options_end || a[0] != '-' || !a[1])
            st = list_add(args, a, err);
        else if (strcmp(a, "--") == 0)
            options_end = true;
        else
            st = a[1] == '-' ? parse_long(&p) : parse_short(&p);
        if (st) return st;
    }
    return check_args(cmd, args, err);
}
