/* SPDX-License-Identifier: Apache-2.0 */
/* witness_model.c - a model as a witness. Its runner and the thread that asks for blocks meet in a lockstep of two,
 * twice for each block: when it is handed over, and when it is released. Between the two the runner waits. */
#include <stdlib.h>
#include <string.h>

#include "verify/inputs.h"
#include "verify/same_model.h"
#include "verify/witness.h"

enum { RUNNER, ASKER, N_MEET };

typedef struct {
    fvlm_witness base;
    const fvlm_parity_options *o;
    fvlm_runner runner;
    size_t picture, question; /* of the next input: the user's pictures come first, then those that are drawn */
    bool loaded;              /* the picture's pixels are there */
    fvlm_pixels pixels;
    uint32_t *ids; /* of the prompt in hand */
    size_t n_ids, split;
    fvlm_lockstep *steps;
    fvlm_lockstep_block in_hand;
    fvlm_runner_token next;
} model_witness;

static uint32_t side_of(const model_witness *w)
{
    return w->o->side ? w->o->side : fvlm_model_config(w->runner.m)->vision.image_size;
}

/* Question 0 is the user's. */
static const char *prompt_of(const model_witness *w)
{
    return w->question ? fvlm_questions[w->question - 1] : w->o->prompt;
}

static fvlm_status accept(fvlm_witness *base, const fvlm_model *m, fvlm_err *err)
{
    model_witness *w = (model_witness *)base;
    const fvlm_model *source = w->runner.m;
    uint32_t *ids = NULL;
    size_t n = 0, split = 0;
    fvlm_status st = fvlm_model_check_side(m, side_of(w), err);
    if (!st)
        st = fvlm_same_model_check(fvlm_model_reader(m), fvlm_model_reader(source),
                                   fvlm_reader_path(fvlm_model_reader(source)), err);
    if (st || base->embedding || strcmp(fvlm_model_config(m)->prompt, fvlm_model_config(source)->prompt)) return st;
    st = fvlm_prompt_ids(m, w->o->prompt, true, &ids, &n, &split, err);
    if (!st && (n != w->n_ids || split != w->split || memcmp(ids, w->ids, n * sizeof *ids)))
        st = fvlm_fail(err, FVLM_MISMATCH, "the two files tokenize the prompt differently");
    free(ids);
    return st;
}

/* An fvlm_lockstep_compare. */
static fvlm_status hand_over(void *ctx, const fvlm_lockstep_block *shown, fvlm_err *err)
{
    model_witness *w = ctx;
    w->in_hand = shown[RUNNER];
    return fvlm_lockstep_check_same(&shown[RUNNER], &shown[ASKER], err);
}

/* Without a language model: every picture of the user's, and drawn ones while there are too few positions. */
static bool find_picture(model_witness *w, size_t positions)
{
    w->picture += w->question;
    w->question = 0;
    w->loaded = false;
    return w->picture < w->o->n_images || (positions < w->o->positions && w->picture < w->o->n_images + FVLM_N_DRAWN);
}

/* Goes on to the next input if it is needed. Every picture of the user's gets the user's prompt, and its share of the
 * positions wanted. */
static bool find_input(model_witness *w, size_t positions)
{
    const fvlm_parity_options *o = w->o;
    if (w->base.embedding) return find_picture(w, positions);
    for (; w->picture < o->n_images + FVLM_N_DRAWN; w->picture++, w->question = 0, w->loaded = false) {
        const bool own = w->picture < o->n_images;
        const size_t share = own ? o->positions * (w->picture + 1) / o->n_images : o->positions;
        if (own && w->question == 0) return true;
        if (w->question == 0) w->question = 1;
        if (w->question <= FVLM_N_QUESTIONS && !strcmp(prompt_of(w), o->prompt) && own) w->question++;
        if (w->question <= FVLM_N_QUESTIONS && positions < share) return true;
    }
    return false;
}

static fvlm_status load_pixels(model_witness *w, fvlm_err *err)
{
    const fvlm_pixels_options o = {side_of(w), w->o->picture, w->o->cpu, w->o->stop};
    const size_t own = w->o->n_images;
    fvlm_pixels_free(&w->pixels);
    if (w->picture < own) return fvlm_pixels_load(&w->pixels, w->o->images[w->picture], &o, err);
    return fvlm_pixels_draw(&w->pixels, (unsigned)(w->picture - own), o.side, err);
}

/* The ids of in->prompt. */
static fvlm_status take_prompt(model_witness *w, fvlm_runner_input *in, fvlm_err *err)
{
    uint32_t *before = w->ids;
    const size_t n = w->split;
    const fvlm_status st = fvlm_prompt_ids(w->runner.m, in->prompt, true, &w->ids, &w->n_ids, &w->split, err);
    in->ids = w->ids;
    in->n_ids = w->n_ids;
    in->split = w->split;
    in->same_start = !st && w->loaded && w->split == n && w->n_ids > n && !memcmp(w->ids, before, n * sizeof *before);
    free(before);
    return st;
}

static fvlm_status begin(fvlm_witness *base, size_t positions, fvlm_runner_input *in, bool *more, fvlm_err *err)
{
    model_witness *w = (model_witness *)base;
    *more = find_input(w, positions);
    if (!*more) return FVLM_OK;
    *in = (fvlm_runner_input){.pixels = &w->pixels,
                              .same_pixels = w->loaded,
                              .image = w->picture < w->o->n_images ? w->o->images[w->picture] : NULL,
                              .prompt = base->embedding ? NULL : prompt_of(w),
                              .embedding = base->embedding,
                              .n_tokens = w->o->tokens};
    fvlm_status st = w->loaded ? FVLM_OK : load_pixels(w, err);
    if (!st && !base->embedding) st = take_prompt(w, in, err);
    if (!st) st = fvlm_lockstep_create(&w->steps, N_MEET, hand_over, w, err);
    if (st) return st;
    w->loaded = true;
    w->question++;
    w->runner.input = in;
    w->runner.steps = w->steps;
    return fvlm_runner_start(&w->runner, err);
}

/* An error of the runner is the source's, and says so. */
static fvlm_status join(model_witness *w, fvlm_status st, fvlm_err *err)
{
    const fvlm_status own = fvlm_runner_join(&w->runner, st, err);
    return !st && own == FVLM_BAD_INPUT ? fvlm_err_prefix(err, "the source") : own;
}

static fvlm_status block(fvlm_witness *base, const char *name, size_t rows, size_t cols, const float **x, fvlm_err *err)
{
    model_witness *w = (model_witness *)base;
    if (fvlm_lockstep_meet(w->steps, ASKER, name, NULL, rows, cols)) {
        *x = w->in_hand.x;
        return FVLM_OK;
    }
    fvlm_status st = fvlm_lockstep_status(w->steps, err);
    st = join(w, st, err);
    return st ? st : fvlm_fail(err, FVLM_MISMATCH, "the models differ in structure: the source has no %s", name);
}

static fvlm_runner_token next(fvlm_witness *base)
{
    model_witness *w = (model_witness *)base;
    uint32_t top[5];
    fvlm_divergence_top5(w->in_hand.x, w->in_hand.cols, top);
    w->next = (fvlm_runner_token){top[0], fvlm_config_is_eos(fvlm_model_config(w->runner.m), top[0])};
    return w->next;
}

static void release(fvlm_witness *base)
{
    model_witness *w = (model_witness *)base;
    const fvlm_lockstep_block *b = &w->in_hand;
    fvlm_lockstep_meet(w->steps, ASKER, b->name, NULL, b->rows, b->cols);
}

static fvlm_status end(fvlm_witness *base, fvlm_status st, fvlm_err *err)
{
    model_witness *w = (model_witness *)base;
    if (w->steps) fvlm_lockstep_leave(w->steps);
    st = join(w, st, err);
    fvlm_lockstep_destroy(&w->steps);
    return st;
}

static fvlm_status check_unchanged(const fvlm_witness *base, fvlm_status st, fvlm_err *err)
{
    return fvlm_reader_check_unchanged(base->source, st, err);
}

static void close_witness(fvlm_witness *base)
{
    model_witness *w = (model_witness *)base;
    fvlm_runner_close(&w->runner);
    fvlm_pixels_free(&w->pixels);
    free(w->ids);
    free(w);
}

static const fvlm_witness_kind kind = {accept, begin, block, next, release, end, check_unchanged, close_witness};

fvlm_status fvlm_witness_model_open(fvlm_witness **out, const fvlm_parity_options *o, fvlm_err *err)
{
    model_witness *w = fvlm_alloc(1, sizeof *w);
    *out = NULL;
    if (!w) return fvlm_fail_nomem(err);
    *w = (model_witness){.o = o, .runner = {.index = RUNNER, .n_meets = 2, .next = &w->next}};
    fvlm_status st = fvlm_runner_open(&w->runner, o->source, FVLM_ACT_F32, o->n_acts + 1, o, err);
    const fvlm_config *c = st ? NULL : fvlm_model_config(w->runner.m);
    if (!st && fvlm_config_has_llm(c))
        st = fvlm_prompt_ids(w->runner.m, o->prompt, true, &w->ids, &w->n_ids, &w->split, err);
    if (st) {
        close_witness(&w->base);
        return st;
    }
    w->base = (fvlm_witness){.kind = &kind, .source = fvlm_model_reader(w->runner.m), .n_models = 1};
    if (!fvlm_config_has_llm(c)) w->base.embedding = fvlm_config_has_projector(c) ? "projector" : "vision.final";
    *out = &w->base;
    return FVLM_OK;
}
