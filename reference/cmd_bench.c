/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_bench.c - `fvlm bench`: times the parts of a first token at several image sizes, thread counts and activation
 * types, and relates them to this CPU's measured peak. */
#include <inttypes.h>
#include <string.h>

#include "format/base/json.h"
#include "format/cli/cli.h"
#include "format/cli/print_json.h"
#include "format/cli/terminal.h"
#include "reference/bench.h"

#define MAX_RUNS 1000

static struct {
    const char *act, *cpu, *image, *prompt, *picture, *tiles;
    fvlm_cli_numbers threads, sizes;
    uint64_t runs, text;
    bool json, quiet;
} opt = {.runs = 5};

static const fvlm_cli_option options[] = {
    {.name = "image",
     .arg = "FILE",
     .help = "a picture; with it, time to first token is measured, from the picture's bytes on",
     .preset = "random pixels",
     .text = &opt.image},
    FVLM_CLI_PICTURE(&opt.picture),
    {.name = "prompt",
     .arg = "TEXT",
     .help = "the question about the picture",
     .preset = "\"Describe the picture.\"",
     .text = &opt.prompt},
    {.name = "text",
     .arg = "N",
     .help = "without --image: positions of the prompt besides the image's",
     .preset = "24",
     .min = 1,
     .max = 8192,
     .number = &opt.text},
    {.name = "size",
     .arg = "LIST",
     .help = "sides of the image or of a tile, multiples of 64, such as 512,1024",
     .min = 64,
     .max = FVLM_MAX_SIDE,
     .preset = "the model's",
     .numbers = &opt.sizes},
    {.name = "tiles",
     .arg = "CxR",
     .help = "with --image: see C x R tiles of it, too, such as 2x2; or off",
     .preset = "the model's",
     .text = &opt.tiles},
    {.name = "act",
     .arg = "MODE",
     .help = "type of activations",
     .choices = "f32|int8|both",
     .preset = "int8 for a quantized model",
     .text = &opt.act},
    {.name = "runs",
     .arg = "N",
     .help = "runs to time, after one that warms up; 10 give a 90th percentile, 100 a 99th",
     .min = 1,
     .max = MAX_RUNS,
     .number = &opt.runs},
    FVLM_CLI_JSON(&opt.json),
    FVLM_CLI_QUIET(&opt.quiet),
    {.name = "threads",
     .arg = "LIST",
     .help = "numbers of threads such as 1,2",
     .preset = "all cores",
     .max = FVLM_MAX_THREADS,
     .capped = true,
     .numbers = &opt.threads},
    FVLM_CLI_CPU(&opt.cpu),
    {0},
};

/* ---- what is printed ---- */

static void print_heading(const fvlm_model *m, const fvlm_bench_options *o)
{
    fvlm_terminal_print(stdout, "%s with %s kernels; %zu run%s after one to warm up\n", fvlm_reader_path(m->reader),
                        fvlm_exec_cpu(m->exec), o->runs, o->runs == 1 ? "" : "s");
    const bool has_llm = fvlm_config_has_llm(m->config);
    if (o->image && has_llm)
        fvlm_terminal_print(stdout, "picture %s, prompt \"%s\"\n", o->image, o->prompt);
    else if (o->image)
        fvlm_terminal_print(stdout, "picture %s; there is no language model\n", o->image);
    else if (!has_llm)
        puts("random pixels; there is no language model");
    else
        puts("random pixels; give --image FILE for the time to first token, which begins with a picture's bytes");
}

/* What follows the times of a part: rates at the median. */
static void print_remark(const fvlm_bench_line *l, fvlm_bench_part part, double peak)
{
    if (part == FVLM_BENCH_VISION)
        printf("   %.0f %% of the peak of %.1f GMAC/s", 100 * l->vision_rate / peak, peak * 1e-9);
    if (part == FVLM_BENCH_PREFILL) printf("   %.0f %% of the peak", 100 * l->prefill_rate / peak);
    if (part == FVLM_BENCH_TTFT) printf("   from the picture's bytes to the first token");
    if (part == FVLM_BENCH_DECODE)
        printf("   a token: %.1f tokens/s, %.1f GB/s of weights", 1 / l->seconds[part][FVLM_BENCH_MEDIAN],
               l->decode_bandwidth * 1e-9);
}

static void print_line(const fvlm_model *m, const fvlm_bench_line *l, const fvlm_bench_options *o, double peak)
{
    static const char *const labels[] = {"image", "vision", "projector", "prefill", "TTFT", "decode"};
    static const char *const heads[] = {"min", "median", "90 %", "99 %"};
    printf("\n%s activations, %u thread%s, ", fvlm_act_name(l->act), l->threads, l->threads == 1 ? "" : "s");
    if (l->squares > 1) printf("overview and %zu tiles of ", l->squares - 1);
    printf("%" PRIu32 " x %" PRIu32 " pixels, %zu positions (%zu of the image)\n%-10s", l->side, l->side, l->positions,
           l->image_tokens, "");
    for (fvlm_bench_quantile q = 0; q < FVLM_BENCH_QUANTILES; q++)
        if (fvlm_bench_has_quantile(o, q)) printf(" %11s", heads[q]);
    putchar('\n');
    for (fvlm_bench_part i = 0; i < FVLM_BENCH_PARTS; i++) {
        if (!fvlm_bench_has_part(m, o, i)) continue;
        printf("%-10s", labels[i]);
        for (fvlm_bench_quantile q = 0; q < FVLM_BENCH_QUANTILES; q++)
            if (fvlm_bench_has_quantile(o, q)) printf(" %8.2f ms", l->seconds[i][q] * 1e3);
        print_remark(l, i, peak);
        putchar('\n');
    }
}

static void set_seconds(json_t **line, const char *key, const fvlm_model *m, const fvlm_bench_line *l,
                        const fvlm_bench_options *o, fvlm_bench_quantile q)
{
    static const char *const parts[] = {"image", "vision", "projector", "prefill", "ttft", "decode_token"};
    json_t *seconds = json_object();
    if (!fvlm_bench_has_quantile(o, q)) {
        json_decref(seconds);
        return;
    }
    for (fvlm_bench_part i = 0; i < FVLM_BENCH_PARTS; i++)
        if (fvlm_bench_has_part(m, o, i)) fvlm_json_set(&seconds, parts[i], json_real(l->seconds[i][q]));
    fvlm_json_set(line, key, seconds);
}

static json_t *line_json(const fvlm_model *m, const fvlm_bench_line *l, const fvlm_bench_options *o, double peak)
{
    const bool has_llm = fvlm_config_has_llm(m->config);
    json_t *line = json_pack("{s:s, s:i, s:s, s:i, s:i, s:i, s:I}", "cpu", l->cpu, "threads", (int)l->threads,
                             "activations", fvlm_act_name(l->act), "size", (int)l->side, "image_tokens",
                             (int)l->image_tokens, "positions", (int)l->positions, "runs", (json_int_t)o->runs);
    if (o->image) fvlm_json_set(&line, "image", fvlm_json_lossy_string(o->image));
    if (l->squares > 1) fvlm_json_set(&line, "tiles", json_integer((json_int_t)l->squares - 1));
    if (o->image && has_llm) fvlm_json_set(&line, "prompt", fvlm_json_lossy_string(o->prompt));
    set_seconds(&line, "seconds", m, l, o, FVLM_BENCH_MEDIAN);
    set_seconds(&line, "seconds_min", m, l, o, FVLM_BENCH_MIN);
    set_seconds(&line, "seconds_p90", m, l, o, FVLM_BENCH_P90);
    set_seconds(&line, "seconds_p99", m, l, o, FVLM_BENCH_P99);
    fvlm_json_set(&line, "peak_macs_per_second", json_real(peak));
    fvlm_json_set(&line, "vision_of_peak", json_real(l->vision_rate / peak));
    fvlm_json_set(&line, "activation_bytes", json_integer((json_int_t)l->memory));
    if (!has_llm) return line;
    fvlm_json_set(&line, "decode_tokens_per_second", json_real(1 / l->seconds[FVLM_BENCH_DECODE][FVLM_BENCH_MEDIAN]));
    fvlm_json_set(&line, "decode_bytes_per_second", json_real(l->decode_bandwidth));
    fvlm_json_set(&line, "prefill_of_peak", json_real(l->prefill_rate / peak));
    return line;
}

/* ---- the command ---- */

/* A model's lines, one for each size. */
static fvlm_status bench_sizes(fvlm_model *m, const fvlm_bench_options *o, json_t **report, fvlm_err *err)
{
    fvlm_bench_line lines[FVLM_CLI_MAX_NUMBERS];
    const fvlm_cli_numbers own = {.items = {m->config->vision.image_size}, .n = 1},
                           *sizes = opt.sizes.n ? &opt.sizes : &own;
    fvlm_status st = fvlm_bench_plan(lines, sizes->items, sizes->n, m, o, err);
    const double peak = st ? 0 : fvlm_exec_peak(m->exec);
    for (size_t i = 0; i < sizes->n && !st; i++) {
        st = fvlm_reader_check_unchanged(m->reader, fvlm_bench_measure(&lines[i], m, o, err), err);
        if (st) break;
        if (json_array_size(*report) == 0 && !opt.json && !opt.quiet) print_heading(m, o);
        fvlm_json_append(report, line_json(m, &lines[i], o, peak));
        if (opt.json || opt.quiet) continue;
        print_line(m, &lines[i], o, peak);
        st = fvlm_cli_flush(st, err);
    }
    return st;
}

static fvlm_status bench_model(const char *path, unsigned threads, const char *act, json_t **report, fvlm_err *err)
{
    fvlm_model *m = NULL;
    fvlm_model_options model = {.threads = threads, .cpu = opt.cpu, .stop = fvlm_cli_stop()};
    fvlm_bench_options o = {.image = opt.image,
                            .picture = fvlm_picture_named(opt.picture),
                            .prompt = opt.prompt ? opt.prompt : "Describe the picture.",
                            .text = opt.text ? opt.text : 24,
                            .runs = opt.runs};
    fvlm_status st = fvlm_model_options_act(&model, act, err);
    if (!st && opt.tiles) st = fvlm_tiling_parse(&o.tiling, opt.tiles, err);
    if (!st) st = fvlm_model_open(&m, path, &model, err);
    if (!st && !fvlm_config_has_llm(m->config) && (opt.prompt || opt.text))
        st = fvlm_fail(err, FVLM_USAGE, "--prompt and --text: \"%s\" has no language model; leave them out", path);
    if (!st) st = bench_sizes(m, &o, report, err);
    fvlm_model_close(&m);
    return st;
}

static fvlm_status run(const fvlm_cli_list *args, fvlm_err *err)
{
    const bool both = opt.act && !strcmp(opt.act, "both");
    const char *const acts[] = {both ? "f32" : opt.act, "int8"};
    if (opt.prompt && !opt.image)
        return fvlm_fail(err, FVLM_USAGE,
                         "--prompt needs --image FILE; without a picture, --text N sets the prompt's length");
    if (opt.image && !strcmp(opt.image, "-"))
        return fvlm_fail(err, FVLM_USAGE, "--image -: every run reads the picture again; give a file");
    if (opt.image && !strcmp(opt.image, "none"))
        return fvlm_fail(err, FVLM_USAGE, "--image none: leave out --image to time random pixels");
    if (opt.tiles && !opt.image)
        return fvlm_fail(err, FVLM_USAGE, "--tiles needs --image FILE; random pixels are one square");
    if (opt.picture && !opt.image) return fvlm_fail(err, FVLM_USAGE, "--picture needs --image FILE");
    if (opt.text && opt.image)
        return fvlm_fail(err, FVLM_USAGE, "with --image the prompt has the length of --prompt; leave out --text");
    fvlm_status st = FVLM_OK;
    json_t *report = json_array();
    if (!opt.threads.n) opt.threads.n = 1; /* {0}: all */
    for (size_t t = 0; t < opt.threads.n; t++)
        for (size_t a = 0; a < 1u + both && !st; a++)
            st = bench_model(args->items[0], opt.threads.items[t], acts[a], &report, err);
    if (!st && opt.json) return fvlm_cli_print_json(report, err);
    json_decref(report);
    return st;
}

const fvlm_cli_command fvlm_bench_command = {
    .name = "bench",
    .summary = "time a model: time to first token and its parts, share of the CPU's peak",
    .args = "MODEL.fvlm",
    .min_args = 1,
    .max_args = 1,
    .options = options,
    .examples = "fvlm bench fastvlm-int4.fvlm --image photo.jpg --runs 10\n"
                "fvlm bench fastvlm-int4.fvlm --threads 1,2 --size 512,1024 --act both --json\n",
    .run = run,
};
