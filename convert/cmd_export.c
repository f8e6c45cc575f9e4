/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_export.c - `fvlm export`: writes a .fvlm file in a format of other programs. */
#include <inttypes.h>
#include <string.h>

#include "convert/export/export.h"
#include "format/base/json.h"
#include "format/cli/cli.h"
#include "format/cli/print_json.h"
#include "format/cli/progress.h"
#include "format/cli/terminal.h"

static struct {
    const char *to, *output, *naming, *type, *shard_size;
    bool dry_run, json, verbose, quiet, force;
    uint64_t threads;
} opt;

static const fvlm_cli_option options[] = {
    {.name = "to", .arg = "FORMAT", .help = "what to write", .choices = FVLM_EXPORT_TARGETS, .text = &opt.to},
    {.name = "output",
     .letter = 'o',
     .arg = "PATH",
     .help = "the folder to write; of gguf, the file",
     .text = &opt.output},
    {.name = "naming",
     .arg = "NAMES",
     .help = "tensor names and config.json of safetensors",
     .choices = "apple|transformers",
     .preset = "apple",
     .text = &opt.naming},
    {.name = "type",
     .arg = "TYPE",
     .help = "store every weight in this type, rounded",
     .choices = "f32|bf16|f16",
     .preset = "the one that holds its values exactly",
     .text = &opt.type},
    {.name = "shard-size",
     .arg = "SIZE",
     .help = "bytes of tensors in a file of safetensors, such as 500MB",
     .preset = "5GB",
     .text = &opt.shard_size},
    FVLM_CLI_DRY_RUN(&opt.dry_run),
    {.name = "force", .letter = 'f', .help = "replace an earlier export", .flag = &opt.force},
    FVLM_CLI_VERBOSE(&opt.verbose),
    FVLM_CLI_JSON(&opt.json),
    FVLM_CLI_QUIET(&opt.quiet),
    FVLM_CLI_THREADS(&opt.threads),
    {0},
};

/* "500MB", "2.5GB", "65536": decimal units, as Hugging Face counts. */
static fvlm_status parse_size(const char *text, uint64_t *out, fvlm_err *err)
{
    static const struct {
        const char *unit;
        double bytes;
    } units[] = {{"", 1}, {"B", 1}, {"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}};
    double value = 0, tenth = 1;
    const char *at = text;
    bool point = false;
    for (; (*at >= '0' && *at <= '9') || (*at == '.' && !point); at++) {
        if (*at == '.') {
            point = true;
            continue;
        }
        value = 10 * value + (*at - '0');
        if (point) tenth *= 10;
    }
    for (size_t i = 0; at > text && i < sizeof units / sizeof units[0]; i++) {
        const double bytes = value / tenth * units[i].bytes;
        if (strcmp(at, units[i].unit) != 0) continue;
        if (bytes < 1 || bytes > 1e15)
            return fvlm_fail(err, FVLM_USAGE, "--shard-size: %.40s is out of range, 1 to 1000 TB", text);
        *out = (uint64_t)bytes;
        return FVLM_OK;
    }
    return fvlm_fail(err, FVLM_USAGE, "--shard-size: \"%.40s\" is not a size such as 500MB or 5GB", text);
}

static void print_tensor(const fvlm_export_tensor *t, bool written)
{
    char size[16];
    fvlm_terminal_print(stdout, "%-68s %-5s %9s", t->name, t->type, fvlm_human_bytes(t->n_bytes, size));
    fvlm_terminal_print(stdout, "  %s", t->from ? t->from : "-");
    if (t->cause) fvlm_terminal_print(stdout, ": %s", t->cause);
    if (written && t->error > 0) printf(" (error %.1e)", t->error);
    putchar('\n');
}

/* One line for each type: how many tensors, and why they have it. */
static void print_types(const fvlm_export_report *r)
{
    for (size_t i = 0; i < r->n_tensors; i++) {
        const fvlm_export_tensor *t = &r->tensors[i];
        size_t n = 0, rounded = 0;
        uint64_t n_bytes = 0;
        double worst = 0;
        bool seen = false;
        char size[16];
        for (size_t k = 0; k < i && !seen; k++) seen = !strcmp(r->tensors[k].type, t->type);
        if (seen) continue;
        for (size_t k = i; k < r->n_tensors; k++) {
            if (strcmp(r->tensors[k].type, t->type) != 0) continue;
            n++;
            n_bytes += r->tensors[k].n_bytes;
            rounded += r->tensors[k].error > 0;
            if (r->tensors[k].error > worst) worst = r->tensors[k].error;
        }
        printf("%-9s %zu tensor%s, %s", t->type, n, n == 1 ? "" : "s", fvlm_human_bytes(n_bytes, size));
        if (rounded) printf("; %zu rounded, relative error at most %.1e", rounded, worst);
        putchar('\n');
    }
}

static fvlm_status print_report(const fvlm_export *x, fvlm_err *err)
{
    fvlm_export_report r;
    char size[16], peak[16];
    uint64_t n_bytes = 0;
    fvlm_export_describe(x, &r);
    if (opt.json) {
        json_t *j = fvlm_export_report_json(x, opt.verbose);
        if (r.written) fvlm_json_set(&j, "output", fvlm_json_lossy_string(opt.output));
        return fvlm_cli_print_json(j, err);
    }
    if (opt.quiet) return FVLM_OK;
    for (size_t i = 0; i < r.n_files; i++) n_bytes += r.files[i].n_bytes;
    for (size_t i = 0; opt.verbose && i < r.n_tensors; i++) print_tensor(&r.tensors[i], r.written);
    if (r.written)
        fvlm_terminal_print(stdout, "wrote     %s: %zu tensors, %zu file%s, %s, in %.1f s, peak memory %s\n",
                            opt.output, r.n_tensors, r.n_files, r.n_files == 1 ? "" : "s",
                            fvlm_human_bytes(n_bytes, size), r.seconds, fvlm_human_bytes(r.peak_anonymous_bytes, peak));
    else
        printf("plan      %zu tensors, %s\n", r.n_tensors, fvlm_human_bytes(r.tensor_bytes, size));
    print_types(&r);
    for (size_t i = 0; i < r.n_notes; i++) fvlm_terminal_print(stdout, "note      %s\n", r.notes[i]);
    return FVLM_OK;
}

static fvlm_status run(const fvlm_cli_list *args, fvlm_err *err)
{
    fvlm_progress bar;
    fvlm_export_options o = {.to = opt.to,
                             .naming = opt.naming,
                             .type = opt.type,
                             .threads = (unsigned)opt.threads,
                             .force = opt.force,
                             .progress = fvlm_progress_update,
                             .progress_ctx = &bar,
                             .stop = fvlm_cli_stop()};
    if (!opt.to) return fvlm_fail(err, FVLM_USAGE, "no format; give --to " FVLM_EXPORT_TARGETS);
    if (!opt.output && !opt.dry_run) return fvlm_cli_no_output(err);
    fvlm_status st = opt.shard_size ? parse_size(opt.shard_size, &o.shard_size, err) : FVLM_OK;
    if (st) return st;
    fvlm_export *x;
    st = fvlm_export_plan(&x, args->items[0], &o, err);
    if (!st && !opt.dry_run) {
        fvlm_progress_start(&bar, "export", opt.quiet || opt.json);
        st = fvlm_export_write(x, opt.output, err);
        fvlm_progress_end(&bar);
    }
    if (!st) st = print_report(x, err);
    fvlm_export_free(&x);
    return st;
}

const fvlm_cli_command fvlm_export_command = {
    .name = "export",
    .summary = "write a .fvlm file in a format of other programs",
    .args = "MODEL.fvlm",
    .min_args = 1,
    .max_args = 1,
    .options = options,
    .examples = "fvlm export fastvlm-int4.fvlm --to safetensors --naming transformers -o FastVLM-int4\n"
                "fvlm export fastvlm-int4.fvlm --to gguf -o fastvlm-llm.gguf\n",
    .run = run,
};
