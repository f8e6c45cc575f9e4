/* SPDX-License-Identifier: Apache-2.0 */
/* generate.c - a question about a picture to an answer: everything in its order, timed. */
#include <stdlib.h>
#include <string.h>

#include "format/cli/cli.h"
#include "reference/model.h"
#include "reference/sample.h"
#include "reference/text_stream.h"

/* A picture to load and look at, or the rows of one looked at before, or neither. */
typedef struct {
    const char *path;
    uint32_t side;
    const float *rows;
    size_t n_rows;
} picture;

/* What one answer holds while it is made. */
typedef struct {
    fvlm_model *m;
    fvlm_timing *t;
    double started;
    uint32_t *prompt; /* ids */
    size_t n_prompt, split;
    size_t n_image, n_positions; /* rows of the picture; of picture and text together */
    float *embeddings;           /* [n_positions, hidden] */
    float *features;             /* [n_image, out_dim] */
    float *logits;               /* [vocab] */
    fvlm_sampler *sampler;
    uint32_t *answer; /* ids */
    size_t n_answer, most;
} answering;

static void free_answering(answering *a)
{
    free(a->prompt);
    free(a->embeddings);
    free(a->features);
    free(a->logits);
    free(a->answer);
    fvlm_sampler_destroy(&a->sampler);
}

static double lap(double *since)
{
    const double now = fvlm_clock_seconds(), took = now - *since;
    *since = now;
    return took;
}

/* Token ids, sizes and all memory: whatever can be refused is refused before the first product. */
static fvlm_status prepare(answering *a, const picture *p, const char *question, const fvlm_sampling *s, fvlm_err *err)
{
    fvlm_model *m = a->m;
    const fvlm_config *c = m->config;
    const bool with_image = p->path || p->rows;
    fvlm_status st = p->path ? fvlm_model_check_side(m, p->side, err) : FVLM_OK;
    if (st == FVLM_OK) st = fvlm_sampler_create(&a->sampler, s, c->llm.vocab, err);
    if (st == FVLM_OK) st = fvlm_prompt_ids(m, question, with_image, &a->prompt, &a->n_prompt, &a->split, err);
    if (st != FVLM_OK) return st;

    a->n_image = p->path ? fvlm_model_image_tokens(c, p->side) : p->n_rows;
    a->n_positions = a->n_prompt + a->n_image;
    const size_t context = fvlm_model_context(m);
    const size_t room = a->n_positions < context ? context - a->n_positions : 0;
    a->most = s->max_new_tokens < room ? s->max_new_tokens : room;
    st = fvlm_model_reserve(m, a->n_positions, a->n_positions + (room ? a->most : 1), err);
    if (st != FVLM_OK) return st;

    a->embeddings = fvlm_alloc(a->n_positions * c->llm.hidden, sizeof(float));
    a->features = fvlm_alloc(a->n_image * c->vision.out_dim, sizeof(float));
    a->logits = fvlm_alloc(c->llm.vocab, sizeof(float));
    a->answer = fvlm_alloc(a->most, sizeof *a->answer);
    if (a->embeddings && a->features && a->logits && a->answer) return FVLM_OK;
    return fvlm_fail(err, FVLM_NOMEM, "out of memory for an answer");
}

/* The picture's rows into their place among the embeddings. */
static fvlm_status look(answering *a, const picture *p, fvlm_err *err)
{
    float *rows = a->embeddings + a->split * a->m->config->llm.hidden;
    if (p->rows) memcpy(rows, p->rows, p->n_rows * a->m->config->llm.hidden * sizeof *rows);
    if (!p->path) return FVLM_OK;

    fvlm_pixels pixels = {0};
    double since = fvlm_clock_seconds();
    fvlm_status st = fvlm_pixels_load(&pixels, p->path, p->side, err);
    a->t->image = lap(&since);
    if (st == FVLM_OK) st = fvlm_model_tower(a->m, &pixels, a->features, err);
    a->t->vision = lap(&since);
    if (st == FVLM_OK) st = fvlm_model_project(a->m, a->features, a->n_image, rows, err);
    a->t->projector = lap(&since);
    fvlm_pixels_free(&pixels);
    return st;
}

static fvlm_status prefill(answering *a, fvlm_err *err)
{
    fvlm_model *m = a->m;
    const size_t hidden = m->config->llm.hidden, after = a->n_prompt - a->split;
    double since = fvlm_clock_seconds();
    fvlm_status st = fvlm_model_embed(m, a->prompt, a->split, a->embeddings, err);
    if (st == FVLM_OK)
        st = fvlm_model_embed(m, a->prompt + a->split, after, a->embeddings + (a->split + a->n_image) * hidden, err);
    fvlm_model_reset(m);
    if (st == FVLM_OK) st = fvlm_model_forward(m, a->embeddings, a->n_positions, false, a->logits, err);
    a->t->prefill = lap(&since);
    return st;
}

static void say(answering *a, fvlm_text_stream *out, uint32_t id)
{
    size_t n_bytes = 0;
    const char *bytes = fvlm_tokenizer_bytes(a->m->tokenizer, id, &n_bytes);
    a->answer[a->n_answer++] = id;
    if (bytes && out->emit && !fvlm_tokenizer_is_special(a->m->tokenizer, id))
        fvlm_text_stream_put(out, bytes, n_bytes);
}

/* Token by token until the model ends its answer or there is no more room. No token is shown that was computed from
 * a file which had changed by then: its weights may have been somebody else's, or zeros. */
static fvlm_status decode(answering *a, fvlm_text_stream *out, fvlm_err *err)
{
    fvlm_status st = FVLM_OK;
    double since = 0;
    while (st == FVLM_OK && a->n_answer < a->most) {
        st = fvlm_reader_check_unchanged(a->m->reader, st, err);
        if (st != FVLM_OK) break;
        const uint32_t id = fvlm_sampler_draw(a->sampler, a->logits);
        if (since == 0) {
            since = fvlm_clock_seconds();
            a->t->ttft = since - a->started;
        }
        if (fvlm_config_is_eos(a->m->config, id)) {
            a->t->ended = true;
            break;
        }
        say(a, out, id);
        if (a->n_answer == a->most) break;
        st = fvlm_model_embed(a->m, &id, 1, a->embeddings, err);
        if (st == FVLM_OK) st = fvlm_model_forward(a->m, a->embeddings, 1, false, a->logits, err);
        a->t->decode_steps += st == FVLM_OK;
    }
    if (st == FVLM_OK && out->emit) fvlm_text_stream_end(out); /* else half a character would be shown as a whole one */
    a->t->decode = since > 0 ? fvlm_clock_seconds() - since : 0;
    return st;
}

static fvlm_status answer(fvlm_model *m, const picture *p, const char *question, const fvlm_sampling *s,
                          fvlm_text_stream *out, fvlm_timing *timing, uint32_t **ids_out, size_t *n_out, fvlm_err *err)
{
    fvlm_timing unused;
    answering a = {.m = m, .t = timing ? timing : &unused, .started = fvlm_clock_seconds()};
    *a.t = (fvlm_timing){0};
    fvlm_status st = prepare(&a, p, question, s, err);
    if (st == FVLM_OK) st = look(&a, p, err);
    if (st == FVLM_OK) st = prefill(&a, err);
    if (st == FVLM_OK) st = decode(&a, out, err);
    a.t->prompt_tokens = a.n_prompt;
    a.t->image_tokens = a.n_image;
    a.t->new_tokens = a.n_answer;
    if (st == FVLM_OK && ids_out) {
        *ids_out = a.answer;
        *n_out = a.n_answer;
        a.answer = NULL;
    }
    free_answering(&a);
    return st;
}

fvlm_status fvlm_answer(fvlm_model *m, const char *image_path, uint32_t side, const char *question,
                        const fvlm_sampling *s, fvlm_emit emit, void *emit_ctx, fvlm_timing *timing, uint32_t **ids_out,
                        size_t *n_out, fvlm_err *err)
{
    fvlm_text_stream out = {.emit = emit, .ctx = emit_ctx};
    const picture p = {.path = image_path, .side = side ? side : m->config->vision.image_size};
    return answer(m, &p, question, s, &out, timing, ids_out, n_out, err);
}

fvlm_status fvlm_answer_seen(fvlm_model *m, const float *rows, size_t n_rows, const char *question,
                             const fvlm_sampling *s, fvlm_emit emit, void *emit_ctx, fvlm_timing *timing,
                             uint32_t **ids_out, size_t *n_out, fvlm_err *err)
{
    fvlm_text_stream out = {.emit = emit, .ctx = emit_ctx};
    const picture p = {.rows = rows, .n_rows = n_rows};
    return answer(m, &p, question, s, &out, timing, ids_out, n_out, err);
}
