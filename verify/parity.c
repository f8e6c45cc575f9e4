/* SPDX-License-Identifier: Apache-2.0 */
/* parity.c - see parity.h. The candidates, one for each activation mode, run in lockstep (lockstep.h). At every block
 * the last to arrive measures them all against the witness (witness.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/clock.h"
#include "format/base/grow.h"
#include "verify/parity.h"
#include "verify/witness.h"

typedef struct {
    const fvlm_parity_options *o;
    fvlm_parity *out;
    size_t blocks_capacity, answers_capacity;
    fvlm_witness *witness;
    fvlm_lockstep *steps;
    fvlm_runner candidates[FVLM_MAX_CANDIDATES]; /* [o->n_acts] */
    bool in_prompt;
    fvlm_runner_token next;
    uint64_t met; /* for progress */
} comparison;

/* ---- where the candidates meet ---- */

static fvlm_block_parity *find_block(comparison *c, const fvlm_lockstep_block *shown)
{
    fvlm_parity *p = c->out;
    for (size_t i = 0; i < p->n_blocks; i++)
        if (!strcmp(p->blocks[i].name, shown->name)) return &p->blocks[i];
    if (!fvlm_grow(&p->blocks, &c->blocks_capacity, p->n_blocks + 1, sizeof *p->blocks)) return NULL;
    fvlm_block_parity *b = &p->blocks[p->n_blocks++];
    *b = (fvlm_block_parity){.rows = shown->rows, .cols = shown->cols};
    for (unsigned a = 0; a < FVLM_MAX_CANDIDATES; a++) b->worst[a].cosine = 1;
    snprintf(b->name, sizeof b->name, "%s", shown->name);
    if (c->witness->kind->describe) c->witness->kind->describe(c->witness, b->name, &b->origin);
    return b;
}

static fvlm_status measure_block(comparison *c, const fvlm_lockstep_block *shown, const float *truth, fvlm_err *err)
{
    fvlm_block_parity *b = find_block(c, shown);
    if (!b) return fvlm_fail_nomem(err);
    for (unsigned a = 0; a < c->o->n_acts && truth; a++) {
        const fvlm_distance d = fvlm_divergence_distance(truth, shown[a].x, shown->rows * shown->cols);
        fvlm_distance *worst = &b->worst[a];
        if (d.relative_l2 > worst->relative_l2) worst->relative_l2 = d.relative_l2;
        if (d.cosine < worst->cosine) worst->cosine = d.cosine;
        if (d.max_error > worst->max_error) worst->max_error = d.max_error;
    }
    return FVLM_OK;
}

static void copy_token(const comparison *c, uint32_t id, char out[FVLM_MAX_TOKEN_TEXT])
{
    size_t n = 0;
    const char *bytes = fvlm_tokenizer_bytes(fvlm_model_tokenizer(c->candidates[0].m), id, &n);
    if (n > FVLM_MAX_TOKEN_TEXT - 1) n = FVLM_MAX_TOKEN_TEXT - 1;
    if (bytes) memcpy(out, bytes, n);
    out[bytes ? n : 0] = '\0';
}

/* truth is NULL if only the token is known. */
static fvlm_status measure_logits(comparison *c, const fvlm_lockstep_block *shown, const float *truth, fvlm_err *err)
{
    fvlm_parity_answer *answer = &c->out->answers[c->out->n_answers - 1];
    fvlm_status st = FVLM_OK;
    c->in_prompt = false;
    c->next = c->witness->kind->next(c->witness);
    for (unsigned a = 0; a < c->o->n_acts && !st; a++) {
        fvlm_agreement *sum = &c->out->agreement[a];
        fvlm_parting *p = &answer->parting[a];
        const size_t n = shown[a].rows * shown[a].cols;
        uint32_t choice;
        if (truth)
            st = fvlm_agreement_add(sum, truth, shown[a].x, n, &choice, err);
        else
            fvlm_agreement_add_token(sum, c->next.id, shown[a].x, n, &choice);
        if (st || p->parted || choice == c->next.id) continue;
        p->parted = true;
        p->position = answer->positions;
        copy_token(c, c->next.id, p->source);
        copy_token(c, choice, p->model);
    }
    answer->positions++;
    return st;
}

/* The picture's rows, where nothing follows them. */
static void measure_embedding(comparison *c, const fvlm_lockstep_block *shown, const float *truth)
{
    for (unsigned a = 0; a < c->o->n_acts; a++)
        fvlm_likeness_add(&c->out->likeness[a], truth, shown[a].x, shown->rows, shown->cols);
    c->out->answers[c->out->n_answers - 1].positions += shown->rows;
}

static size_t positions_compared(const fvlm_parity *p)
{
    return p->embedding ? p->likeness[0].rows : p->agreement[0].compared;
}

/* Passes over general questions are not counted beforehand: the rest is estimated from the positions so far. */
static void show_progress(comparison *c)
{
    const size_t done = c->out->embedding ? c->out->likeness[0].rows : c->out->agreement[0].positions,
                 wanted = c->o->positions;
    c->met++;
    if (!c->o->progress) return;
    const uint64_t total = done >= wanted ? c->met : done > 0 ? c->met * wanted / done : c->met + wanted;
    c->o->progress(c->o->progress_ctx, c->met, total);
}

/* An fvlm_lockstep_compare. */
static fvlm_status meeting(void *ctx, const fvlm_lockstep_block *shown, fvlm_err *err)
{
    comparison *c = ctx;
    fvlm_witness *w = c->witness;
    const float *truth = NULL;
    fvlm_status st = FVLM_OK;
    for (unsigned a = 1; a < c->o->n_acts && !st; a++) st = fvlm_lockstep_check_same(&shown[0], &shown[a], err);
    if (!st) st = w->kind->block(w, shown->name, shown->rows, shown->cols, &truth, err);
    if (!st && c->in_prompt) st = measure_block(c, shown, truth, err);
    if (st) return st;
    if (c->out->embedding && !strcmp(shown->name, c->out->embedding)) {
        if (!truth) return fvlm_fail(err, FVLM_MISMATCH, "there is nothing to compare %s with", shown->name);
        measure_embedding(c, shown, truth);
    }
    if (!strcmp(shown->name, "logits")) st = measure_logits(c, shown, truth, err);
    show_progress(c);
    if (w->kind->release) w->kind->release(w);
    return st;
}

/* ---- one picture, all pictures ---- */

static fvlm_status run_candidates(comparison *c, const fvlm_runner_input *in, fvlm_err *err)
{
    fvlm_status st = fvlm_lockstep_create(&c->steps, c->o->n_acts, meeting, c, err);
    if (st) return st;
    for (unsigned a = 0; a < c->o->n_acts && !st; a++) {
        c->candidates[a].input = in;
        c->candidates[a].steps = c->steps;
        st = fvlm_runner_start(&c->candidates[a], err);
    }
    if (st) fvlm_lockstep_leave(c->steps);
    for (unsigned a = 0; a < c->o->n_acts; a++) st = fvlm_runner_join(&c->candidates[a], st, err);
    if (!st) st = fvlm_lockstep_status(c->steps, err);
    fvlm_lockstep_destroy(&c->steps);
    return st;
}

static fvlm_status add_answer(comparison *c, const fvlm_runner_input *in, fvlm_err *err)
{
    fvlm_parity *p = c->out;
    if (!fvlm_grow(&p->answers, &c->answers_capacity, p->n_answers + 1, sizeof *p->answers))
        return fvlm_fail_nomem(err);
    p->answers[p->n_answers++] = (fvlm_parity_answer){.image = in->image, .prompt = in->prompt};
    p->picture_notes |= in->pixels->notes;
    if (!in->same_pixels) *(in->image ? &p->n_images : &p->n_drawn) += 1;
    return FVLM_OK;
}

static fvlm_status compare_all(comparison *c, fvlm_err *err)
{
    fvlm_witness *w = c->witness;
    fvlm_status st = FVLM_OK;
    bool more = true;
    for (unsigned a = 0; a < c->o->n_acts && !st; a++) st = w->kind->accept(w, c->candidates[a].m, err);
    while (!st && more) {
        fvlm_runner_input in;
        c->next = (fvlm_runner_token){0};
        st = w->kind->begin(w, positions_compared(c->out), &in, &more, err);
        c->in_prompt = more && !in.same_start;
        if (!st && more) st = add_answer(c, &in, err);
        if (!st && more) st = run_candidates(c, &in, err);
        if (w->kind->end) st = w->kind->end(w, st, err);
    }
    return st;
}

/* The user's limits are of what is compared. */
static fvlm_status check_limits(const comparison *c, fvlm_err *err)
{
    const fvlm_parity_limits *l = &c->o->limits;
    if (c->witness->embedding && (l->by_kl || l->by_top1))
        return fvlm_fail(err, FVLM_USAGE,
                         "--max-kl and --min-agree: only embeddings are compared here; --max-error limits those");
    if (!c->witness->embedding && l->by_error)
        return fvlm_fail(err, FVLM_USAGE,
                         "--max-error: predictions are compared here; --max-kl and --min-agree limit those");
    return FVLM_OK;
}

/* ---- the files ---- */

static fvlm_status open_candidates(comparison *c, fvlm_err *err)
{
    const fvlm_parity_options *o = c->o;
    fvlm_status st = FVLM_OK;
    for (unsigned a = 0; a < o->n_acts && !st; a++) {
        fvlm_runner *r = &c->candidates[a];
        *r = (fvlm_runner){.index = a, .n_meets = 1, .next = &c->next};
        st = fvlm_runner_open(r, o->model, o->acts[a], o->n_acts + c->witness->n_models, o, err);
    }
    return st;
}

static fvlm_status grade(comparison *c, fvlm_err *err)
{
    fvlm_parity *p = c->out;
    fvlm_status st = FVLM_OK;
    p->precision = fvlm_precision_of(fvlm_model_reader(c->candidates[0].m), c->witness->source);
    p->graph_is_coarse = c->witness->precision > p->precision;
    if (p->graph_is_coarse) p->precision = c->witness->precision;
    for (unsigned a = 0; a < p->n_acts && !st; a++) {
        p->bounds[a] = fvlm_bounds_for(p->precision, p->acts[a]);
        st = fvlm_agreement_summarize(&p->agreement[a], &p->statistics[a], err);
        p->grading[a] = fvlm_grade_statistics(&p->statistics[a], p->agreement[a].compared);
    }
    return st;
}

/* What was measured counts only if no file has changed. */
static fvlm_status check_unchanged(const comparison *c, fvlm_status st, fvlm_err *err)
{
    if (c->witness) st = c->witness->kind->check_unchanged(c->witness, st, err);
    for (unsigned a = 0; a < c->o->n_acts; a++)
        if (c->candidates[a].m) st = fvlm_reader_check_unchanged(fvlm_model_reader(c->candidates[a].m), st, err);
    return st;
}

fvlm_status fvlm_parity_run(fvlm_parity *out, const fvlm_parity_options *o, fvlm_err *err)
{
    comparison c = {.o = o, .out = out};
    const double started = fvlm_clock_seconds();
    *out = (fvlm_parity){.n_acts = o->n_acts, .limits = o->limits, .tiling = o->tiling};
    memcpy(out->acts, o->acts, sizeof out->acts);
    fvlm_status st = o->recorded ? fvlm_witness_recorded_open(&c.witness, o, err)
                     : o->onnx   ? fvlm_witness_onnx_open(&c.witness, o, err)
                                 : fvlm_witness_model_open(&c.witness, o, err);
    if (!st) out->embedding = c.witness->embedding;
    if (!st) out->against_graph = c.witness->kind->describe != NULL;
    if (!st) st = check_limits(&c, err);
    if (!st) st = open_candidates(&c, err);
    if (!st) st = compare_all(&c, err);
    if (!st) st = grade(&c, err);
    st = check_unchanged(&c, st, err);
    for (unsigned a = 0; a < o->n_acts; a++) fvlm_runner_close(&c.candidates[a]);
    if (c.witness) c.witness->kind->close(c.witness);
    out->seconds = fvlm_clock_seconds() - started;
    if (st) fvlm_parity_free(out);
    return st;
}

void fvlm_parity_free(fvlm_parity *p)
{
    for (unsigned a = 0; a < FVLM_MAX_CANDIDATES; a++) fvlm_agreement_free(&p->agreement[a]);
    free(p->blocks);
    free(p->answers);
    p->blocks = NULL;
    p->answers = NULL;
    p->n_blocks = p->n_answers = 0;
}
