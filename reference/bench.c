/* SPDX-License-Identifier: Apache-2.0 */
/* bench.c - see bench.h. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/clock.h"
#include "reference/bench.h"
#include "reference/work.h"

#define DECODED 16 /* tokens after the first */

typedef struct {
    fvlm_pixels pixels; /* without a picture */
    float *features, *rows, *logits;
    double *times; /* [FVLM_BENCH_PARTS][o->runs] */
} inputs;

bool fvlm_bench_has_part(const fvlm_model *m, const fvlm_bench_options *o, fvlm_bench_part part)
{
    if (part > FVLM_BENCH_PROJECTOR && !fvlm_config_has_llm(m->config)) return false;
    if (part == FVLM_BENCH_PROJECTOR && !fvlm_config_has_projector(m->config)) return false;
    return o->image || (part != FVLM_BENCH_IMAGE && part != FVLM_BENCH_TTFT);
}

/* A percentile takes enough runs that one of them can lie beyond it. */
bool fvlm_bench_has_quantile(const fvlm_bench_options *o, fvlm_bench_quantile q)
{
    return o->runs >= (q == FVLM_BENCH_P99 ? 100 : q == FVLM_BENCH_P90 ? 10 : 1);
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The p-th percentile by nearest rank: the smallest of the n sorted values that p % of them do not exceed. */
static double percentile(const double *x, size_t n, size_t p)
{
    return x[(p * n + 99) / 100 - 1];
}

static void quantiles(double *x, size_t n, double out[FVLM_BENCH_QUANTILES])
{
    qsort(x, n, sizeof *x, ascending);
    out[FVLM_BENCH_MIN] = x[0];
    out[FVLM_BENCH_MEDIAN] = n % 2 ? x[n / 2] : (x[n / 2 - 1] + x[n / 2]) / 2;
    out[FVLM_BENCH_P90] = percentile(x, n, 90);
    out[FVLM_BENCH_P99] = percentile(x, n, 99);
}

static void free_inputs(inputs *in)
{
    fvlm_pixels_free(&in->pixels);
    free(in->features);
    free(in->rows);
    free(in->logits);
    free(in->times);
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

static fvlm_status make_inputs(inputs *in, const fvlm_model *m, const fvlm_bench_options *o, const fvlm_bench_line *l,
                               fvlm_err *err)
{
    const fvlm_config *c = m->config;
    const size_t n_pixels = o->image ? 0 : (size_t)l->side * l->side * 3;
    in->pixels = (fvlm_pixels){.side = l->side, .values = fvlm_alloc(n_pixels, sizeof(float))};
    in->features = fvlm_alloc(l->image_tokens * c->vision.out_dim, sizeof(float));
    const size_t n_rows = l->positions * fvlm_config_image_width(c);
    in->rows = fvlm_alloc(n_rows, sizeof(float));
    in->logits = fvlm_alloc(c->llm.vocab, sizeof(float));
    in->times = fvlm_alloc(FVLM_BENCH_PARTS * o->runs, sizeof *in->times);
    if (!in->pixels.values || !in->features || !in->rows || !in->logits || !in->times) return fvlm_fail_nomem(err);
    fill(in->pixels.values, n_pixels, 0, 1);
    fill(in->rows, n_rows, -0.05f, 0.05f);
    return FVLM_OK;
}

/* From the picture's bytes to the rows that stand for it. */
static fvlm_status encode(fvlm_model *m, const fvlm_bench_options *o, uint32_t side, double times[FVLM_BENCH_PARTS],
                          fvlm_err *err)
{
    const fvlm_image image = {o->image, o->picture, side, o->tiling};
    fvlm_embedding e;
    const fvlm_status st = fvlm_model_encode(m, &image, &e, err);
    times[FVLM_BENCH_IMAGE] = e.timing.image;
    times[FVLM_BENCH_VISION] = e.timing.vision;
    times[FVLM_BENCH_PROJECTOR] = e.timing.projector;
    fvlm_embedding_free(&e);
    return st;
}

/* From the picture's bytes to the first token. */
static fvlm_status answer_first(fvlm_model *m, const fvlm_bench_options *o, uint32_t side,
                                double times[FVLM_BENCH_PARTS], fvlm_err *err)
{
    const fvlm_question q = {.image = o->image,
                             .picture = o->picture,
                             .side = side,
                             .tiling = o->tiling,
                             .text = o->prompt,
                             .sampling = {1, 0, 1, 0}};
    fvlm_answer a;
    const fvlm_status st = fvlm_model_answer(m, &q, &a, err);
    if (st) return st;
    const fvlm_timing *t = &a.timing;
    const double got[] = {t->image, t->vision, t->projector, t->prefill, t->ttft};
    memcpy(times, got, sizeof got);
    fvlm_answer_free(&a);
    return FVLM_OK;
}

static fvlm_status pass_random(fvlm_model *m, inputs *in, const fvlm_bench_line *l, double times[FVLM_BENCH_PARTS],
                               fvlm_err *err)
{
    float *image_rows = in->rows + (l->positions - l->image_tokens) * fvlm_config_image_width(m->config);
    const bool has_llm = fvlm_config_has_llm(m->config);
    double t[4];
    t[0] = fvlm_clock_seconds();
    fvlm_status st = fvlm_model_tower(m, &in->pixels, in->features, err);
    t[1] = fvlm_clock_seconds();
    if (!st && fvlm_config_has_projector(m->config))
        st = fvlm_model_project(m, in->features, l->image_tokens, image_rows, err);
    t[2] = fvlm_clock_seconds();
    fvlm_model_reset(m);
    if (!st && has_llm) st = fvlm_model_forward(m, in->rows, l->positions, false, in->logits, err);
    t[3] = fvlm_clock_seconds();
    for (int i = 0; i < 3; i++) times[FVLM_BENCH_VISION + i] = t[i + 1] - t[i];
    return st;
}

static fvlm_status decode(fvlm_model *m, inputs *in, double *seconds, fvlm_err *err)
{
    fvlm_status st = FVLM_OK;
    const double started = fvlm_clock_seconds();
    for (size_t i = 0; i < DECODED && !st; i++) st = fvlm_model_forward(m, in->rows, 1, false, in->logits, err);
    *seconds = (fvlm_clock_seconds() - started) / DECODED;
    return st;
}

fvlm_status fvlm_bench_measure(fvlm_bench_line *l, fvlm_model *m, const fvlm_bench_options *o, fvlm_err *err)
{
    inputs in = {0};
    const bool has_llm = fvlm_config_has_llm(m->config);
    fvlm_status st = has_llm ? fvlm_model_reserve(m, l->positions, l->positions + DECODED, err) : FVLM_OK;
    if (!st) st = make_inputs(&in, m, o, l, err);
    for (size_t run = 0; run <= o->runs && !st; run++) {
        double times[FVLM_BENCH_PARTS] = {0};
        st = !o->image ? pass_random(m, &in, l, times, err)
             : has_llm ? answer_first(m, o, l->side, times, err)
                       : encode(m, o, l->side, times, err);
        if (!st && has_llm) st = decode(m, &in, &times[FVLM_BENCH_DECODE], err);
        if (run == 0) continue; /* maps the file in, allocates, warms up */
        for (size_t i = 0; i < FVLM_BENCH_PARTS; i++) in.times[i * o->runs + run - 1] = times[i];
    }
    for (size_t i = 0; i < FVLM_BENCH_PARTS && !st; i++) quantiles(in.times + i * o->runs, o->runs, l->seconds[i]);
    free_inputs(&in);
    if (st) return st;
    l->vision_rate =
        (double)l->squares * fvlm_work_tower_macs(m, l->side) / l->seconds[FVLM_BENCH_VISION][FVLM_BENCH_MEDIAN];
    l->memory = fvlm_model_memory_bytes(m);
    if (!has_llm) return FVLM_OK;
    l->prefill_rate =
        fvlm_work_prefill_macs(m, (double)l->positions) / l->seconds[FVLM_BENCH_PREFILL][FVLM_BENCH_MEDIAN];
    l->decode_bandwidth = fvlm_work_decode_bytes(m) / l->seconds[FVLM_BENCH_DECODE][FVLM_BENCH_MEDIAN];
    return FVLM_OK;
}

static fvlm_status text_positions(const fvlm_model *m, const fvlm_bench_options *o, size_t *n, fvlm_err *err)
{
    uint32_t *ids = NULL;
    size_t split;
    *n = fvlm_config_has_llm(m->config) ? o->text : 0;
    if (!o->image || *n == 0) return FVLM_OK;
    const fvlm_status st = fvlm_prompt_ids(m, o->prompt, true, &ids, n, &split, err);
    free(ids);
    return st;
}

/* The shape of a picture in tiles may decide how many tokens it gives. */
static fvlm_status count_image(fvlm_bench_line *l, fvlm_model *m, const fvlm_bench_options *o, fvlm_err *err)
{
    const fvlm_image image = {o->image, o->picture, l->side, o->tiling};
    const bool may_divide = o->image && !o->tiling.off && (o->tiling.columns || m->config->tiles.n_sizes);
    fvlm_tiles tiles;
    fvlm_status st = fvlm_model_check_image(m, &image, err);
    l->squares = 1;
    if (!st && !may_divide) l->image_tokens = fvlm_model_image_tokens(m->config, l->side);
    if (st || !may_divide) return st;
    st = fvlm_model_load_tiles(m, &image, &tiles, err);
    if (st) return st;
    l->squares = fvlm_tiles_count(&tiles);
    l->image_tokens = fvlm_model_tiles_tokens(m->config, &tiles);
    fvlm_tiles_free(&tiles);
    return FVLM_OK;
}

static fvlm_status plan_line(fvlm_bench_line *l, uint32_t side, size_t text, fvlm_model *m, const fvlm_bench_options *o,
                             fvlm_err *err)
{
    *l = (fvlm_bench_line){.threads = fvlm_pool_threads(fvlm_exec_pool(m->exec)),
                           .act = fvlm_exec_mode(m->exec),
                           .cpu = fvlm_exec_cpu(m->exec),
                           .side = side};
    const fvlm_status st = count_image(l, m, o, err);
    if (st) return st;
    l->positions = l->image_tokens + text;
    const size_t context = fvlm_model_context(m);
    if (l->positions + DECODED <= context || !fvlm_config_has_llm(m->config)) return FVLM_OK;
    return fvlm_fail(err, FVLM_LIMIT,
                     "at %" PRIu32 " pixels a side, image and prompt take %zu positions and the answer %d; the context "
                     "holds %zu",
                     side, l->positions, DECODED, context);
}

fvlm_status fvlm_bench_plan(fvlm_bench_line *lines, const uint32_t *sides, size_t n, fvlm_model *m,
                            const fvlm_bench_options *o, fvlm_err *err)
{
    size_t text;
    fvlm_status st = text_positions(m, o, &text, err);
    for (size_t i = 0; i < n && !st; i++) st = plan_line(&lines[i], sides[i], text, m, o, err);
    return st;
}
