/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_bench.c - fvlm bench: how long the parts of a first token take, at several picture
 * sizes, thread counts and activation modes; and what share of this CPU's own measured
 * peak that is. Random pixels, random text rows: only their number matters. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "format/cli/cli.h"
#include "format/base/json.h"
#include "reference/work.h"

#define MAX_RUNS 101
#define MAX_LIST 16
#define DECODED 16 /* tokens after the first */

static struct {
    const char *act, *cpu, *threads, *sizes;
    uint64_t runs, text;
    bool json;
} opt = {.runs = 3, .text = 24};

static const fvlm_cli_option options[] = {
    {"size", 0, "LIST", "picture sides, as 256,512,1024 (default: the model's)", .text = &opt.sizes},
    {"threads", 0, "LIST", "thread counts, as 1,2 (default: all)", .text = &opt.threads},
    {"act", 0, "LIST", "f32, int8 or both (default: int8 for a quantized model)", .text = &opt.act},
    {"text", 0, "N", "positions of the prompt besides the picture's (default 24)", .number = &opt.text},
    {"runs", 0, "N", "take the median of N runs, after one that does not count (default 3)", .number = &opt.runs},
    {"cpu", 0, "LEVEL", "use at most scalar, avx2, avx512, neon or dotprod", .text = &opt.cpu},
    {"json", 0, NULL, "print a JSON array, one object for a line", .flag = &opt.json},
    {0},
};

const fvlm_cli_command fvlm_bench_command = {
    "bench", "time a model: medians, the split of time to first token, % of peak", "MODEL", options,
    "fvlm bench fastvlm-int4.fvlm --threads 1,2 --size 256,512,1024\n"
    "fvlm bench fastvlm-int4.fvlm --act f32,int8 --runs 5 --json\n"};

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

/* Values that no kernel could take a short cut on. */
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
    if (!in->pixels.values || !in->features || !in->rows || !in->logits)
        return fvlm_fail(err, FVLM_NOMEM, "out of memory");
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
    if (st == FVLM_OK) st = fvlm_model_project(m, in->features, tokens, in->rows + opt.text * hidden, err);
    t[2] = fvlm_clock_seconds();
    fvlm_model_reset(m);
    if (st == FVLM_OK) st = fvlm_model_forward(m, in->rows, positions, false, in->logits, err);
    t[3] = fvlm_clock_seconds();
    for (size_t i = 0; i < DECODED && st == FVLM_OK; i++)
        st = fvlm_model_forward(m, in->rows, 1, false, in->logits, err);
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
    if (st == FVLM_OK) st = make_inputs(&in, m, l->side, err);
    for (size_t run = 0; run <= opt.runs && st == FVLM_OK; run++) {
        double times[4];
        st = pass(m, &in, tokens, times, err);
        if (run == 0) continue; /* faults the file in, allocates, warms up */
        for (int i = 0; i < 4; i++) all[i][run - 1] = times[i];
        all[4][run - 1] = times[0] + times[1] + times[2];
    }
    free_inputs(&in);
    if (st != FVLM_OK) return st;
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
    printf("%s, %s; medians of %" PRIu64
           " runs; %% of the peak that a loop of multiply-adds in registers reaches here\n\n",
           fvlm_reader_path(m->reader), fvlm_exec_cpu(m->exec), opt.runs);
    printf(
        "threads  act    size  tokens    vision  projector   prefill      TTFT    decode   peak GMAC/s  vision  prefill"
        "   decode reads\n");
}

static void print_line(const line *l)
{
    printf("%7u  %-4s %6" PRIu32
           " %7zu %6.1f ms  %6.1f ms %6.1f ms %6.1f ms %5.1f t/s %13.1f %5.0f %% %6.0f %% %8.1f GB/s\n",
           l->threads, fvlm_act_name(l->act), l->side, l->positions, l->vision * 1e3, l->projector * 1e3,
           l->prefill * 1e3, l->ttft * 1e3, 1 / l->decode, l->peak * 1e-9, 100 * l->vision_rate / l->peak,
           100 * l->prefill_rate / l->peak, l->decode_bandwidth * 1e-9);
    fflush(stdout);
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

/* ---- lists on the command line ---- */

typedef struct {
    uint32_t items[MAX_LIST];
    size_t n;
} numbers;

static fvlm_status parse_numbers(numbers *out, const char *option, const char *text, fvlm_err *err)
{
    out->n = 0;
    for (const char *p = text; p; p = *p ? p + 1 : NULL) {
        char *end = NULL;
        const unsigned long x = *p >= '0' && *p <= '9' ? strtoul(p, &end, 10) : 0;
        if (!end || (*end != ',' && *end != '\0') || (*end == ',' && end[1] == '\0') || x < 1 || x > UINT32_MAX)
            return fvlm_fail(err, FVLM_USAGE, "--%s \"%s\": should be numbers with commas, as 1,2", option, text);
        if (out->n == MAX_LIST) return fvlm_fail(err, FVLM_USAGE, "--%s: at most %d numbers", option, MAX_LIST);
        out->items[out->n++] = (uint32_t)x;
        p = end;
    }
    return FVLM_OK;
}

typedef struct {
    numbers threads, sizes;
    const char *acts[2]; /* NULL: by the file */
    size_t n_acts;
} plan;

static fvlm_status make_plan(plan *p, fvlm_err *err)
{
    fvlm_status st = parse_numbers(&p->threads, "threads", opt.threads, err);
    if (st == FVLM_OK) st = parse_numbers(&p->sizes, "size", opt.sizes, err);
    if (st != FVLM_OK) return st;
    for (size_t i = 0; i < p->threads.n; i++)
        if (p->threads.items[i] > 64)
            return fvlm_fail(err, FVLM_USAGE, "--threads %u: should be at most 64", p->threads.items[i]);
    if (!p->threads.n) p->threads.n = 1; /* {0}: all */
    if (opt.runs < 1 || opt.runs > MAX_RUNS)
        return fvlm_fail(err, FVLM_USAGE, "--runs %" PRIu64 ": should be 1 to %d", opt.runs, MAX_RUNS);
    if (opt.text < 1 || opt.text > 8192)
        return fvlm_fail(err, FVLM_USAGE, "--text %" PRIu64 ": should be 1 to 8192", opt.text);
    static const char *const both[] = {"f32", "int8"};
    p->n_acts = 1;
    p->acts[0] = opt.act;
    if (opt.act && (strcmp(opt.act, "f32,int8") == 0 || strcmp(opt.act, "int8,f32") == 0)) {
        memcpy(p->acts, both, sizeof both);
        p->n_acts = 2;
    }
    return FVLM_OK;
}

/* ---- the command ---- */

static fvlm_status bench_model(const char *path, const plan *p, unsigned threads, const char *act, json_t **report,
                               fvlm_err *err)
{
    fvlm_model *m = NULL;
    fvlm_model_options o = {.threads = threads, .cpu = opt.cpu};
    fvlm_status st = fvlm_model_options_act(&o, act, err);
    if (st == FVLM_OK) st = fvlm_model_open(&m, path, &o, err);
    if (st != FVLM_OK) return st;
    if (json_array_size(*report) == 0 && !opt.json) print_heading(m);
    const size_t n_sizes = p->sizes.n ? p->sizes.n : 1;
    line l = {.threads = fvlm_pool_threads(fvlm_exec_pool(m->exec)), .act = fvlm_exec_mode(m->exec)};
    l.peak = fvlm_exec_peak(m->exec);
    for (size_t i = 0; i < n_sizes && st == FVLM_OK; i++) {
        l.side = p->sizes.n ? p->sizes.items[i] : m->config->vision.image_size;
        st = fvlm_model_check_side(m, l.side, err);
        if (st == FVLM_OK) st = fvlm_reader_check_unchanged(m->reader, measure(m, &l, err), err);
        if (st != FVLM_OK) break;
        fvlm_json_append(report, line_json(&l, fvlm_exec_cpu(m->exec)));
        if (!opt.json) print_line(&l);
    }
    fvlm_model_close(&m);
    return st;
}

static fvlm_status bench(const fvlm_cli_list *args, fvlm_err *err)
{
    plan p = {0};
    if (args->n != 1) return fvlm_fail(err, FVLM_USAGE, "bench takes one model; try 'fvlm bench --help'");
    fvlm_status st = make_plan(&p, err);
    json_t *report = json_array();
    for (size_t t = 0; t < p.threads.n && st == FVLM_OK; t++)
        for (size_t a = 0; a < p.n_acts && st == FVLM_OK; a++)
            st = bench_model(args->items[0], &p, p.threads.items[t], p.acts[a], &report, err);
    if (st == FVLM_OK && !report) st = fvlm_fail(err, FVLM_NOMEM, "not enough memory for the report");
    if (st == FVLM_OK && opt.json && json_dumpf(report, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) == 0)
        printf("\n");
    json_decref(report);
    if (st == FVLM_OK && (fflush(stdout) != 0 || ferror(stdout))) st = fvlm_fail_errno(err, "cannot write to stdout");
    return st;
}

int fvlm_cmd_bench(int argc, char **argv)
{
    fvlm_cli_list args = {0};
    fvlm_err err;
    bool help;
    fvlm_status st = fvlm_cli_parse(&fvlm_bench_command, argc, argv, &args, &help, &err);
    if (st == FVLM_OK && !help) {
        fvlm_signals_install();
        st = bench(&args, &err);
    }
    fvlm_cli_list_free(&args);
    if (st == FVLM_INTERRUPTED) fvlm_signals_reraise();
    return st == FVLM_OK ? 0 : fvlm_cli_complain(&err);
}
