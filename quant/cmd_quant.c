/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_quant.c - `fvlm quant`: the command line around quant.h, and the plan as a table. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/json.h"
#include "format/cli/cli.h"
#include "format/cli/print_json.h"
#include "format/cli/progress.h"
#include "format/cli/terminal.h"
#include "quant/quantization_report.h"

static struct {
    const char *type, *output, *cpu;
    uint64_t threads;
    bool dry_run, json, verbose, quiet, force;
    fvlm_cli_list set;
} opt = {.type = "int8"};

static const fvlm_cli_option options[] = {
    FVLM_CLI_OUTPUT(&opt.output),
    {.name = "type",
     .arg = "TYPE",
     .help = "int8, int4, or {int8,int4}-{sym,asym}-{g32,g64,g128,row}",
     .words =
         "int8|int4|int8-sym-g32|int8-sym-g64|int8-sym-g128|int8-sym-row|int8-asym-g32|int8-asym-g64|int8-asym-g128|"
         "int8-asym-row|int4-sym-g32|int4-sym-g64|int4-sym-g128|int4-sym-row|int4-asym-g32|int4-asym-g64|"
         "int4-asym-g128|int4-asym-row",
     .preset = "int8",
     .text = &opt.type},
    {.name = "set",
     .arg = "REGEX=TYPE",
     .help = "the type, or f32, bf16, f16, keep, for tensors whose whole name matches and which it fits; the last "
             "such rule decides",
     .list = &opt.set},
    FVLM_CLI_DRY_RUN(&opt.dry_run),
    FVLM_CLI_FORCE(&opt.force),
    FVLM_CLI_VERBOSE(&opt.verbose),
    FVLM_CLI_JSON(&opt.json),
    FVLM_CLI_QUIET(&opt.quiet),
    FVLM_CLI_THREADS(&opt.threads),
    FVLM_CLI_CPU(&opt.cpu),
    {0},
};

/* One row for each family and type, or with -v for each tensor. False: tensor i is in an earlier row. */
static bool describe_row(const fvlm_quantization *q, size_t i, fvlm_quantization_row *row, const char **name)
{
    if (!opt.verbose && !fvlm_quantization_describe_family(q, i, row)) return false;
    if (opt.verbose) fvlm_quantization_describe_tensor(q, i, row);
    *name = opt.verbose ? row->source->name : row->family;
    return true;
}

static void print_table(const fvlm_quantization *q)
{
    fvlm_quantization_report r;
    fvlm_quantization_row row;
    const char *name;
    char before[16], after[16], type[24], error[16] = "";
    int width = 16;
    fvlm_quantization_describe(q, &r);
    for (size_t i = 0; i < r.n_tensors; i++)
        if (describe_row(q, i, &row, &name) && (int)strlen(name) > width) width = (int)strlen(name);
    printf("%-*s %-14s %7s %11s %11s  %s\n", width, opt.verbose ? "tensor" : "family", "type", "bits/w", "before",
           "after", r.written ? "error" : "");
    for (size_t i = 0; i < r.n_tensors; i++) {
        if (!describe_row(q, i, &row, &name)) continue;
        if (r.written) snprintf(error, sizeof error, "%.5f", row.error);
        fvlm_terminal_print(stdout, "%-*s %-14s %7.3f %11s %11s  %s\n", width, name, fvlm_type_name(row.type, type),
                            row.bits_per_weight, fvlm_human_bytes(row.bytes_before, before),
                            fvlm_human_bytes(row.n_bytes, after), error);
    }
    printf("%-*s %-14s %7s %11s %11s\n", width, r.written ? "whole file" : "whole file, about", "", "",
           fvlm_human_bytes(r.bytes_before, before), fvlm_human_bytes(r.bytes_after, after));
    for (size_t i = 0; i < r.n_rules; i++)
        if (r.n_left[i])
            fvlm_terminal_print(stdout,
                                "--set '%s' leaves out %zu tensor%s that it matches: only matrices take integers\n",
                                opt.set.items[i], r.n_left[i], r.n_left[i] == 1 ? "" : "s");
}

/* Splits each "REGEX=TYPE" at the last '='; the caller frees each regex. */
static fvlm_status split_rules(fvlm_quant_rule *rules, fvlm_err *err)
{
    for (size_t i = 0; i < opt.set.n; i++) {
        char *text = fvlm_strdup(opt.set.items[i]);
        if (!text) return fvlm_fail_nomem(err);
        char *equals = strrchr(text, '=');
        rules[i] = (fvlm_quant_rule){text, equals ? equals + 1 : NULL};
        if (!equals || equals == text || !equals[1])
            return fvlm_fail(err, FVLM_USAGE, "--set: \"%.100s\" is not REGEX=TYPE; try 'fvlm quant --help'", text);
        *equals = '\0';
    }
    return FVLM_OK;
}

static fvlm_status run(const fvlm_cli_list *args, fvlm_err *err)
{
    if (!opt.output && !opt.dry_run) return fvlm_cli_no_output(err);
    fvlm_progress progress;
    fvlm_quantization *q = NULL;
    fvlm_quant_rule *rules = fvlm_alloc(opt.set.n, sizeof *rules);
    if (!rules) return fvlm_fail_nomem(err);
    fvlm_status st = split_rules(rules, err);
    if (st) goto out;
    fvlm_quant_options o = {.type = opt.type,
                            .rules = rules,
                            .n_rules = opt.set.n,
                            .cpu = opt.cpu,
                            .threads = (unsigned)opt.threads,
                            .force = opt.force,
                            .progress = fvlm_progress_update,
                            .progress_ctx = &progress,
                            .stop = fvlm_cli_stop()};
    st = fvlm_quantization_plan(&q, args->items[0], &o, err);
    if (st) goto out;
    if (!opt.dry_run) {
        fvlm_progress_start(&progress, "quant", opt.quiet || opt.json);
        st = fvlm_quantization_write(q, opt.output, err);
        fvlm_progress_end(&progress);
    }
    if (!st && opt.json) {
        json_t *j = fvlm_quantization_report_json(q);
        if (!opt.dry_run) fvlm_json_set(&j, "file", fvlm_json_lossy_string(opt.output));
        st = fvlm_cli_print_json(j, err);
    } else if (!st && !opt.quiet)
        print_table(q);
out:
    fvlm_quantization_free(&q);
    for (size_t i = 0; i < opt.set.n; i++) free((char *)rules[i].regex);
    free(rules);
    return st;
}

const fvlm_cli_command fvlm_quant_command = {
    .name = "quant",
    .summary = "quantize the matrices of a .fvlm file to int8 or int4",
    .args = "MODEL.fvlm",
    .min_args = 1,
    .max_args = 1,
    .options = options,
    .examples = "fvlm quant fastvlm.fvlm --type int4 -o fastvlm-int4.fvlm\n"
                "fvlm quant fastvlm.fvlm --type int8 --set 'llm\\.layer.*\\.ffn\\..*=int4-sym-g32' --dry-run\n",
    .run = run,
};
