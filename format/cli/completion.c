/* SPDX-License-Identifier: Apache-2.0 */
/* completion.c - completion scripts for bash, zsh and fish, written from the tables of options. A script stands alone:
 * it does not run fvlm. */
#include <string.h>

#include "format/cli/cli.h"

typedef const fvlm_cli_command *const *commands;

/* "CHECKPOINT", "IMAGE", ...: whether the argument, or the option's value, is the name of a file. */
static bool is_path(const char *arg)
{
    static const char *const kinds[] = {"FILE", "FOLDER", "IMAGE", "SOURCE", ".fvlm"};
    for (size_t i = 0; arg && i < sizeof kinds / sizeof kinds[0]; i++)
        if (strstr(arg, kinds[i])) return true;
    return false;
}

static const char *offered(const fvlm_cli_option *o)
{
    return o->choices ? o->choices : o->words;
}

/* text inside single quotes of any of the shells, with a backslash before each character of 'special' */
static void put_quoted(FILE *to, const char *text, const char *special)
{
    for (; *text; text++) {
        if (*text == '\'') {
            fputs("'\\''", to);
            continue;
        }
        if (strchr(special, *text)) fputc('\\', to);
        fputc(*text, to);
    }
}

/* "a|b" as "a b" between two texts */
static void put_words(FILE *to, const char *before, const char *choices, const char *after)
{
    const char *word;
    fputs(before, to);
    for (size_t n, i = 0; (n = fvlm_cli_next_word(&choices, &word)) > 0; i++)
        fprintf(to, "%s%.*s", i ? " " : "", (int)n, word);
    fputs(after, to);
}

/* ---- bash ---- */

static void bash_values(FILE *to, const fvlm_cli_command *c, const fvlm_cli_option *o)
{
    if (o->flag) return;
    fprintf(to, "    '%s --%s'", c->name, o->name);
    if (o->letter) fprintf(to, " | '%s -%c'", c->name, o->letter);
    fprintf(to, ") ");
    if (offered(o)) {
        put_words(to, "words='", offered(o), "' ;;\n");
    } else {
        fprintf(to, "%s ;;\n", is_path(o->arg) ? "files=1" : "return");
    }
}

static void write_bash(FILE *to, commands all)
{
    fprintf(to, "# bash completion for fvlm, written by 'fvlm completion bash'\n"
                "_fvlm() {\n"
                "  local IFS=$' \\n' word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} words= files=\n"
                "  COMPREPLY=()\n"
                "  # bash splits --name=value at the '='\n"
                "  [ \"$before\" = = ] && before=${COMP_WORDS[COMP_CWORD-2]}\n"
                "  [ \"$word\" = = ] && word=\n"
                "  if [ \"$COMP_CWORD\" = 1 ]; then\n"
                "    words='");
    for (commands c = all; *c; c++)
        if (!(*c)->hidden) fprintf(to, "%s ", (*c)->name);
    fprintf(to, "--help --version'\n"
                "  else\n"
                "    case \"${COMP_WORDS[1]} $before\" in\n");
    for (commands c = all; *c; c++)
        for (const fvlm_cli_option *o = (*c)->options; o && o->name; o++) bash_values(to, *c, o);
    fprintf(to, "    *)\n"
                "      case ${COMP_WORDS[1]} in\n");
    for (commands c = all; *c; c++) {
        if ((*c)->hidden) continue;
        fprintf(to, "      %s)\n        case $word in\n        -*) words='", (*c)->name);
        for (const fvlm_cli_option *o = (*c)->options; o && o->name; o++) fprintf(to, "--%s ", o->name);
        fprintf(to, "--help' ;;\n        *) ");
        if ((*c)->choices) {
            put_words(to, "words='", (*c)->choices, "' ;;\n");
        } else {
            fprintf(to, "%s ;;\n", is_path((*c)->args) ? "files=1" : ":");
        }
        fprintf(to, "        esac ;;\n");
    }
    fprintf(to, "      esac ;;\n"
                "    esac\n"
                "  fi\n"
                "  if [ -n \"$files\" ]; then\n"
                "    compopt -o filenames 2>/dev/null\n"
                "    IFS=$'\\n' COMPREPLY=($(compgen -f -- \"$word\"))\n"
                "  elif [ -n \"$words\" ]; then\n"
                "    COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
                "  fi\n"
                "}\n"
                "complete -F _fvlm fvlm\n");
}

/* ---- zsh ---- */

static void zsh_option(FILE *to, const fvlm_cli_option *o)
{
    fprintf(to, " \\\n        ");
    if (o->letter && o->list)
        fprintf(to, "'*'{-%c,--%s%s}'", o->letter, o->name, o->flag ? "" : "=");
    else if (o->letter)
        fprintf(to, "'(-%c --%s)'{-%c,--%s%s}'", o->letter, o->name, o->letter, o->name, o->flag ? "" : "=");
    else
        fprintf(to, "'%s--%s%s", o->list ? "*" : "", o->name, o->flag ? "" : "=");
    fputc('[', to);
    put_quoted(to, o->help, "[]:");
    fputc(']', to);
    if (!o->flag) {
        fprintf(to, ":%s:", o->arg);
        if (offered(o)) {
            put_words(to, "(", offered(o), ")");
        } else if (is_path(o->arg)) {
            fputs("_files", to);
        }
    }
    fputc('\'', to);
}

static void zsh_command(FILE *to, const fvlm_cli_command *c)
{
    fprintf(to, "    %s)\n      _arguments -s -S", c->name);
    for (const fvlm_cli_option *o = c->options; o && o->name; o++) zsh_option(to, o);
    fprintf(to, " \\\n        '(-h --help)'{-h,--help}'[print the help]'");
    const char *args = c->args, *word;
    for (size_t n; (n = fvlm_cli_next_word(&args, &word)) > 0;) {
        char name[64];
        snprintf(name, sizeof name, "%.*s", (int)n, word);
        fprintf(to, " \\\n        ':%s:", name);
        if (c->choices) {
            put_words(to, "(", c->choices, ")");
        } else if (is_path(name)) {
            fputs(strstr(name, "FOLDER") ? "_files -/" : "_files", to);
        }
        fputc('\'', to);
    }
    fprintf(to, " ;;\n");
}

static void write_zsh(FILE *to, commands all)
{
    fprintf(to, "#compdef fvlm\n# zsh completion for fvlm, written by 'fvlm completion zsh'\n"
                "_fvlm() {\n"
                "  if (( CURRENT == 2 )); then\n"
                "    local -a commands=(");
    for (commands c = all; *c; c++) {
        if ((*c)->hidden) continue;
        fprintf(to, "\n      '%s:", (*c)->name);
        put_quoted(to, (*c)->summary, ":");
        fputc('\'', to);
    }
    fprintf(to, ")\n"
                "    _describe command commands\n"
                "    compadd -- --help --version\n"
                "    return\n"
                "  fi\n"
                "  shift words\n"
                "  (( CURRENT-- ))\n"
                "  case $words[1] in\n");
    for (commands c = all; *c; c++)
        if (!(*c)->hidden) zsh_command(to, *c);
    fprintf(to, "  esac\n}\n"
                "if [ \"$funcstack[1]\" = _fvlm ]; then _fvlm \"$@\"; else compdef _fvlm fvlm; fi\n");
}

/* ---- fish ---- */

static void fish_option(FILE *to, const fvlm_cli_command *c, const fvlm_cli_option *o)
{
    fprintf(to, "complete -c fvlm -n '__fish_seen_subcommand_from %s' -l %s", c->name, o->name);
    if (o->letter) fprintf(to, " -s %c", o->letter);
    if (offered(o)) {
        put_words(to, " -x -a '", offered(o), "'");
    } else if (!o->flag) {
        fputs(is_path(o->arg) ? " -r -F" : " -x", to);
    }
    fprintf(to, " -d '");
    put_quoted(to, o->help, "\\");
    fprintf(to, "'\n");
}

static void write_fish(FILE *to, commands all)
{
    bool asked;
    const fvlm_cli_option help = {.name = "help", .letter = 'h', .help = "print the help", .flag = &asked};
    fprintf(to, "# fish completion for fvlm, written by 'fvlm completion fish'\n"
                "complete -c fvlm -f\n"
                "complete -c fvlm -n __fish_use_subcommand -l help -d 'print the help'\n"
                "complete -c fvlm -n __fish_use_subcommand -l version -d 'print the version'\n");
    for (commands c = all; *c; c++) {
        if ((*c)->hidden) continue;
        fprintf(to, "complete -c fvlm -n __fish_use_subcommand -a %s -d '", (*c)->name);
        put_quoted(to, (*c)->summary, "\\");
        fprintf(to, "'\n");
        for (const fvlm_cli_option *o = (*c)->options; o && o->name; o++) fish_option(to, *c, o);
        fish_option(to, *c, &help);
        if (!(*c)->choices && !is_path((*c)->args)) continue;
        fprintf(to, "complete -c fvlm -n '__fish_seen_subcommand_from %s' ", (*c)->name);
        if ((*c)->choices)
            put_words(to, "-a '", (*c)->choices, "'\n");
        else
            fputs("-F\n", to);
    }
}

void fvlm_cli_write_completion(const char *shell, const fvlm_cli_command *const *all, FILE *to)
{
    if (!strcmp(shell, "bash")) write_bash(to, all);
    if (!strcmp(shell, "zsh")) write_zsh(to, all);
    if (!strcmp(shell, "fish")) write_fish(to, all);
}
