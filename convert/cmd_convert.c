/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_convert.c - `fvlm convert`: a checkpoint folder to a .fvlm file. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "convert/convert.h"
#include "format/cli/cli.h"
#include "format/cli/print_json.h"
#include "format/cli/numbers.h"
#include "format/cli/progress.h"
#include "format/cli/signals.h"
#include "format/cli/terminal.h"

static struct {
    const char *output, *type;
    bool dry_run, json, verbose, quiet, force;
    uint64_t threads;
} opt;

static const fvlm_cli_option options[] = {
    FVLM_CLI_OUTPUT(&opt.output),
    {.name = "type",
     .arg = "TYPE",
     .help = "store every tensor in this type",
     .choices = "f32|bf16|f16",
     .hint = "for int8 and int4 run 'fvlm quant' on the result",
     .preset = "as in the source, f32 if fused",
     .text = &opt.type},
    FVLM_CLI_DRY_RUN(&opt.dry_run),
    FVLM_CLI_FORCE(&opt.force),
    FVLM_CLI_VERBOSE(&opt.verbose),
    FVLM_CLI_JSON(&opt.json),
    FVLM_CLI_QUIET(&opt.quiet),
    FVLM_CLI_THREADS(&opt.threads),
    {0},
};

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static uint64_t number_of(const json_t *object, const char *key)
{
    return (uint64_t)json_integer_value(json_object_get(object, key));
}

static void print_warnings(const json_t *report)
{
    size_t i;
    json_t *w;
    json_array_foreach(json_object_get(report, "warnings"), i, w)
        fprintf(stderr, "fvlm: warning: %s\n", json_string_value(w));
}

static void print_row(const char *part, const char *type, uint64_t tensors, uint64_t fused, uint64_t params,
                      uint64_t bytes)
{
    char size[16], number[24] = "-";
    if (fused) snprintf(number, sizeof number, "%" PRIu64, fused);
    printf("%-16s %-5s %8" PRIu64 " %6s %13" PRIu64 " %9s\n", part, type, tensors, number, params,
           fvlm_human_bytes(bytes, size));
}

/* By part and type, and in all: what a user wants to know before an hour of download is spent. */
static void print_plan(const json_t *report)
{
    size_t i;
    json_t *p;
    uint64_t params = 0, fused = 0;
    printf("%-16s %-5s %8s %6s %13s %9s\n", "part", "type", "tensors", "fused", "parameters", "size");
    json_array_foreach(json_object_get(report, "parts"), i, p)
    {
        print_row(text_of(p, "part"), text_of(p, "type"), number_of(p, "tensors"), number_of(p, "fused"),
                  number_of(p, "parameters"), number_of(p, "bytes"));
        params += number_of(p, "parameters");
        fused += number_of(p, "fused");
    }
    print_row("total", "", number_of(report, "tensors"), fused, params, number_of(report, "tensor_bytes"));
}

static void print_dropped(const json_t *report)
{
    size_t i;
    json_t *d;
    char size[16];
    json_array_foreach(json_object_get(report, "dropped"), i, d)
        printf("dropped   %" PRIu64 " %s: %s (%s)\n", number_of(d, "tensors"),
               number_of(d, "tensors") == 1 ? "tensor" : "tensors", text_of(d, "rule"),
               fvlm_human_bytes(number_of(d, "bytes"), size));
    if (number_of(report, "embedding_rows_dropped"))
        printf("dropped   %" PRIu64 " rows of the embedding: no id reaches them\n",
               number_of(report, "embedding_rows_dropped"));
}

static void print_tensors(const json_t *report)
{
    const char *name;
    json_t *origin, *step;
    json_object_foreach(json_object_get(report, "origins"), name, origin)
    {
        size_t i;
        const json_t *error = json_object_get(origin, "error");
        printf("%-40s %zu source%s", name, json_array_size(json_object_get(origin, "from")),
               json_array_size(json_object_get(origin, "from")) == 1 ? "" : "s");
        json_array_foreach(json_object_get(origin, "steps"), i, step)
            printf("%s %s", i ? "," : ":", json_string_value(step));
        if (error) printf(" (error %.1e)", json_real_value(error));
        putchar('\n');
    }
}

static void print_summary(const json_t *report, const char *path, uint64_t file_bytes)
{
    char size[16], peak[16];
    printf("wrote     %s: %" PRIu64 " tensors, %s, in %.1f s, with %s of memory at most\n", path,
           number_of(report, "tensors"), fvlm_human_bytes(file_bytes, size),
           json_real_value(json_object_get(report, "seconds")),
           fvlm_human_bytes(number_of(report, "peak_anonymous_bytes"), peak));
    if (number_of(report, "fused_modules"))
        printf("fused     %" PRIu64 " modules; fused and unfused differ by at most %.1e in f64 (%s)\n",
               number_of(report, "fused_modules"), json_real_value(json_object_get(report, "worst_error")),
               text_of(report, "worst_module"));
    print_dropped(report);
}

static fvlm_status print_report(const json_t *report, const char *path, fvlm_err *err)
{
    if (!report) return fvlm_fail(err, FVLM_NOMEM, "out of memory");
    if (!opt.quiet) print_warnings(report);
    struct stat about;
    uint64_t file_bytes = path && stat(path, &about) == 0 ? (uint64_t)about.st_size : 0;
    if (opt.json) {
        json_t *whole = json_copy((json_t *)report);
        if (path) json_object_set_new(whole, "file", fvlm_cli_json_text(path));
        if (path) json_object_set_new(whole, "file_bytes", json_integer((json_int_t)file_bytes));
        if (!opt.verbose) json_object_del(whole, "origins");
        return fvlm_cli_print_json(whole, err);
    } else if (!opt.quiet) {
        if (opt.verbose) print_tensors(report);
        if (path)
            print_summary(report, path, file_bytes);
        else
            print_plan(report), print_dropped(report);
    }
    return FVLM_OK;
}

static fvlm_status run(const fvlm_cli_list *args, fvlm_err *err)
{
    if (!opt.output && !opt.dry_run) return fvlm_cli_no_output(err);
    fvlm_progress bar;
    fvlm_convert_options o = {.type = opt.type,
                              .threads = (unsigned)opt.threads,
                              .force = opt.force,
                              .progress = fvlm_progress_update,
                              .progress_ctx = &bar};
    fvlm_conversion *c;
    fvlm_status st = fvlm_conversion_plan(&c, args->items[0], &o, err);
    if (!st && !opt.dry_run) {
        fvlm_progress_start(&bar, "convert", opt.quiet || opt.json);
        st = fvlm_conversion_write(c, opt.output, err);
        fvlm_progress_end(&bar);
    }
    if (!st) {
        json_t *report = fvlm_conversion_report(c);
        st = print_report(report, opt.dry_run ? NULL : opt.output, err);
        json_decref(report);
    }
    if (c) fvlm_conversion_free(&c);
    return st;
}

const fvlm_cli_command fvlm_convert_command = {
    .name = "convert",
    .summary = "fuse and pack a checkpoint folder (safetensors) into one .fvlm file",
    .args = "CHECKPOINT_FOLDER",
    .min_args = 1,
    .max_args = 1,
    .options = options,
    .examples = "fvlm convert FastVLM-0.5B -o fastvlm.fvlm\n"
                "fvlm convert FastVLM-0.5B --type bf16 --dry-run\n",
    .run = run,
};
