/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_bench.c - `fvlm bench`: times the parts of a first token at several image sizes, thread counts and activation
 * types, and relates them to this CPU's measured peak. Pixels and text rows are random: only their number matters. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/clock.h"
#include "format/base/json.h"
#include "format/cli/cli.h"
#include "format/cli/print_json.h"
#include "format/cli/terminal.h"
#include "reference/work.h"

#define MAX_RUNS 101
#define DECODED 16 /* tokens after the first */

static struct {
    const char *act, *cpu;
    fvlm_cli_numbers threads, sizes;
    uint64_t runs, text;
    bool json, quiet;
} opt = {.runs = 3, .text = 24};

static const fvlm_cli_option options[] = {
    {.name = "size",
     .arg = "LIST",
     .help = "sides of the image, multiples of 64, such as 512,1024",
     .min = 64,
     .max = 4096,
     .preset = "the model's",
     .numbers = &opt.sizes},
    {.name = "act",
     .arg = "MODE",
     .help = "type of activations",
     .choices = "f32|int8|both",
     .preset = "int8 for a quantized model",
     .text = &opt.act},
    {.name = "text",
     .arg = "N",
     .help = "positions of the prompt besides the image's",
     .min = 1,
     .max = 8192,
     .number = &opt.text},
    {.name = "runs",
     .arg = "N",
     .help = "report the median of N runs, after one that warms up",
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

/* ---- one line of the table ---- */

typedef struct {
    unsigned threads;
    fvlm_act_mode act;
    uint32_t side;
    size_t positions;
    double vision, projector, prefill, ttft, decode; /* median seconds; decode of one token */
    double vision_rate, prefill_rate, peak;          /* multiply-adds a second */
    double decode_bandwidth;                         /* bytes of weights a second */
    size_t memory;                                   /* bytes of activations and cache */
} line;

typedef struct {
    fvlm_pixels pixels;
    float *features, *rows, *logits;
} inputs;

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *x, size_t n)
{
    qsort(x, n, sizeof *x, ascending);
    return n % 2 ? x[n / 2] : (x[n / 2 - 1] + x[n / 2]) / 2;
}

static void free_inputs(inputs *in)
{
    fvlm_pixels_free(&in->pixels);
    free(in->features);
    free(in->rows);
    free(in->logits);
}

/* Values that leave no kernel a shortcut. */
static void fill(float *x, size_t n, float low, float high)
{
    uint32_t state = 1;
    for (size_t i = 0; i < n; i++) {
        state = state * 1664525u + 1013904223u;
        x[i] = low + (high - low) * ((float)(state >> 8) * 0x1p-24f);
    }
}

static fvlm_status make_inputs(inputs *in, const fvlm_model *m, uint32_t side, fvlm_err *err)
{
    const fvlm_config *c = m->config;
    const size_t tokens = fvlm_model_image_tokens(c, side), positions = tokens + opt.text,
                 n_pixels = (size_t)side * side * 3;
    in->pixels = (fvlm_pixels){.side = side, .values = fvlm_alloc(n_pixels, sizeof(float))};
    in->features = fvlm_alloc(tokens * c->vision.out_dim, sizeof(float));
    in->rows = fvlm_alloc(positions * c->llm.hidden, sizeof(float));
    in->logits = fvlm_alloc(c->llm.vocab, sizeof(float));
    if (!in->pixels.values || !in->features || !in->rows || !in->logits) return fvlm_fail_nomem(err);
    fill(in->pixels.values, n_pixels, 0, 1);
    fill(in->rows, positions * c->llm.hidden, -0.05f, 0.05f);
    return FVLM_OK;
}

/* times: vision, projector, prefill, decode of one token */
static fvlm_status pass(fvlm_model *m, inputs *in, size_t tokens, double times[4], fvlm_err *err)
{
    const size_t hidden = m->config->llm.hidden, positions = tokens + opt.text;
    double t[5];
    t[0] = fvlm_clock_seconds();
    fvlm_status st = fvlm_model_tower(m, &in->pixels, in->features, err);
    t[1] = fvlm_clock_seconds();
    if (!st) st = fvlm_model_project(m, in->features, tokens, in->rows + opt.text * hidden, err);
    t[2] = fvlm_clock_seconds();
    fvlm_model_reset(m);
    if (!st) st = fvlm_model_forward(m, in->rows, positions, false, in->logits, err);
    t[3] = fvlm_clock_seconds();
    for (size_t i = 0; i < DECODED && !st; i++) st = fvlm_model_forward(m, in->rows, 1, false, in->logits, err);
    t[4] = fvlm_clock_seconds();
    for (int i = 0; i < 4; i++) times[i] = t[i + 1] - t[i];
    times[3] /= DECODED;
    return st;
}

static fvlm_status measure(fvlm_model *m, line *l, fvlm_err *err)
{
    const size_t tokens = fvlm_model_image_tokens(m->config, l->side);
    double all[5][MAX_RUNS];
    inputs in = {0};
    l->positions = tokens + opt.text;
    fvlm_status st = fvlm_model_reserve(m, l->positions, l->positions + DECODED, err);
    if (!st) st = make_inputs(&in, m, l->side, err);
    for (size_t run = 0; run <= opt.runs && !st; run++) {
        double times[4];
        st = pass(m, &in, tokens, times, err);
        if (run == 0) continue; /* maps the file in, allocates, warms up */
        for (int i = 0; i < 4; i++) all[i][run - 1] = times[i];
        all[4][run - 1] = times[0] + times[1] + times[2];
    }
    free_inputs(&in);
    if (st) return st;
    l->vision = median(all[0], opt.runs);
    l->projector = median(all[1], opt.runs);
    l->prefill = median(all[2], opt.runs);
    l->decode = median(all[3], opt.runs);
    l->ttft = median(all[4], opt.runs);
    l->vision_rate = fvlm_work_tower_macs(m, l->side) / l->vision;
    l->prefill_rate = fvlm_work_prefill_macs(m, (double)l->positions) / l->prefill;
    l->decode_bandwidth = fvlm_work_decode_bytes(m) / l->decode;
    l->memory = fvlm_model_memory_bytes(m);
    return FVLM_OK;
}

/* ---- what is printed ---- */

static void print_heading(const fvlm_model *m)
{
    fvlm_terminal_print(stdout,
                        "%s with %s kernels; medians of %" PRIu64
                        " runs; %% of the peak rate of multiply-adds in registers, measured here\n",
                        fvlm_reader_path(m->reader), fvlm_exec_cpu(m->exec), opt.runs);
    printf("\nthreads  act    size  tokens    vision  projector   prefill      TTFT    decode   peak GMAC/s  vision  "
           "prefill"
           "   decode reads\n");
}

static void print_line(const line *l)
{
    printf("%7u  %-4s %6" PRIu32
           " %7zu %6.1f ms  %6.1f ms %6.1f ms %6.1f ms %5.1f t/s %13.1f %5.0f %% %6.0f %% %8.1f GB/s\n",
           l->threads, fvlm_act_name(l->act), l->side, l->positions, l->vision * 1e3, l->projector * 1e3,
           l->prefill * 1e3, l->ttft * 1e3, 1 / l->decode, l->peak * 1e-9, 100 * l->vision_rate / l->peak,
           100 * l->prefill_rate / l->peak, l->decode_bandwidth * 1e-9);
}

static json_t *line_json(const line *l, const char *cpu)
{
    return json_pack("{s:s, s:i, s:s, s:i, s:i, s:i, s:{s:f, s:f, s:f, s:f, s:f}, s:f, s:f, s:f, s:f, s:f, s:I}", "cpu",
                     cpu, "threads", (int)l->threads, "activations", fvlm_act_name(l->act), "size", (int)l->side,
                     "positions", (int)l->positions, "runs", (int)opt.runs, "seconds", "vision", l->vision, "projector",
                     l->projector, "prefill", l->prefill, "ttft", l->ttft, "decode_token", l->decode,
                     "decode_tokens_per_second", 1 / l->decode, "decode_bytes_per_second", l->decode_bandwidth,
                     "peak_macs_per_second", l->peak, "vision_of_peak", l->vision_rate / l->peak, "prefill_of_peak",
                     l->prefill_rate / l->peak, "activation_bytes", (json_int_t)l->memory);
}

/* ---- the command ---- */

static fvlm_status bench_model(const char *path, unsigned threads, const char *act, json_t **report, fvlm_err *err)
{
    fvlm_model *m = NULL;
    fvlm_model_options o = {.threads = threads, .cpu = opt.cpu, .stop = fvlm_cli_stop()};
    fvlm_status st = fvlm_model_options_act(&o, act, err);
    if (!st) st = fvlm_model_open(&m, path, &o, err);
    if (st) return st;
    if (json_array_size(*report) == 0 && !opt.json && !opt.quiet) print_heading(m);
    const size_t n_sizes = opt.sizes.n ? opt.sizes.n : 1;
    line l = {.threads = fvlm_pool_threads(fvlm_exec_pool(m->exec)), .act = fvlm_exec_mode(m->exec)};
    l.peak = fvlm_exec_peak(m->exec);
    for (size_t i = 0; i < n_sizes && !st; i++) {
        l.side = opt.sizes.n ? opt.sizes.items[i] : m->config->vision.image_size;
        st = fvlm_model_check_side(m, l.side, err);
        if (!st) st = fvlm_reader_check_unchanged(m->reader, measure(m, &l, err), err);
        if (st) break;
        fvlm_json_append(report, line_json(&l, fvlm_exec_cpu(m->exec)));
        if (opt.json || opt.quiet) continue;
        print_line(&l);
        st = fvlm_cli_flush(st, err);
    }
    fvlm_model_close(&m);
    return st;
}

static fvlm_status run(const fvlm_cli_list *args, fvlm_err *err)
{
    const bool both = opt.act && !strcmp(opt.act, "both");
    const char *const acts[] = {both ? "f32" : opt.act, "int8"};
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
    .summary = "time a model: medians, parts of the time to first token, share of the CPU's peak",
    .args = "MODEL.fvlm",
    .min_args = 1,
    .max_args = 1,
    .options = options,
    .examples = "fvlm bench fastvlm-int4.fvlm --threads 1,2 --size 512,1024\n"
                "fvlm bench fastvlm-int4.fvlm --act both --runs 5 --json\n",
    .run = run,
};
