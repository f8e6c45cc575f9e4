/* cmd_verify.c - fvlm verify: hashes of a file; a model beside its source; a model beside activations from PyTorch. */
#include <stdio.h>
#include <string.h>

#include "format/cli.h"
#include "verify/against.h"
#include "verify/parity_report.h"

static struct {
    const char *against, *activations, *prompt, *act, *cpu;
    fvlm_list images;
    uint64_t tokens, size, threads;
    bool json, quiet;
} args = {.tokens = 16};

static const fvlm_option options[] = {
    {"against", 0, "SOURCE", "compare with the checkpoint folder or .fvlm file it was made from",
     .text = &args.against},
    {"image", 0, "FILE", "picture to run both on; may be given again", .list = &args.images},
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

const fvlm_command fvlm_verify_command = {
    .name = "verify",
    .summary = "check every byte of a .fvlm file, or its outputs against where it came from",
    .positional = "MODEL.fvlm",
    .options = options,
    .examples = "  fvlm verify fastvlm-int4.fvlm\n"
                "  fvlm verify fastvlm-int4.fvlm --against FastVLM-0.5B/ --image photo.jpg\n",
};

static fvlm_status check_args(const fvlm_list *positional, fvlm_err *err)
{
    const bool compares = args.against || args.activations;
    if (positional->n != 1)
        return fvlm_fail(err, FVLM_USAGE, "verify: expected one model, got %zu; try 'fvlm verify --help'",
                         positional->n);
    if (args.against && args.activations)
        return fvlm_fail(err, FVLM_USAGE, "verify: --against and --against-activations exclude each other");
    if (args.against && !args.images.n)
        return fvlm_fail(err, FVLM_USAGE, "verify: --against needs a picture to run both on; give --image FILE");
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
static fvlm_status check_hashes(const char *path, fvlm_hashed *out, bool *integers, fvlm_err *err)
{
    fvlm_reader *r;
    fvlm_pool *pool = NULL;
    fvlm_progress progress;
    fvlm_status st = fvlm_reader_open(&r, path, err);
    if (st) return st;
    st = fvlm_pool_create(&pool, (unsigned)args.threads, err);
    const double started = fvlm_seconds();
    if (st == FVLM_OK) {
        fvlm_progress_start(&progress, "verify", args.quiet || args.json);
        st = fvlm_reader_verify(r, pool, fvlm_progress_update, &progress, err);
        fvlm_progress_end(&progress);
    }
    *out = (fvlm_hashed){fvlm_reader_n_tensors(r), fvlm_reader_file_bytes(r), fvlm_seconds() - started};
    *integers = false;
    for (size_t i = 0; i < out->n_tensors; i++) *integers |= fvlm_reader_tensor(r, i)->type.kind == FVLM_INT;
    fvlm_pool_destroy(&pool);
    fvlm_reader_close(&r);
    return st;
}

static void choose_acts(fvlm_parity_options *o, bool integers)
{
    const char *act = args.act ? args.act : integers ? "both" : "f32";
    if (strcmp(act, "int8")) o->acts[o->n_acts++] = FVLM_ACT_F32;
    if (strcmp(act, "f32")) o->acts[o->n_acts++] = FVLM_ACT_INT8;
}

static fvlm_status compare(const char *model, bool integers, fvlm_parity *out, fvlm_err *err)
{
    fvlm_progress progress;
    fvlm_against against = {.fd = -1};
    fvlm_recorded *recorded = NULL;
    fvlm_parity_options o = {.model = model,
                             .images = args.images.items,
                             .n_images = args.images.n,
                             .prompt = args.prompt ? args.prompt : "Describe the image.",
                             .side = (uint32_t)args.size,
                             .tokens = (uint32_t)args.tokens,
                             .threads = (unsigned)args.threads,
                             .cpu = args.cpu,
                             .progress = fvlm_progress_update,
                             .progress_ctx = &progress};
    fvlm_status st;
    choose_acts(&o, integers);
    if (args.activations) {
        st = fvlm_recorded_open(&recorded, args.activations, err);
        o.recorded = recorded;
    } else {
        fvlm_progress_start(&progress, "convert", args.quiet || args.json);
        st = fvlm_against_open(&against, args.against, (unsigned)args.threads, fvlm_progress_update, &progress, err);
        fvlm_progress_end(&progress);
        o.source = against.path;
    }
    if (st == FVLM_OK && against.n_bytes && !args.quiet && !args.json) {
        char size[16];
        printf("%s was converted for this into %s of temporary space in %s\n", args.against,
               fvlm_human_bytes(against.n_bytes, size), against.folder);
    }
    if (st == FVLM_OK) {
        fvlm_progress_start(&progress, "compare", args.quiet || args.json);
        st = fvlm_parity_run(out, &o, err);
        fvlm_progress_end(&progress);
    }
    fvlm_against_close(&against);
    fvlm_recorded_close(&recorded);
    return st;
}

static fvlm_status print(const char *path, const fvlm_hashed *h, const fvlm_parity *p, fvlm_err *err)
{
    if (args.json) {
        json_t *report = fvlm_report_json(path, h, args.against ? args.against : args.activations, p);
        if (!report) return fvlm_fail(err, FVLM_NOMEM, "out of memory for the report");
        json_dumpf(report, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
        putchar('\n');
        json_decref(report);
    } else if (!args.quiet && p) {
        printf("%s beside %s\n", path, args.against ? args.against : args.activations);
        fvlm_report_parity(p);
    } else if (!args.quiet) {
        fvlm_report_hashes(path, h);
    }
    return fflush(stdout) ? fvlm_fail_errno(err, "standard output") : FVLM_OK;
}

static fvlm_status run(const char *path, fvlm_err *err)
{
    fvlm_hashed hashed;
    fvlm_parity parity = {0};
    bool integers;
    const bool compares = args.against || args.activations;
    fvlm_status st = check_hashes(path, &hashed, &integers, err);
    if (st == FVLM_OK && compares) st = compare(path, integers, &parity, err);
    if (st == FVLM_OK) st = print(path, &hashed, compares ? &parity : NULL, err);
    if (st == FVLM_OK && compares && !fvlm_parity_ok(&parity))
        st = fvlm_fail(err, FVLM_MISMATCH, "\"%s\": out of the bounds stated for %s", path,
                       fvlm_grade_name(parity.grade));
    fvlm_parity_free(&parity);
    return st;
}

int fvlm_cmd_verify(int argc, char **argv)
{
    fvlm_err err = {0};
    fvlm_list positional = {0};
    bool help = false;
    fvlm_status st = fvlm_cli_parse(&fvlm_verify_command, argc, argv, &positional, &help, &err);
    if (st == FVLM_OK && !help) {
        fvlm_signals_install();
        st = check_args(&positional, &err);
        if (st == FVLM_OK) st = run(positional.items[0], &err);
    }
    fvlm_list_free(&positional);
    fvlm_list_free(&args.images);
    if (st == FVLM_INTERRUPTED) fvlm_signals_reraise();
    return st ? fvlm_cli_complain(&err) : 0;
}
