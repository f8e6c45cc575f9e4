/* SPDX-License-Identifier: Apache-2.0 */
/* witness_model.c - a model as a witness. Its runner and the thread that asks for blocks meet in a lockstep of two,
 * twice for each block: when it is handed over, and when it is released. Between the two the runner waits. */
#include <stdlib.h>
#include <string.h>

#include "verify/input_list.h"
#include "verify/same_model.h"
#include "verify/witness.h"

enum { RUNNER, ASKER, N_MEET };

typedef struct {
    fvlm_witness base;
    const char *prompt; /* the user's */
    fvlm_runner runner;
    fvlm_input_list inputs;
    fvlm_lockstep *steps;
    fvlm_lockstep_block in_hand;
    fvlm_runner_token next;
} model_witness;

static fvlm_status accept(fvlm_witness *base, const fvlm_model *m, fvlm_err *err)
{
    model_witness *w = (model_witness *)base;
    const fvlm_model *source = w->runner.m;
    uint32_t *ids = NULL;
    size_t n = 0, split = 0;
    fvlm_status st =
        fvlm_model_check_image(m, &(fvlm_image){.side = w->inputs.side, .tiling = w->inputs.o->tiling}, err);
    if (!st)
        st = fvlm_same_model_check(fvlm_model_reader(m), fvlm_model_reader(source),
                                   fvlm_reader_path(fvlm_model_reader(source)), err);
    if (st || base->embedding || strcmp(fvlm_model_config(m)->prompt, fvlm_model_config(source)->prompt)) return st;
    st = fvlm_prompt_ids(m, w->prompt, true, &ids, &n, &split, err);
    if (!st && (n != w->inputs.n_ids || split != w->inputs.split || memcmp(ids, w->inputs.ids, n * sizeof *ids)))
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

static fvlm_status begin(fvlm_witness *base, size_t positions, fvlm_runner_input *in, bool *more, fvlm_err *err)
{
    model_witness *w = (model_witness *)base;
    fvlm_status st = fvlm_input_list_next(&w->inputs, w->runner.m, positions, in, more, err);
    if (st || !*more) return st;
    st = fvlm_lockstep_create(&w->steps, N_MEET, hand_over, w, err);
    if (st) return st;
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
    fvlm_input_list_free(&w->inputs);
    free(w);
}

static const fvlm_witness_kind kind = {accept, begin, block, next, release, end, check_unchanged, close_witness, NULL};

fvlm_status fvlm_witness_model_open(fvlm_witness **out, const fvlm_parity_options *o, fvlm_err *err)
{
    model_witness *w = fvlm_alloc(1, sizeof *w);
    *out = NULL;
    if (!w) return fvlm_fail_nomem(err);
    *w = (model_witness){
        .prompt = o->prompt, .inputs = {.o = o}, .runner = {.index = RUNNER, .n_meets = 2, .next = &w->next}};
    fvlm_status st = fvlm_runner_open(&w->runner, o->source, FVLM_ACT_F32, o->n_acts + 1, o, err);
    const fvlm_config *c = st ? NULL : fvlm_model_config(w->runner.m);
    if (!st && fvlm_config_has_llm(c))
        st = fvlm_prompt_ids(w->runner.m, o->prompt, true, &w->inputs.ids, &w->inputs.n_ids, &w->inputs.split, err);
    if (st) {
        close_witness(&w->base);
        return st;
    }
    w->base = (fvlm_witness){.kind = &kind, .source = fvlm_model_reader(w->runner.m), .n_models = 1};
    if (!fvlm_config_has_llm(c)) w->base.embedding = fvlm_config_has_projector(c) ? "projector" : "vision.final";
    w->inputs.embedding = w->base.embedding;
    w->inputs.positions = o->positions;
    w->inputs.side = o->side ? o->side : c->vision.image_size;
    *out = &w->base;
    return FVLM_OK;
}
