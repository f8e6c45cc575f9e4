/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_run.c - `fvlm run`: streams an answer about an image, or prints its embedding, then what it cost. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "format/base/clock.h"
#include "format/base/json.h"
#include "format/base/memory.h"
#include "format/cli/cli.h"
#include "format/cli/print_json.h"
#include "format/cli/progress.h"
#include "format/cli/terminal.h"
#include "reference/cmd_run.h"

enum { MAX_TOKENS = 256 };

static struct {
    const char *act, *cpu, *picture, *output, *tiles;
    uint64_t threads, size, max_tokens, seed;
    double temperature, top_p;
    bool json, quiet, tokens_only, no_check, embedding, force;
} opt = {.max_tokens = MAX_TOKENS, .top_p = 1, .temperature = -1};

static const fvlm_cli_option options[] = {
    {.name = "max-tokens",
     .arg = "N",
     .help = "longest answer, in tokens",
     .min = 1,
     .max = 1e6,
     .number = &opt.max_tokens},
    {.name = "temperature",
     .arg = "T",
     .help = "0: greedy; above: draw from softmax(logits / T)",
     .max = 100,
     .preset = "0",
     .real = &opt.temperature},
    {.name = "top-p",
     .arg = "P",
     .help = "draw from the likeliest tokens of total probability P",
     .min = 1e-6,
     .max = 1,
     .real = &opt.top_p},
    {.name = "seed",
     .arg = "N",
     .help = "seed of the draws; it gives the same answer on every machine",
     .preset = "0",
     .number = &opt.seed},
    {.name = "size",
     .arg = "PIXELS",
     .help = "side of image or tile, a multiple of 64",
     .min = 64,
     .max = FVLM_MAX_SIDE,
     .preset = "the model's",
     .number = &opt.size},
    {.name = "tiles",
     .arg = "CxR",
     .help = "see C x R tiles of the image, too, such as 2x2; or off",
     .preset = "the model's",
     .text = &opt.tiles},
    FVLM_CLI_PICTURE(&opt.picture),
    {.name = "act",
     .arg = "MODE",
     .help = "type of activations",
     .choices = "f32|int8",
     .preset = "int8 for a quantized model",
     .text = &opt.act},
    {.name = "no-check", .help = "skip the model's checksums", .flag = &opt.no_check},
    {.name = "tokens-only", .help = "print the answer's token ids instead of its text", .flag = &opt.tokens_only},
    {.name = "embedding",
     .help = "print what the vision part makes of the image; leave out PROMPT",
     .flag = &opt.embedding},
    FVLM_CLI_OUTPUT(&opt.output),
    FVLM_CLI_FORCE(&opt.force),
    FVLM_CLI_JSON(&opt.json),
    FVLM_CLI_QUIET(&opt.quiet),
    FVLM_CLI_THREADS(&opt.threads),
    FVLM_CLI_CPU(&opt.cpu),
    {0},
};

/* Where the answer is streamed to, and the progress bar that ends when it begins. */
typedef struct {
    FILE *to;      /* NULL: nowhere */
    bool terminal; /* to is one */
    fvlm_progress bar;
    uint64_t done, blocks, text_blocks; /* of them, after the picture */
} screen;

static void show_text(void *ctx, const char *text, size_t n_bytes)
{
    screen *s = ctx;
    fvlm_progress_end(&s->bar);
    if (!s->to) return;
    if (s->terminal) fvlm_terminal_line_is(FVLM_LINE_TEXT);
    if (s->terminal)
        fvlm_terminal_write(s->to, text, n_bytes);
    else
        fwrite(text, 1, n_bytes, s->to);
    fvlm_err ignored; /* after a failure the work stops, and fvlm_cli_end reports it */
    if (s->to == stdout) fvlm_cli_flush(FVLM_OK, &ignored);
}

/* Tower blocks and layers cost about the same, so counting them gives a fair bar. */
static void show_progress(void *ctx, const char *name, const float *x, size_t rows, size_t cols)
{
    (void)x, (void)rows, (void)cols;
    screen *s = ctx;
    if (s->done >= s->blocks) return; /* the answer has begun */
    if (s->done < s->blocks - s->text_blocks && !strcmp(name, "llm.embed")) s->done = s->blocks - s->text_blocks;
    fvlm_progress_update(&s->bar, ++s->done, s->blocks);
    fvlm_memory_peak_anonymous_bytes();
}

/* A model that chooses among several tilings may take fewer squares than this; then the bar jumps. */
static void count_blocks(screen *s, const fvlm_config *c, const fvlm_tiling *t)
{
    const size_t side = opt.size ? opt.size : c->vision.image_size;
    size_t tiles = (size_t)t->columns * t->rows;
    for (uint32_t i = 0; i < c->tiles.n_sizes && !t->columns && !t->off; i++) {
        const size_t n = c->tiles.size[i][0] / side * (c->tiles.size[i][1] / side);
        if (n > tiles) tiles = n;
    }
    s->text_blocks = fvlm_model_count_blocks(c, 0);
    s->blocks = fvlm_model_count_blocks(c, 1 + tiles);
}

static const char *why_stopped(const fvlm_answer *a)
{
    return a->ended ? "end" : a->n_ids == opt.max_tokens ? "max-tokens" : "context";
}

static void tell_if_cut(const fvlm_answer *a)
{
    if (a->ended) return;
    fprintf(stderr, "fvlm: the answer was cut after %zu token%s; %s\n", a->n_ids, a->n_ids == 1 ? "" : "s",
            a->n_ids == opt.max_tokens ? "--max-tokens N allows more" : "the model's context is full");
}

static json_t *report(fvlm_model *m, const char *const *args, const char *text, size_t n_bytes, const fvlm_answer *a,
                      uint32_t side, double open_seconds)
{
    const fvlm_timing *t = &a->timing;
    json_t *list = json_array();
    for (size_t i = 0; i < a->n_ids; i++) fvlm_json_append(&list, json_integer(a->ids[i]));
    fvlm_exec *e = fvlm_model_exec(m);
    char notes[FVLM_PIXELS_NOTES_CHARS];
    json_t *all = json_pack(
        "{s:o, s:o, s:o, s:s%, s:o, s:b, s:s, s:s, s:s, s:i, s:i, s:s, s:s, s:{s:I, s:I, s:I}, "
        "s:{s:f, s:f, s:f, s:f, s:f, s:f, s:f}, s:f, s:I, s:I}",
        "model", fvlm_json_lossy_string(args[0]), "image", fvlm_json_lossy_string(args[1]), "prompt",
        fvlm_json_lossy_string(args[2]), "answer", text, n_bytes, "answer_ids", list, "ended", a->ended, "stopped",
        why_stopped(a), "activations", fvlm_act_name(fvlm_exec_mode(e)), "cpu", fvlm_exec_cpu(e), "threads",
        (int)fvlm_pool_threads(fvlm_exec_pool(e)), "size", (int)side, "picture",
        fvlm_picture_named(opt.picture) == FVLM_PICTURE_APPLE ? "apple" : "seen", "picture_notes",
        fvlm_pixels_describe_notes(a->picture_notes, notes), "tokens", "prompt", (json_int_t)a->prompt_tokens, "image",
        (json_int_t)a->image_tokens, "new", (json_int_t)a->n_ids, "seconds", "open", open_seconds, "image", t->image,
        "vision", t->vision, "projector", t->projector, "prefill", t->prefill, "ttft", t->ttft, "decode", t->decode,
        "decode_tokens_per_second", fvlm_run_cost_decode_rate(t), "peak_bytes", (json_int_t)fvlm_memory_peak_bytes(),
        "peak_anonymous_bytes", (json_int_t)fvlm_memory_peak_anonymous_bytes());
    if (a->tiling.columns) fvlm_json_set(&all, "tiles", fvlm_run_cost_tiles_json(&a->tiling));
    return all;
}

static fvlm_status answer(fvlm_model *m, const fvlm_cli_list *args, const fvlm_tiling *tiling, double open_seconds,
                          screen *s, fvlm_err *err)
{
    const char *image = strcmp(args->items[1], "none") == 0 ? NULL : args->items[1];
    const uint32_t side = opt.size ? (uint32_t)opt.size : fvlm_model_config(m)->vision.image_size;
    const fvlm_question question = {
        .image = image,
        .picture = fvlm_picture_named(opt.picture),
        .side = side,
        .tiling = *tiling,
        .text = args->items[2],
        .sampling = {(uint32_t)opt.max_tokens, opt.temperature > 0 ? opt.temperature : 0, opt.top_p, opt.seed},
        .emit = show_text,
        .emit_ctx = s};
    char *text = NULL;
    size_t n_bytes = 0;
    fvlm_answer a;
    if (opt.json)
        s->to = open_memstream(&text, &n_bytes);
    else
        s->to = opt.tokens_only ? NULL : stdout;
    s->terminal = s->to == stdout && isatty(STDOUT_FILENO);
    if (opt.json && !s->to) return fvlm_fail_errno(err, "cannot collect the answer");

    count_blocks(s, fvlm_model_config(m), tiling);
    fvlm_progress_start(&s->bar, "run", opt.quiet || opt.json);
    fvlm_status st = fvlm_model_answer(m, &question, &a, err);
    fvlm_progress_end(&s->bar);
    if (opt.json && fclose(s->to) && !st) st = fvlm_fail_errno(err, "cannot collect the answer");
    if (!st && opt.json) st = fvlm_cli_print_json(report(m, args->items, text, n_bytes, &a, side, open_seconds), err);
    for (size_t i = 0; !st && opt.tokens_only && i < a.n_ids; i++) printf("%s%" PRIu32, i ? " " : "", a.ids[i]);
    if (!st && !opt.json) putchar('\n'), fvlm_terminal_line_is(FVLM_LINE_FREE);
    st = fvlm_cli_flush(st, err); /* the answer comes before the figures, which go to stderr */
    if (!st && !opt.quiet && !opt.json) tell_if_cut(&a);
    if (!st && !opt.quiet && !opt.json) fvlm_run_cost_answer(m, &a, side, open_seconds);
    fvlm_answer_free(&a);
    free(text);
    return st;
}

static fvlm_status embed(fvlm_model *m, const fvlm_cli_list *args, const fvlm_tiling *tiling, double open_seconds,
                         screen *s, fvlm_err *err)
{
    const fvlm_run_embedding_options o = {
        .model = args->items[0],
        .image = {args->items[1], fvlm_picture_named(opt.picture), (uint32_t)opt.size, *tiling},
        .output = opt.output,
        .force = opt.force,
        .json = opt.json,
        .quiet = opt.quiet,
        .open_seconds = open_seconds};
    s->blocks = 0; /* it ends before a bar would help */
    return fvlm_run_embedding(m, &o, err);
}

static fvlm_status check_usage(const fvlm_cli_list *args, fvlm_err *err)
{
    const bool answer = args->n == 3;
    if (opt.json && opt.tokens_only)
        return fvlm_fail(err, FVLM_USAGE, "--json includes the token ids; leave out --tokens-only");
    const char *of_picture = opt.tiles ? "tiles" : opt.size ? "size" : opt.picture ? "picture" : NULL;
    if (of_picture && !strcmp(args->items[1], "none"))
        return fvlm_fail(err, FVLM_USAGE, "--%s: \"none\" is no picture; leave the option out", of_picture);
    if (answer && opt.embedding) return fvlm_fail(err, FVLM_USAGE, "--embedding asks no question; leave out PROMPT");
    if (answer && (opt.output || opt.force))
        return fvlm_fail(err, FVLM_USAGE, "--output and --force are for an embedding; leave out PROMPT");
    if (answer && opt.temperature < 0 && (opt.top_p < 1 || opt.seed))
        return fvlm_fail(err, FVLM_USAGE, "--%s: without --temperature T the answer is greedy; give both, or neither",
                         opt.seed ? "seed" : "top-p");
    if (answer) return FVLM_OK;
    if (opt.force && !opt.output) return fvlm_fail(err, FVLM_USAGE, "--force replaces a file; give -o FILE, too");
    if (opt.tokens_only || opt.temperature >= 0 || opt.top_p < 1 || opt.seed || opt.max_tokens != MAX_TOKENS)
        return fvlm_fail(err, FVLM_USAGE,
                         "--max-tokens, --temperature, --top-p, --seed and --tokens-only need a PROMPT");
    if (!strcmp(args->items[1], "none"))
        return fvlm_fail(err, FVLM_USAGE, "without a PROMPT there must be an image; \"none\" has no embedding");
    return FVLM_OK;
}

/* Whether what is asked for fits the model: an answer, or an embedding. */
static fvlm_status check_model(const fvlm_model *m, const fvlm_cli_list *args, fvlm_err *err)
{
    const bool has_llm = fvlm_config_has_llm(fvlm_model_config(m));
    if (args->n == 3 && !has_llm)
        return fvlm_fail(err, FVLM_UNSUPPORTED,
                         "\"%s\" has no language model; leave out the prompt to get the image's embedding",
                         args->items[0]);
    if (args->n < 3 && has_llm && !opt.embedding)
        return fvlm_fail(err, FVLM_USAGE, "no PROMPT; give one, or --embedding for the image's embedding");
    return FVLM_OK;
}

static fvlm_status run(const fvlm_cli_list *args, fvlm_err *err)
{
    screen s = {0};
    fvlm_model *m = NULL;
    const double started = fvlm_clock_seconds();
    fvlm_model_options o = {.threads = (unsigned)opt.threads,
                            .cpu = opt.cpu,
                            .check = !opt.no_check,
                            .stop = fvlm_cli_stop(),
                            .observer = show_progress,
                            .observer_ctx = &s,
                            .observe_chunks = true};
    fvlm_tiling tiling = {0};
    fvlm_status st = check_usage(args, err);
    if (!st && opt.tiles) st = fvlm_tiling_parse(&tiling, opt.tiles, err);
    if (!st) st = fvlm_model_options_act(&o, opt.act, err);
    if (!st) st = fvlm_model_open(&m, args->items[0], &o, err);
    if (!st) st = check_model(m, args, err);
    const double open_seconds = fvlm_clock_seconds() - started;
    if (!st && args->n == 3)
        st = answer(m, args, &tiling, open_seconds, &s, err);
    else if (!st)
        st = embed(m, args, &tiling, open_seconds, &s, err);
    fvlm_model_close(&m);
    return st;
}

const fvlm_cli_command fvlm_run_command = {
    .name = "run",
    .summary = "answer a question about an image (JPEG, PNG or WebP; \"-\" from a pipe, \"none\" for no image)",
    .args = "MODEL.fvlm IMAGE [PROMPT]",
    .min_args = 2,
    .max_args = 3,
    .options = options,
    .examples = "fvlm run fastvlm-int4.fvlm photo.jpg \"What is this?\"\n"
                "fvlm run fastvlm.fvlm photo.jpg --embedding -o photo.npy\n",
    .run = run,
};
