/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_verify.c - `fvlm verify`: checks a file's checksums, or compares a model with its source or with activations
 * recorded in PyTorch. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "convert/convert.h"
#include "format/cli/cli.h"
#include "format/cli/print_json.h"
#include "verify/cmd_verify.h"
#include "verify/verdict.h"

static fvlm_verify_asked opt = {.max_kl = -1, .min_agree = -1, .max_error = -1};
static fvlm_cli_list images;

static const fvlm_cli_option options[] = {
    {.name = "against",
     .arg = "SOURCE",
     .help = "compare with the source: a folder, .onnx or .fvlm",
     .text = &opt.against},
    {.name = "variant",
     .arg = "SUFFIX",
     .help = "ONNX files to take, such as q4",
     .choices = FVLM_CONVERT_VARIANTS,
     .brief = true,
     .preset = "fp32 or the only one",
     .text = &opt.variant},
    {.name = "vision", .arg = "FOLDER", .help = "where convert took the vision tower from", .text = &opt.vision},
    {.name = "image", .arg = "FILE", .help = "compare outputs too, on this image; may be repeated", .list = &images},
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
    {.name = "tiles",
     .arg = "CxR",
     .help = "divide each image, as for run",
     .preset = "the model's",
     .text = &opt.tiles},
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
    if (!opt.against && (images.n || opt.prompt || opt.size || opt.tiles || opt.tokens || opt.picture || limits))
        return fvlm_fail(
            err, FVLM_USAGE,
            "--image, --picture, --prompt, --tokens, --size, --tiles, --max-kl, --min-agree and --max-error "
            "need --against SOURCE");
    if (opt.vision && !opt.against) return fvlm_fail(err, FVLM_USAGE, "--vision needs --against SOURCE");
    if (opt.variant && !opt.against) return fvlm_fail(err, FVLM_USAGE, "--variant needs --against SOURCE");
    if (opt.against && !images.n && (opt.prompt || opt.size || opt.tiles || opt.tokens || opt.picture || limits))
        return fvlm_fail(err, FVLM_USAGE,
                         "--picture, --prompt, --tokens, --size, --tiles, --max-kl, --min-agree and --max-error need "
                         "--image FILE");
    size_t n_stdin = 0;
    for (size_t i = 0; i < images.n; i++) {
        n_stdin += !strcmp(images.items[i], "-");
        if (!strcmp(images.items[i], "none"))
            return fvlm_fail(err, FVLM_USAGE, "--image none: outputs are compared on a picture; give a file");
    }
    if (n_stdin > 1) return fvlm_fail(err, FVLM_USAGE, "--image -: standard input can be read only once");
    if (opt.min_agree > 0 && opt.min_agree <= 1) /* taken as a percentage, a share would pass anything */
        return fvlm_fail(err, FVLM_USAGE, "--min-agree: %g is in percent; give 99 for 99 %%", opt.min_agree);
    if (!opt.activations && !images.n && (opt.act || opt.cpu))
        return fvlm_fail(err, FVLM_USAGE, "--%s needs --image FILE or --against-activations FILE",
                         opt.act ? "act" : "cpu");
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

/* Other exports may have other weights that mean the same. */
static fvlm_status explain_mismatch(fvlm_status st, const fvlm_verify_findings *f, fvlm_err *err)
{
    if (st != FVLM_MISMATCH || !f->other || opt.n_images) return st;
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
    fvlm_verify_findings f = {.asked = &opt, .report = {.model = args->items[0]}};
    fvlm_reader *r = NULL;
    fvlm_status st = take_source(args, err);
    opt.images = images.items;
    opt.n_images = images.n;
    f.report.against = opt.against ? opt.against : opt.activations;
    if (!st) st = check_options(err);
    if (!st && opt.tiles) st = fvlm_tiling_parse(&f.tiling, opt.tiles, err);
    if (!st && opt.against) st = fvlm_cli_check_source(opt.against, err);
    if (!st) st = fvlm_reader_open(&r, args->items[0], err);
    if (st) return st;
    st = check_fit(r, err);
    if (!st) st = fvlm_pool_create(&f.pool, (unsigned)opt.threads, err);
    if (!st) st = fvlm_verify_check_hashes(r, &f, err);
    if (!st && opt.against) st = fvlm_verify_compare_source(r, &f, err);
    if (!st && opt.activations) st = fvlm_verify_compare_outputs(args->items[0], NULL, opt.activations, &f, err);
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
