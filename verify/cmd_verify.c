/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_verify.c - fvlm verify: hashes of a file; a model beside its source; a model beside activations from PyTorch. */
#include <stdio.h>
#include <string.h>

#include "format/cli/cli.h"
#include "verify/baseline.h"
#include "verify/report/parity_report.h"

static struct {
    const char *against, *activations, *prompt, *act, *cpu;
    fvlm_cli_list images;
    uint64_t tokens, size, threads;
    bool json, quiet;
} args = {.tokens = 16};

static const fvlm_cli_option options[] = {
    {"against", 0, "SOURCE", "compare weights with its source: a checkpoint folder or .fvlm file",
     .text = &args.against},
    {"image", 0, "FILE", "compare outputs too, on this picture; may be given again", .list = &args.images},
    {"prompt", 0, "TEXT", "question about each picture; default \"Describe the image.\"", .text = &args.prompt},
    {"tokens", 0, "N", "greedy tokens of the source to follow; default 16", .number = &args.tokens},
    {"act", 0, "MODE", "activations f32, int8 or both; default both for an integer file", .text = &args.act},
    {"size", 0, "S", "side of the picture; default the model's", .number = &args.size},
    {"against-activations", 0, "FILE", "compare with activations dumped from PyTorch (safetensors)",
     .text = &args.activations},
    {"json", 0, NULL, "print what was found as JSON", .flag = &args.json},
    {"quiet", 'q', NULL, "print errors only", .flag = &args.quiet},
    {"threads", 0, "N", "threads; default all", .number = &args.threads},
    {"cpu", 0, "NAME", "use at most scalar, avx2, avx512 (or neon, dotprod)", .text = &args.cpu},
    {0},
};

const fvlm_cli_command fvlm_verify_command = {
    .name = "verify",
    .summary = "check every byte of a .fvlm file, or its outputs against where it came from",
    .positional = "MODEL.fvlm",
    .options = options,
    .examples = "  fvlm verify fastvlm-int4.fvlm\n"
                "  fvlm verify fastvlm-int4.fvlm --against FastVLM-0.5B/ --image photo.jpg\n",
};

static fvlm_status check_args(const fvlm_cli_list *positional, fvlm_err *err)
{
    const bool compares = args.against || args.activations;
    if (positional->n != 1)
        return fvlm_fail(err, FVLM_USAGE, "verify: expected one model, got %zu; try 'fvlm verify --help'",
                         positional->n);
    if (args.against && args.activations)
        return fvlm_fail(err, FVLM_USAGE, "verify: --against and --against-activations exclude each other");
    if (args.against && !args.images.n && (args.prompt || args.size || args.act))
        return fvlm_fail(err, FVLM_USAGE, "verify: --prompt, --size and --act need a picture; give --image FILE");
    if (!args.against && (args.images.n || args.prompt || args.size))
        return fvlm_fail(err, FVLM_USAGE, "verify: --image, --prompt and --size need --against");
    if (!compares && args.act) return fvlm_fail(err, FVLM_USAGE, "verify: --act needs something to compare with");
    if (args.act && strcmp(args.act, "f32") && strcmp(args.act, "int8") && strcmp(args.act, "both"))
        return fvlm_fail(err, FVLM_USAGE, "verify: --act is f32, int8 or both, not \"%.40s\"", args.act);
    if (args.threads > 64) return fvlm_fail(err, FVLM_USAGE, "verify: --threads is at most 64");
    if (args.tokens > 4096) return fvlm_fail(err, FVLM_USAGE, "verify: --tokens is at most 4096");
    if (args.size > 4096) return fvlm_fail(err, FVLM_USAGE, "verify: --size is at most 4096");
    return FVLM_OK;
}

/* Every hash of the file; *integers = whether it holds quantized tensors. */
static fvlm_status check_hashes(const fvlm_reader *r, fvlm_hash_report *out, bool *integers, fvlm_err *err)
{
    fvlm_pool *pool = NULL;
    fvlm_progress progress;
    fvlm_status st = fvlm_pool_create(&pool, (unsigned)args.threads, err);
    const double started = fvlm_clock_seconds();
    if (st == FVLM_OK) {
        fvlm_progress_start(&progress, "verify", args.quiet || args.json);
        st = fvlm_reader_check(r, pool, fvlm_progress_update, &progress, err);
        fvlm_progress_end(&progress);
    }
    *out = (fvlm_hash_report){fvlm_reader_n_tensors(r), fvlm_reader_file_bytes(r), fvlm_clock_seconds() - started};
    *integers = false;
    for (size_t i = 0; i < out->n_tensors; i++) *integers |= fvlm_reader_tensor(r, i)->type.kind == FVLM_INT;
    fvlm_pool_destroy(&pool);
    return st;
}

static void choose_acts(fvlm_parity_options *o, bool integers)
{
    const char *act = args.act ? args.act : integers ? "both" : "f32";
    if (strcmp(act, "int8")) o->acts[o->n_acts++] = FVLM_ACT_F32;
    if (strcmp(act, "f32")) o->acts[o->n_acts++] = FVLM_ACT_INT8;
}

/* What was found, and which of it was looked for. */
typedef struct {
    fvlm_hash_report hashed;
    bool integers, has_weights, has_parity;
    fvlm_weights weights;
    fvlm_parity parity;
} findings;

/* check: the source's hashes have not been looked at yet. */
static fvlm_status compare_weights(const fvlm_reader *model, const char *source, bool check, findings *f, fvlm_err *err)
{
    fvlm_reader *r;
    fvlm_pool *pool = NULL;
    fvlm_progress progress;
    fvlm_status st = fvlm_reader_open(&r, source, err);
    if (st) return st;
    st = fvlm_pool_create(&pool, (unsigned)args.threads, err);
    if (st == FVLM_OK) {
        fvlm_progress_start(&progress, "weights", args.quiet || args.json);
        if (check) st = fvlm_reader_check(r, pool, NULL, NULL, err);
        if (st == FVLM_OK) st = fvlm_weights_compare(&f->weights, model, r, pool, fvlm_progress_update, &progress, err);
        fvlm_progress_end(&progress);
    }
    st = fvlm_reader_check_unchanged(r, st, err);
    f->has_weights = st == FVLM_OK;
    fvlm_pool_destroy(&pool);
    fvlm_reader_close(&r);
    return st;
}

static fvlm_status compare_outputs(const char *model, const char *source, fvlm_recorded *recorded, findings *f,
                                   fvlm_err *err)
{
    fvlm_progress progress;
    fvlm_parity_options o = {.model = model,
                             .source = source,
                             .recorded = recorded,
                             .images = args.images.items,
                             .n_images = args.images.n,
                             .prompt = args.prompt ? args.prompt : "Describe the image.",
                             .side = (uint32_t)args.size,
                             .tokens = (uint32_t)args.tokens,
                             .threads = (unsigned)args.threads,
                             .cpu = args.cpu,
                             .progress = fvlm_progress_update,
                             .progress_ctx = &progress};
    choose_acts(&o, f->integers);
    fvlm_progress_start(&progress, "compare", args.quiet || args.json);
    fvlm_status st = fvlm_parity_run(&f->parity, &o, err);
    fvlm_progress_end(&progress);
    f->has_parity = st == FVLM_OK;
    return st;
}

static fvlm_status against_source(const fvlm_reader *model, findings *f, fvlm_err *err)
{
    fvlm_progress progress;
    fvlm_baseline against;
    fvlm_progress_start(&progress, "convert", args.quiet || args.json);
    fvlm_status st =
        fvlm_baseline_open(&against, args.against, (unsigned)args.threads, fvlm_progress_update, &progress, err);
    fvlm_progress_end(&progress);
    if (st == FVLM_OK && against.n_bytes && !args.quiet && !args.json) {
        char size[16];
        printf("%s was converted for this into %s of temporary space in %s\n", args.against,
               fvlm_human_bytes(against.n_bytes, size), against.folder);
    }
    if (st == FVLM_OK) st = compare_weights(model, against.path, !against.n_bytes, f, err);
    if (st == FVLM_OK && args.images.n) st = compare_outputs(fvlm_reader_path(model), against.path, NULL, f, err);
    fvlm_baseline_close(&against);
    return st;
}

static fvlm_status against_activations(const char *model, findings *f, fvlm_err *err)
{
    fvlm_recorded *recorded;
    fvlm_status st = fvlm_recorded_open(&recorded, args.activations, err);
    if (st == FVLM_OK) st = compare_outputs(model, NULL, recorded, f, err);
    fvlm_recorded_close(&recorded);
    return st;
}

static fvlm_status print(const char *path, const findings *f, fvlm_err *err)
{
    const char *against = args.against ? args.against : args.activations;
    if (args.json) {
        json_t *report = fvlm_report_json(path, &f->hashed, against, f->has_weights ? &f->weights : NULL,
                                          f->has_parity ? &f->parity : NULL);
        if (!report) return fvlm_fail(err, FVLM_NOMEM, "out of memory for the report");
        json_dumpf(report, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
        putchar('\n');
        json_decref(report);
    } else if (!args.quiet) {
        if (!against) fvlm_report_hashes(path, &f->hashed);
        if (against) printf("%s beside %s\n", path, against);
        if (f->has_weights) fvlm_report_weights(&f->weights);
        if (f->has_parity) fvlm_report_parity(&f->parity);
        if (against && !f->has_parity) printf("outputs were not compared; --image FILE runs both on a picture\n");
    }
    return fflush(stdout) ? fvlm_fail_errno(err, "standard output") : FVLM_OK;
}

static fvlm_status verdict(const char *path, const findings *f, fvlm_err *err)
{
    if (f->has_weights && f->weights.n_bad)
        return fvlm_fail(err, FVLM_MISMATCH, "\"%s\": weights are not what their types promise, first %s", path,
                         f->weights.first_bad);
    if (f->has_parity && !fvlm_parity_ok(&f->parity))
        return fvlm_fail(err, FVLM_MISMATCH, "\"%s\": out of the bounds stated for %s", path,
                         fvlm_grade_name(f->parity.grade));
    return FVLM_OK;
}

static fvlm_status run(const char *path, fvlm_err *err)
{
    findings f = {0};
    fvlm_reader *r;
    fvlm_status st = fvlm_reader_open(&r, path, err);
    if (st) return st;
    st = check_hashes(r, &f.hashed, &f.integers, err);
    if (st == FVLM_OK && args.against) st = against_source(r, &f, err);
    if (st == FVLM_OK && args.activations) st = against_activations(path, &f, err);
    st = fvlm_reader_check_unchanged(r, st, err); /* no verdict, good or bad, on a file that changed meanwhile */
    fvlm_reader_close(&r);
    if (st == FVLM_OK) st = print(path, &f, err);
    if (st == FVLM_OK) st = verdict(path, &f, err);
    fvlm_parity_free(&f.parity);
    return st;
}

int fvlm_cmd_verify(int argc, char **argv)
{
    fvlm_err err = {0};
    fvlm_cli_list positional = {0};
    bool help = false;
    fvlm_status st = fvlm_cli_parse(&fvlm_verify_command, argc, argv, &positional, &help, &err);
    if (st == FVLM_OK && !help) {
        fvlm_signals_install();
        st = check_args(&positional, &err);
        if (st == FVLM_OK) st = run(positional.items[0], &err);
    }
    fvlm_cli_list_free(&positional);
    fvlm_cli_list_free(&args.images);
    if (st == FVLM_INTERRUPTED) fvlm_signals_reraise();
    return st ? fvlm_cli_complain(&err) : 0;
}
