/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_quant.c - fvlm quant: the command line around quant.h, and the plan as a table. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "format/cli/cli.h"
#include "quant/quant.h"

static struct {
    const char *type, *output, *cpu;
    uint64_t threads;
    bool dry_run, json, verbose, quiet, force;
    fvlm_cli_list set;
} args;

static const fvlm_cli_option options[] = {
    {"type", 0, "TYPE", "int8, int4, or {int8,int4}-{sym,asym}-{g32,g64,g128,row}; default int8", .text = &args.type},
    {"output", 'o', "FILE", "the file to write", .text = &args.output},
    {"set", 0, "REGEX=TYPE", "type of the tensors whose whole name matches; the last match wins", .list = &args.set},
    {"dry-run", 0, NULL, "print the plan with sizes, write nothing", .flag = &args.dry_run},
    {"json", 0, NULL, "print the plan, and what came of it, as JSON", .flag = &args.json},
    {"verbose", 'v', NULL, "one line a tensor", .flag = &args.verbose},
    {"quiet", 'q', NULL, "print errors only", .flag = &args.quiet},
    {"force", 'f', NULL, "replace an existing file", .flag = &args.force},
    {"threads", 0, "N", "threads; default all", .number = &args.threads},
    {"cpu", 0, "NAME", "use at most scalar, avx2, avx512 (or neon); same bytes from all", .text = &args.cpu},
    {0},
};

const fvlm_cli_command fvlm_quant_command = {
    .name = "quant",
    .summary = "quantize every matrix of a .fvlm file to int8 or int4",
    .positional = "IN.fvlm",
    .options = options,
    .examples = "  fvlm quant fastvlm.fvlm --type int4 -o fastvlm-int4.fvlm\n"
                "  fvlm quant fastvlm.fvlm --type int8 --set 'llm\\.layer.*=int4-sym-g32' --dry-run\n",
};

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static uint64_t bytes_of(const json_t *object, const char *key)
{
    return (uint64_t)json_integer_value(json_object_get(object, key));
}

static void print_row(const json_t *row, const char *name_key, int width)
{
    char before[16], after[16], error[16] = "";
    const json_t *e = json_object_get(row, "error");
    if (json_is_real(e)) snprintf(error, sizeof error, "%.5f", json_real_value(e));
    printf("%-*s %-14s %7.3f %11s %11s  %s\n", width, text_of(row, name_key), text_of(row, "type"),
           json_real_value(json_object_get(row, "bits_per_weight")),
           fvlm_human_bytes(bytes_of(row, "bytes_before"), before), fvlm_human_bytes(bytes_of(row, "bytes"), after),
           error);
}

/* One row a family and type, or with -v a tensor; error = relative L2 of the weights. */
static void print_table(const json_t *report)
{
    const char *list = args.verbose ? "tensors" : "families", *key = args.verbose ? "name" : "family";
    const bool written = json_is_true(json_object_get(report, "written"));
    char before[16], after[16];
    int width = 16;
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(report, list), i, row)
    {
        int n = (int)strlen(text_of(row, key));
        width = n > width ? n : width;
    }
    printf("%-*s %-14s %7s %11s %11s  %s\n", width, args.verbose ? "tensor" : "family", "type", "bits/w", "before",
           "after", written ? "error" : "");
    json_array_foreach(json_object_get(report, list), i, row) print_row(row, key, width);
    printf("%-*s %-14s %7s %11s %11s\n", width, written ? "whole file" : "whole file, about", "", "",
           fvlm_human_bytes(bytes_of(report, "bytes_before"), before),
           fvlm_human_bytes(bytes_of(report, "bytes_after"), after));
}

/* "REGEX=TYPE" at the last '='; the copies live as long as the process. */
static fvlm_status split_rules(fvlm_quant_rule *rules, fvlm_err *err)
{
    for (size_t i = 0; i < args.set.n; i++) {
        char *text = fvlm_strdup(args.set.items[i]);
        if (!text) return fvlm_fail(err, FVLM_NOMEM, "out of memory");
        char *equals = strrchr(text, '=');
        rules[i] = (fvlm_quant_rule){text, equals ? equals + 1 : NULL};
        if (!equals || equals == text || !equals[1])
            return fvlm_fail(err, FVLM_USAGE, "--set: \"%.100s\" is not REGEX=TYPE; try 'fvlm quant --help'", text);
        *equals = '\0';
    }
    return FVLM_OK;
}

static fvlm_status check_args(const fvlm_cli_list *positional, fvlm_err *err)
{
    if (positional->n != 1)
        return fvlm_fail(err, FVLM_USAGE, "quant: expected one input file, got %zu; try 'fvlm quant --help'",
                         positional->n);
    if (!args.output && !args.dry_run)
        return fvlm_fail(err, FVLM_USAGE, "quant: nowhere to write; give -o FILE, or --dry-run to see the plan");
    if (args.threads > 64) return fvlm_fail(err, FVLM_USAGE, "quant: --threads is at most 64");
    return FVLM_OK;
}

static fvlm_status run(const fvlm_cli_list *positional, fvlm_err *err)
{
    fvlm_progress progress;
    fvlm_quantization *q = NULL;
    fvlm_quant_rule *rules = fvlm_alloc(args.set.n, sizeof *rules);
    if (!rules) return fvlm_fail(err, FVLM_NOMEM, "out of memory");
    fvlm_status st = split_rules(rules, err);
    if (st) goto out;
    fvlm_quant_options o = {.type = args.type ? args.type : "int8",
                            .rules = rules,
                            .n_rules = args.set.n,
                            .cpu = args.cpu,
                            .threads = (unsigned)args.threads,
                            .force = args.force,
                            .progress = fvlm_progress_update,
                            .progress_ctx = &progress};
    st = fvlm_quantization_plan(&q, positional->items[0], &o, err);
    if (st) goto out;
    if (!args.dry_run) {
        fvlm_progress_start(&progress, "quant", args.quiet || args.json);
        st = fvlm_quantization_write(q, args.output, err);
        fvlm_progress_end(&progress);
    }
    if (st == FVLM_OK && !args.quiet) {
        json_t *report = fvlm_quantization_report(q);
        if (!report)
            st = fvlm_fail(err, FVLM_NOMEM, "out of memory for the report");
        else if (args.json)
            json_dumpf(report, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(9)), putchar('\n');
        else
            print_table(report);
        json_decref(report);
    }
    if (st == FVLM_OK && fflush(stdout)) st = fvlm_fail_errno(err, "standard output");
out:
    fvlm_quantization_free(&q);
    for (size_t i = 0; i < args.set.n; i++) free((char *)rules[i].regex);
    free(rules);
    return st;
}

int fvlm_cmd_quant(int argc, char **argv)
{
    fvlm_err err = {0};
    fvlm_cli_list positional = {0};
    bool help = false;
    fvlm_status st = fvlm_cli_parse(&fvlm_quant_command, argc, argv, &positional, &help, &err);
    if (st == FVLM_OK && !help) {
        fvlm_signals_install();
        st = check_args(&positional, &err);
        if (st == FVLM_OK) st = run(&positional, &err);
    }
    fvlm_cli_list_free(&positional);
    fvlm_cli_list_free(&args.set);
    if (st == FVLM_INTERRUPTED) fvlm_signals_reraise();
    return st ? fvlm_cli_complain(&err) : 0;
}
