/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_verify.c - `fvlm verify`: checks a file's checksums, or compares a model with its source or with activations
 * recorded in PyTorch. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "format/base/clock.h"
#include "format/cli/cli.h"
#include "format/cli/print_json.h"
#include "format/cli/progress.h"
#include "format/cli/terminal.h"
#include "convert/graph/onnx_paths.h"
#include "verify/baseline.h"
#include "verify/report/verify_report.h"
#include "verify/same_model.h"
#include "verify/verdict.h"

enum { TOKENS = 64 }; /* of each answer: four answers of this length are enough positions */

static struct {
    const char *against, *variant, *activations, *prompt, *act, *cpu, *picture;
    fvlm_cli_list images;
    uint64_t tokens, size, threads;
    double max_kl, min_agree, max_error; /* below 0: not given */
    bool json, quiet;
} opt = {.max_kl = -1, .min_agree = -1, .max_error = -1};

static const fvlm_cli_option options[] = {
    {.name = "against",
     .arg = "SOURCE",
     .help = "compare with the source: a folder, .onnx or .fvlm",
     .text = &opt.against},
    {.name = "variant",
     .arg = "SUFFIX",
     .help = "ONNX files to take, such as q4",
     .words = FVLM_CONVERT_VARIANTS,
     .preset = "fp32 or the only one",
     .text = &opt.variant},
    {.name = "image",
     .arg = "FILE",
     .help = "compare the outputs too, on this image; may be repeated",
     .list = &opt.images},
    FVLM_CLI_PICTURE(&opt.picture),
    {.name = "prompt",
     .arg = "TEXT",
     .help = "question about each image",
     .preset = "\"Describe the image.\"",
     .text = &opt.prompt},
    {.name = "tokens",
     .arg = "N",
     .help = "length of the answers to compare, at most",
     .min = 1,
     .max = 4096,
     .preset = "64",
     .number = &opt.tokens},
    {.name = "max-kl",
     .arg = "X",
     .help = "highest mean KL that passes",
     .max = 1000,
     .preset = "by grade",
     .real = &opt.max_kl},
    {.name = "min-agree",
     .arg = "PERCENT",
     .help = "lowest agreement that passes",
     .max = 100,
     .preset = "by grade",
     .real = &opt.min_agree},
    {.name = "max-error",
     .arg = "X",
     .help = "highest error of embeddings",
     .max = 1000,
     .preset = "by grade",
     .real = &opt.max_error},
    {.name = "act",
     .arg = "MODE",
     .help = "activations",
     .choices = "f32|int8|both",
     .preset = "both if quantized",
     .text = &opt.act},
    {.name = "size",
     .arg = "PIXELS",
     .help = "image side, a multiple of 64",
     .min = 64,
     .max = FVLM_MAX_SIDE,
     .preset = "the model's",
     .number = &opt.size},
    {.name = "against-activations",
     .arg = "FILE",
     .help = "compare with activations recorded in PyTorch (safetensors)",
     .text = &opt.activations},
    FVLM_CLI_JSON(&opt.json),
    FVLM_CLI_QUIET(&opt.quiet),
    FVLM_CLI_THREADS(&opt.threads),
    FVLM_CLI_CPU(&opt.cpu),
    {0},
};

static fvlm_status check_options(fvlm_err *err)
{
    const bool limits = opt.max_kl >= 0 || opt.min_agree >= 0 || opt.max_error >= 0;
    if (opt.against && opt.activations)
        return fvlm_fail(err, FVLM_USAGE, "give --against or --against-activations, not both");
    if (!opt.against && (opt.images.n || opt.prompt || opt.size || opt.tokens || opt.picture || limits))
        return fvlm_fail(err, FVLM_USAGE,
                         "--image, --picture, --prompt, --tokens, --size, --max-kl, --min-agree and --max-error need "
                         "--against SOURCE");
    if (opt.variant && !opt.against) return fvlm_fail(err, FVLM_USAGE, "--variant needs --against SOURCE");
    if (opt.against && !opt.images.n && (opt.prompt || opt.size || opt.tokens || opt.act || opt.picture || limits))
        return fvlm_fail(err, FVLM_USAGE,
                         "--picture, --prompt, --tokens, --size, --act, --max-kl, --min-agree and --max-error need "
                         "--image FILE");
    size_t n_stdin = 0;
    for (size_t i = 0; i < opt.images.n; i++) {
        n_stdin += !strcmp(opt.images.items[i], "-");
        if (!strcmp(opt.images.items[i], "none"))
            return fvlm_fail(err, FVLM_USAGE, "--image none: outputs are compared on a picture; give a file");
    }
    if (n_stdin > 1) return fvlm_fail(err, FVLM_USAGE, "--image -: standard input can be read only once");
    if (opt.min_agree > 0 && opt.min_agree <= 1) /* taken as a percentage, a share would pass anything */
        return fvlm_fail(err, FVLM_USAGE, "--min-agree: %g is in percent; give 99 for 99 %%", opt.min_agree);
    if (!opt.against && !opt.activations && opt.act)
        return fvlm_fail(err, FVLM_USAGE, "--act needs --against SOURCE or --against-activations FILE");
    return FVLM_OK;
}

/* Limits and questions fit what is compared: predictions, or without a language model embeddings. */
static fvlm_status check_fit(const fvlm_reader *model, fvlm_err *err)
{
    const bool has_llm = fvlm_config_has_llm(fvlm_reader_config(model));
    if (!has_llm && (opt.prompt || opt.tokens || opt.max_kl >= 0 || opt.min_agree >= 0))
        return fvlm_fail(
            err, FVLM_USAGE,
            "--prompt, --tokens, --max-kl and --min-agree: \"%s\" has no language model; its embeddings are "
            "judged (--max-error)",
            fvlm_reader_path(model));
    return FVLM_OK;
}

/* A second file is the source. */
static fvlm_status take_source(const fvlm_cli_list *args, fvlm_err *err)
{
    struct stat a, b;
    if (args->n < 2) return FVLM_OK;
    if (opt.against || opt.activations)
        return fvlm_fail(err, FVLM_USAGE, "name the source once: \"%s\" or \"%s\"", args->items[1],
                         opt.against ? opt.against : opt.activations);
    opt.against = args->items[1];
    if (stat(args->items[0], &a) || stat(opt.against, &b)) return FVLM_OK; /* opening them explains it */
    if (a.st_dev == b.st_dev && a.st_ino == b.st_ino)
        return fvlm_fail(err, FVLM_USAGE, "\"%s\" and \"%s\" are one file; name the model, then its source",
                         args->items[0], opt.against);
    return FVLM_OK;
}

typedef struct {
    fvlm_verify_report report; /* points to the next two once they are there */
    fvlm_weights weights;
    fvlm_parity parity;
    bool integers;     /* the model holds quantized tensors */
    bool onnx;         /* the source is one or more ONNX files */
    const char *other; /* how they are other files than the model was made from; NULL: they are the same */
    char *unconverted; /* why convert makes nothing of them; NULL: it does */
    char *differences;
    fvlm_pool *pool;
} findings;

static bool has_integers(const fvlm_reader *r)
{
    size_t i = 0;
    while (i < fvlm_reader_n_tensors(r) && fvlm_reader_tensor(r, i)->type.kind != FVLM_INT) i++;
    return i < fvlm_reader_n_tensors(r);
}

static fvlm_status check_hashes(const fvlm_reader *r, findings *f, fvlm_err *err)
{
    fvlm_progress progress;
    const double started = fvlm_clock_seconds();
    fvlm_progress_start(&progress, "verify", opt.quiet || opt.json);
    const fvlm_check_options o = {f->pool, fvlm_progress_update, &progress, fvlm_cli_stop()};
    const fvlm_status st = fvlm_reader_check(r, &o, err);
    fvlm_progress_end(&progress);
    f->report.n_tensors = fvlm_reader_n_tensors(r);
    f->report.n_bytes = fvlm_reader_file_bytes(r);
    f->report.seconds = fvlm_clock_seconds() - started;
    f->integers = has_integers(r);
    return st;
}

static void choose_acts(fvlm_parity_options *o, bool integers)
{
    const char *act = opt.act ? opt.act : integers ? "both" : "f32";
    if (strcmp(act, "int8")) o->acts[o->n_acts++] = FVLM_ACT_F32;
    if (strcmp(act, "f32")) o->acts[o->n_acts++] = FVLM_ACT_INT8;
}

/* check: the source's checksums are still to be checked. */
static fvlm_status compare_weights(fvlm_reader *model, const char *source, bool check, findings *f, fvlm_err *err)
{
    fvlm_reader *r;
    fvlm_progress progress;
    fvlm_status st = fvlm_reader_open(&r, source, err);
    if (st) return st;
    fvlm_progress_start(&progress, "weights", opt.quiet || opt.json);
    const fvlm_check_options o = {f->pool, fvlm_progress_update, &progress, fvlm_cli_stop()};
    if (check) st = fvlm_reader_check(r, &(fvlm_check_options){.pool = f->pool, .stop = o.stop}, err);
    if (!st) st = fvlm_same_model_check(model, r, opt.against, err);
    if (!st) st = fvlm_same_model_describe(model, r, &f->differences, err);
    if (!st) st = fvlm_weights_compare(&f->weights, model, r, &o, err);
    fvlm_progress_end(&progress);
    st = fvlm_reader_check_unchanged(r, st, err);
    if (!st) f->report.weights = &f->weights;
    f->report.differences = f->differences;
    f->report.swapped = !f->integers && has_integers(r);
    fvlm_reader_close(&r);
    return st;
}

/* Compares with a source, with recorded activations, or with ONNX files, of which 'source' is the conversion. */
static fvlm_status compare_outputs(const char *model, const char *source, const char *recorded, findings *f,
                                   fvlm_err *err)
{
    fvlm_progress progress;
    fvlm_parity_options o = {.model = model,
                             .source = source,
                             .recorded = recorded,
                             .images = opt.images.items,
                             .n_images = opt.images.n,
                             .picture = fvlm_picture_named(opt.picture),
                             .prompt = opt.prompt ? opt.prompt : "Describe the image.",
                             .side = (uint32_t)opt.size,
                             .tokens = opt.tokens ? (uint32_t)opt.tokens : TOKENS,
                             .onnx = f->onnx ? opt.against : NULL,
                             .variant = opt.variant,
                             .positions = FVLM_MIN_POSITIONS,
                             .limits = {.by_kl = opt.max_kl >= 0,
                                        .by_top1 = opt.min_agree >= 0,
                                        .by_error = opt.max_error >= 0,
                                        .kl = opt.max_kl,
                                        .top1 = opt.min_agree / 100,
                                        .error = opt.max_error},
                             .threads = (unsigned)opt.threads,
                             .cpu = opt.cpu,
                             .stop = fvlm_cli_stop(),
                             .progress = fvlm_progress_update,
                             .progress_ctx = &progress};
    choose_acts(&o, f->integers);
    fvlm_progress_start(&progress, "compare", opt.quiet || opt.json);
    fvlm_status st = fvlm_parity_run(&f->parity, &o, err);
    fvlm_progress_end(&progress);
    if (!st) f->report.parity = &f->parity;
    return st;
}

static fvlm_status against_source(fvlm_reader *model, findings *f, fvlm_err *err)
{
    fvlm_progress progress;
    fvlm_baseline against;
    fvlm_progress_start(&progress, "convert", opt.quiet || opt.json);
    const fvlm_config *c = fvlm_reader_config(model);
    const json_t *made = json_object_get(json_object_get(fvlm_reader_meta(model), "provenance"), "options");
    const char *type = json_string_value(json_object_get(made, "type"));
    const char *quantized = json_string_value(json_object_get(made, "quantized"));
    const fvlm_convert_options o = {.threads = (unsigned)opt.threads,
                                    .head = !fvlm_config_has_llm(c) ? NULL
                                            : c->llm.tied           ? "tied"
                                                                    : "own",
                                    .tokenizer = json_string_value(json_object_get(made, "tokenizer")),
                                    .variant = opt.variant,
                                    .quantized = quantized                           ? quantized
                                                 : type && strcmp(type, "keep") != 0 ? "float"
                                                                                     : NULL,
                                    .progress = fvlm_progress_update,
                                    .progress_ctx = &progress,
                                    .stop = fvlm_cli_stop()};
    f->onnx = fvlm_onnx_paths_are(opt.against, opt.variant);
    if (opt.variant && !f->onnx) return fvlm_fail(err, FVLM_USAGE, "--variant: \"%s\" has no ONNX files", opt.against);
    fvlm_status st = fvlm_baseline_open(&against, opt.against, f->onnx, &o, err);
    fvlm_progress_end(&progress);
    /* What convert does not recognize can still be run. */
    if (f->onnx && opt.images.n && (st == FVLM_UNSUPPORTED || st == FVLM_BAD_INPUT)) {
        f->unconverted = fvlm_asprintf("convert does not read these files: %s", err->msg);
        if (!f->unconverted) return fvlm_fail_nomem(err);
        f->report.no_weights = f->unconverted;
        return compare_outputs(fvlm_reader_path(model), NULL, NULL, f, err);
    }
    if (!st && against.n_bytes && !opt.quiet && !opt.json) {
        char size[16];
        fvlm_terminal_print(stdout, "converted %s into a temporary file of %s in %s\n", opt.against,
                            fvlm_human_bytes(against.n_bytes, size), against.folder);
    }
    if (!st && f->onnx) st = fvlm_same_model_made_from(&f->other, model, against.path, err);
    if (opt.images.n) f->report.no_weights = f->other;
    if (!st && !f->report.no_weights) st = compare_weights(model, against.path, !against.n_bytes, f, err);
    if (!st && opt.images.n) st = compare_outputs(fvlm_reader_path(model), against.path, NULL, f, err);
    fvlm_baseline_close(&against);
    return st;
}

/* Other exports may have other weights that mean the same. */
static fvlm_status explain_mismatch(fvlm_status st, const findings *f, fvlm_err *err)
{
    if (st != FVLM_MISMATCH || !f->other || opt.images.n) return st;
    return fvlm_err_prefix(err, "%s (--image FILE compares outputs)", f->other);
}

static fvlm_status verdict(const fvlm_verify_report *r, fvlm_err *err)
{
    if (r->weights && r->weights->n_bad)
        return fvlm_fail(err, FVLM_MISMATCH,
                         "\"%s\": weights differ from the source by more than their types allow, first %s", r->model,
                         r->weights->first_bad);
    return r->parity ? fvlm_verdict_check(r->parity, r->model, err) : FVLM_OK;
}

static fvlm_status run(const fvlm_cli_list *args, fvlm_err *err)
{
    findings f = {.report = {.model = args->items[0]}};
    fvlm_reader *r = NULL;
    fvlm_status st = take_source(args, err);
    f.report.against = opt.against ? opt.against : opt.activations;
    if (!st) st = check_options(err);
    if (!st && opt.against) st = fvlm_cli_check_source(opt.against, err);
    if (!st) st = fvlm_reader_open(&r, args->items[0], err);
    if (st) return st;
    st = check_fit(r, err);
    if (!st) st = fvlm_pool_create(&f.pool, (unsigned)opt.threads, err);
    if (!st) st = check_hashes(r, &f, err);
    if (!st && opt.against) st = against_source(r, &f, err);
    if (!st && opt.activations) st = compare_outputs(args->items[0], NULL, opt.activations, &f, err);
    st = fvlm_reader_check_unchanged(r, st, err); /* no verdict, good or bad, on a file that changed meanwhile */
    fvlm_reader_close(&r);
    fvlm_pool_destroy(&f.pool);
    if (!st && opt.json)
        st = fvlm_cli_print_json(fvlm_verify_report_json(&f.report), err);
    else if (!st && !opt.quiet)
        fvlm_verify_report_print(stdout, &f.report);
    if (!st) st = verdict(&f.report, err);
    st = explain_mismatch(st, &f, err);
    fvlm_parity_free(&f.parity);
    free(f.differences);
    free(f.unconverted);
    return st;
}

const fvlm_cli_command fvlm_verify_command = {
    .name = "verify",
    .summary = "check every byte of a .fvlm file, or compare it with the model it was made from",
    .args = "MODEL.fvlm [SOURCE]",
    .min_args = 1,
    .max_args = 2,
    .options = options,
    .examples = "fvlm verify fastvlm-int4.fvlm\n"
                "fvlm verify fastvlm-int4.fvlm --against FastVLM-0.5B --image photo.jpg\n",
    .run = run,
};
