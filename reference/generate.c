/* SPDX-License-Identifier: Apache-2.0 */
/* generate.c - from a question to an answer: prepare, encode the image, prefill, decode. Timed. */
#include <stdlib.h>
#include <string.h>

#include "format/base/clock.h"
#include "reference/model.h"
#include "reference/sample.h"
#include "reference/text_stream.h"

/* The state of one answer. */
typedef struct {
    fvlm_model *m;
    const fvlm_question *q;
    fvlm_answer *out;
    fvlm_image image;
    fvlm_tiles tiles; /* of the image, once it is loaded */
    double started;
    uint32_t *prompt; /* ids */
    size_t split;     /* how many of them come before the image */
    size_t n_positions;
    float *embeddings; /* [n_positions, hidden]: text before the image, image, text after */
    float *logits;     /* [vocab] */
    fvlm_sampler *sampler;
    fvlm_decoding decoding;
    size_t max_ids; /* what max_new_tokens and the context allow */
} generation;

static void free_generation(generation *g)
{
    free(g->prompt);
    free(g->embeddings);
    fvlm_tiles_free(&g->tiles);
    free(g->logits);
    fvlm_sampler_destroy(&g->sampler);
}

/* What upstream does with a text that is too long is to cut its end off, the question. */
static fvlm_status check_length(const generation *g, fvlm_err *err)
{
    const fvlm_tiles *t = &g->tiles;
    const size_t context = fvlm_model_context(g->m);
    if (!t->columns || g->n_positions < context) return FVLM_OK;
    return fvlm_fail(
        err, FVLM_LIMIT,
        "the prompt takes %zu positions, the overview and %u x %u tiles %zu; the context holds %zu, answer "
        "included: take fewer tiles or a smaller size",
        g->out->prompt_tokens, t->columns, t->rows, g->out->image_tokens, context);
}

/* Prompt ids and the picture, whose shape may decide how many positions it takes. */
static fvlm_status read_question(generation *g, fvlm_err *err)
{
    fvlm_model *m = g->m;
    const fvlm_question *q = g->q;
    fvlm_answer *out = g->out;
    fvlm_status st = fvlm_model_require_llm(m, err);
    if (!st && q->image) st = fvlm_model_check_image(m, &g->image, err);
    if (!st) st = fvlm_sampler_create(&g->sampler, &q->sampling, m->config->llm.vocab, err);
    if (!st) st = fvlm_prompt_ids(m, q->text, q->image || q->rows, &g->prompt, &out->prompt_tokens, &g->split, err);
    if (!st && q->image) st = fvlm_model_load_timed(m, &g->image, &g->tiles, &out->timing.image, err);
    if (st) return st;
    out->picture_notes = g->tiles.overview.notes;
    out->image_tokens = q->image ? fvlm_model_tiles_tokens(m->config, &g->tiles) : q->rows ? q->n_rows : 0;
    g->n_positions = out->prompt_tokens + out->image_tokens;
    return check_length(g, err);
}

/* All memory, so that whatever can be refused is refused before the first pass. */
static fvlm_status prepare(generation *g, fvlm_err *err)
{
    const fvlm_config *c = g->m->config;
    const size_t context = fvlm_model_context(g->m), most = g->q->sampling.max_new_tokens;
    fvlm_status st = read_question(g, err);
    if (st) return st;
    const size_t left = g->n_positions < context ? context - g->n_positions : 0;
    g->max_ids = most < left ? most : left;
    st = fvlm_model_reserve(g->m, g->n_positions, g->n_positions + (left ? g->max_ids : 1), err);
    if (st) return st;
    g->embeddings = fvlm_alloc(g->n_positions * c->llm.hidden, sizeof(float));
    g->logits = fvlm_alloc(c->llm.vocab, sizeof(float));
    g->out->ids = fvlm_alloc(g->max_ids, sizeof *g->out->ids);
    return g->embeddings && g->logits && g->out->ids ? FVLM_OK : fvlm_fail_nomem(err);
}

/* Writes the image's rows at their offset among the embeddings. */
static fvlm_status encode_image(generation *g, fvlm_err *err)
{
    const size_t hidden = g->m->config->llm.hidden;
    float *rows = g->embeddings + g->split * hidden;
    if (g->image.path) return fvlm_model_encode_timed(g->m, &g->tiles, rows, &g->out->timing, &g->out->tiling, err);
    if (g->q->rows) memcpy(rows, g->q->rows, g->q->n_rows * hidden * sizeof *rows);
    return FVLM_OK;
}

static fvlm_status prefill(generation *g, fvlm_err *err)
{
    fvlm_model *m = g->m;
    const size_t n_after = g->out->prompt_tokens - g->split, after = g->n_positions - n_after;
    const double since = fvlm_clock_seconds();
    fvlm_model_reset(m);
    fvlm_status st = fvlm_model_embed(m, g->prompt, g->split, g->embeddings, err);
    if (!st)
        st = fvlm_model_embed(m, g->prompt + g->split, n_after, g->embeddings + after * m->config->llm.hidden, err);
    if (!st) st = fvlm_model_forward(m, g->embeddings, g->n_positions, false, g->logits, err);
    g->out->timing.prefill = fvlm_clock_seconds() - since;
    return st;
}

static void emit(generation *g, fvlm_text_stream *stream, uint32_t id)
{
    size_t n_bytes = 0;
    const char *bytes = fvlm_tokenizer_decode(g->m->tokenizer, &g->decoding, id, &n_bytes);
    g->out->ids[g->out->n_ids++] = id;
    if (bytes && stream->emit) fvlm_text_stream_put(stream, bytes, n_bytes);
}

/* Token by token until the model ends its answer or max_ids is reached. If the model file has changed, the weights may
 * have been anything, so it is checked before each token is emitted. */
static fvlm_status decode(generation *g, fvlm_err *err)
{
    fvlm_answer *out = g->out;
    fvlm_text_stream stream = {
        .emit = g->q->emit, .ctx = g->q->emit_ctx, .each_byte = fvlm_tokenizer_replaces_each_byte(g->m->tokenizer)};
    fvlm_status st = FVLM_OK;
    double since = 0;
    while (!st && out->n_ids < g->max_ids) {
        st = fvlm_reader_check_unchanged(g->m->reader, st, err);
        if (st) break;
        const uint32_t id = fvlm_sampler_draw(g->sampler, g->logits);
        if (since == 0) {
            since = fvlm_clock_seconds();
            out->timing.ttft = since - g->started;
        }
        out->ended = fvlm_config_is_eos(g->m->config, id);
        if (out->ended) break;
        emit(g, &stream, id);
        if (out->n_ids == g->max_ids) break;
        st = fvlm_model_embed(g->m, &id, 1, g->embeddings, err);
        if (!st) st = fvlm_model_forward(g->m, g->embeddings, 1, false, g->logits, err);
        out->timing.decode_steps += !st;
    }
    if (!st && stream.emit) fvlm_text_stream_end(&stream); /* after a failure an incomplete character is dropped */
    out->timing.decode = since > 0 ? fvlm_clock_seconds() - since : 0;
    return st;
}

fvlm_status fvlm_model_answer(fvlm_model *m, const fvlm_question *question, fvlm_answer *out, fvlm_err *err)
{
    generation g = {.m = m,
                    .q = question,
                    .out = out,
                    .image = {question->image, question->picture, question->side, question->tiling},
                    .started = fvlm_clock_seconds()};
    *out = (fvlm_answer){0};
    fvlm_status st = prepare(&g, err);
    if (!st) st = encode_image(&g, err);
    if (!st) st = prefill(&g, err);
    if (!st) st = decode(&g, err);
    free_generation(&g);
    if (st) fvlm_answer_free(out);
    return st;
}

void fvlm_answer_free(fvlm_answer *a)
{
    free(a->ids);
    free(a->tiling.each);
    *a = (fvlm_answer){0};
}
