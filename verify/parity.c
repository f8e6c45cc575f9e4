/* SPDX-License-Identifier: Apache-2.0 */
/* parity.c - the walk: source and candidates through tower, projector and language model in lockstep (lockstep.h),
 * every block measured where they meet, then token by token along the source's own greedy answer. */
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "format/cli/cli.h"
#include "verify/lockstep.h"
#include "verify/parity.h"

typedef struct walk walk;

/* One model on its thread. */
typedef struct {
    walk *w;
    unsigned index;
    fvlm_model *m;
    bool in_prompt; /* the prompt's pass: every block is met; afterwards logits only */
    bool broken;
    fvlm_status st;
    fvlm_err err;
} runner;

struct walk {
    const fvlm_parity_options *o;
    fvlm_parity *out;
    fvlm_lockstep *steps;
    runner runners[FVLM_LOCKSTEP_MAX]; /* the source first, if it is a model */
    unsigned n_runners, first_candidate;
    fvlm_pixels pixels;
    uint32_t *ids; /* of the prompt; the picture's rows go in after 'split' of them */
    size_t n_ids, split;
    size_t n_tokens;     /* steps after the prompt, at most */
    size_t step;         /* logits met so far for this picture */
    uint32_t next;       /* the token everybody goes on with */
    bool ended;          /* the source ended its answer */
    uint64_t met, total; /* for progress */
};

/* ---- where they meet ---- */

static fvlm_block_parity *block_of(fvlm_parity *p, const fvlm_lockstep_block *shown, fvlm_err *err)
{
    for (size_t i = 0; i < p->n_blocks; i++)
        if (!strcmp(p->blocks[i].name, shown->name)) return &p->blocks[i];
    fvlm_block_parity *grown = realloc(p->blocks, (p->n_blocks + 1) * sizeof *grown);
    if (!grown) return fvlm_fail(err, FVLM_NOMEM, "out of memory"), NULL;
    p->blocks = grown;
    fvlm_block_parity *b = &grown[p->n_blocks++];
    *b = (fvlm_block_parity){.rows = shown->rows, .cols = shown->cols};
    for (unsigned a = 0; a < FVLM_MAX_CANDIDATES; a++) b->worst[a].cosine = 1;
    snprintf(b->name, sizeof b->name, "%s", shown->name);
    return b;
}

static void measure(fvlm_distance *worst, const float *x, const float *y, size_t n)
{
    const fvlm_distance d = fvlm_divergence_distance(x, y, n);
    if (d.relative_l2 > worst->relative_l2) worst->relative_l2 = d.relative_l2;
    if (d.cosine < worst->cosine) worst->cosine = d.cosine;
    if (d.max_error > worst->max_error) worst->max_error = d.max_error;
}

/* Logits: how far the predictions are apart, and which token comes next. truth is NULL when only tokens were recorded.
 */
static void meet_logits(walk *w, const fvlm_lockstep_block *shown, const float *truth)
{
    const size_t n = shown->rows * shown->cols;
    size_t n_greedy = 0;
    const int64_t *greedy = w->o->recorded ? fvlm_recorded_greedy(w->o->recorded, &n_greedy) : NULL;
    for (unsigned c = w->first_candidate; c < w->n_runners; c++) {
        fvlm_agreement *a = &w->out->agreement[c - w->first_candidate];
        if (truth)
            fvlm_agreement_add(a, truth, shown[c].x, n);
        else
            fvlm_agreement_add_token(a, (uint32_t)greedy[w->step], shown[c].x, n);
    }
    if (greedy) {
        w->ended = w->step >= n_greedy;
        w->next = w->ended ? 0 : (uint32_t)greedy[w->step];
    } else {
        uint32_t top[5];
        fvlm_divergence_top5(truth, n, top);
        w->next = top[0];
        w->ended = fvlm_config_is_eos(fvlm_model_config(w->runners[0].m), w->next);
    }
    w->step++;
}

static fvlm_status same_block(const walk *w, const fvlm_lockstep_block *shown, fvlm_err *err)
{
    for (unsigned i = 1; i < w->n_runners; i++)
        if (strcmp(shown[i].name, shown[0].name) || shown[i].rows != shown[0].rows || shown[i].cols != shown[0].cols)
            return fvlm_fail(err, FVLM_MISMATCH, "the models differ in structure: %s [%zu, %zu] beside %s [%zu, %zu]",
                             shown[0].name, shown[0].rows, shown[0].cols, shown[i].name, shown[i].rows, shown[i].cols);
    return FVLM_OK;
}

/* An fvlm_lockstep_compare. */
static fvlm_status meeting(void *ctx, const fvlm_lockstep_block *shown, fvlm_err *err)
{
    walk *w = ctx;
    const bool logits = !strcmp(shown->name, "logits"), prompt = w->step == 0;
    const float *truth = w->o->recorded ? NULL : shown[0].x;
    fvlm_status st = same_block(w, shown, err);
    if (st == FVLM_OK && w->o->recorded && prompt) {
        /* PyTorch's code may put out norms and logits of the last position only, which is what we show too. */
        st = fvlm_recorded_block(w->o->recorded, shown->name, shown->rows, shown->cols, &truth, err);
    }
    if (st) return st;
    if (prompt) {
        fvlm_block_parity *b = block_of(w->out, shown, err);
        if (!b) return FVLM_NOMEM;
        for (unsigned c = w->first_candidate; c < w->n_runners; c++)
            measure(&b->worst[c - w->first_candidate], truth, shown[c].x, shown->rows * shown->cols);
    }
    if (logits) meet_logits(w, shown, truth);
    w->met++;
    if (w->o->progress) w->o->progress(w->o->progress_ctx, w->met < w->total ? w->met : w->total, w->total);
    return FVLM_OK;
}

/* An fvlm_observer. */
static void show(void *ctx, const char *name, const float *x, size_t rows, size_t cols)
{
    runner *r = ctx;
    if (r->broken || (!r->in_prompt && strcmp(name, "logits"))) return;
    r->broken = !fvlm_lockstep_meet(r->w->steps, r->index, name, x, rows, cols);
}

/* ---- one model's way ---- */

typedef struct {
    float *features, *rows, *logits;
    size_t n_image, n_positions;
} room;

static fvlm_status make_room(const walk *w, const fvlm_model *m, room *s, fvlm_err *err)
{
    const fvlm_config *c = fvlm_model_config(m);
    s->n_image = fvlm_model_image_tokens(c, w->pixels.side);
    s->n_positions = w->n_ids + s->n_image;
    if (s->n_positions + w->n_tokens > fvlm_model_context(m))
        return fvlm_fail(err, FVLM_LIMIT, "%zu positions do not fit in the model's context of %zu",
                         s->n_positions + w->n_tokens, fvlm_model_context(m));
    s->features = fvlm_alloc(s->n_image * c->vision.out_dim, sizeof(float));
    s->rows = fvlm_alloc(s->n_positions * c->llm.hidden, sizeof(float));
    s->logits = fvlm_alloc(c->llm.vocab, sizeof(float));
    if (s->features && s->rows && s->logits) return FVLM_OK;
    return fvlm_fail(err, FVLM_NOMEM, "out of memory for %zu positions", s->n_positions);
}

static fvlm_status look(const walk *w, runner *r, room *s, fvlm_err *err)
{
    const size_t hidden = fvlm_model_config(r->m)->llm.hidden;
    float *picture = s->rows + w->split * hidden;
    fvlm_status st = fvlm_model_tower(r->m, &w->pixels, s->features, err);
    if (st == FVLM_OK && !r->broken) st = fvlm_model_project(r->m, s->features, s->n_image, picture, err);
    if (st == FVLM_OK) st = fvlm_model_embed(r->m, w->ids, w->split, s->rows, err);
    if (st == FVLM_OK)
        st = fvlm_model_embed(r->m, w->ids + w->split, w->n_ids - w->split, picture + s->n_image * hidden, err);
    return st;
}

static fvlm_status pass(runner *r, fvlm_err *err)
{
    const walk *w = r->w;
    room s = {0};
    fvlm_status st = make_room(w, r->m, &s, err);
    r->in_prompt = true;
    if (st == FVLM_OK) st = look(w, r, &s, err);
    fvlm_model_reset(r->m);
    if (st == FVLM_OK && !r->broken) st = fvlm_model_forward(r->m, s.rows, s.n_positions, false, s.logits, err);
    r->in_prompt = false;
    /* next and ended were set where the logits met, before anybody went on, and stay until all meet again. */
    for (size_t i = 0; i < w->n_tokens && st == FVLM_OK && !r->broken && !w->ended; i++) {
        const uint32_t id = w->next;
        st = fvlm_model_embed(r->m, &id, 1, s.rows, err);
        if (st == FVLM_OK) st = fvlm_model_forward(r->m, s.rows, 1, false, s.logits, err);
    }
    free(s.features);
    free(s.rows);
    free(s.logits);
    return st;
}

static void *run_thread(void *ctx)
{
    runner *r = ctx;
    r->broken = false;
    r->st = pass(r, &r->err);
    if (r->st) fvlm_lockstep_leave(r->w->steps);
    return NULL;
}

/* All models over one picture. */
static fvlm_status run_together(walk *w, fvlm_err *err)
{
    pthread_t threads[FVLM_LOCKSTEP_MAX];
    unsigned started = 0;
    w->step = 0;
    w->ended = false;
    fvlm_status st = fvlm_lockstep_create(&w->steps, w->n_runners, meeting, w, err);
    if (st) return st;
    for (; started < w->n_runners; started++)
        if (pthread_create(&threads[started], NULL, run_thread, &w->runners[started])) break;
    if (started < w->n_runners) {
        st = fvlm_fail(err, FVLM_IO, "cannot start a thread");
        fvlm_lockstep_leave(w->steps);
    }
    for (unsigned i = 0; i < started; i++) pthread_join(threads[i], NULL);
    if (st == FVLM_OK) st = fvlm_lockstep_status(w->steps, err);
    for (unsigned i = 0; i < started && st == FVLM_OK; i++) {
        st = w->runners[i].st;
        if (st && err) *err = w->runners[i].err;
    }
    fvlm_lockstep_destroy(&w->steps);
    return st;
}

/* ---- before and after ---- */

static fvlm_status open_models(walk *w, fvlm_err *err)
{
    const fvlm_parity_options *o = w->o;
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    const unsigned all = o->threads ? o->threads : online > 0 ? (unsigned)online : 1;
    w->first_candidate = o->source ? 1 : 0;
    w->n_runners = w->first_candidate + o->n_acts;
    for (unsigned i = 0; i < w->n_runners; i++) {
        const bool is_source = i < w->first_candidate;
        runner *r = &w->runners[i];
        *r = (runner){.w = w, .index = i};
        /* All run at once: they share the machine. */
        const fvlm_model_options options = {.threads = all / w->n_runners ? all / w->n_runners : 1,
                                            .cpu = o->cpu,
                                            .act = is_source ? FVLM_ACT_F32 : o->acts[i - w->first_candidate],
                                            /* also what the caller checked: a path can come to mean another file */
                                            .check = true,
                                            .stop = o->stop,
                                            .observer = show,
                                            .observer_ctx = r};
        fvlm_status st = fvlm_model_open(&r->m, is_source ? o->source : o->model, &options, err);
        if (st) return st;
    }
    return FVLM_OK;
}

static fvlm_status same_config(const walk *w, fvlm_err *err)
{
    const json_t *first = json_object_get(fvlm_reader_meta(fvlm_model_reader(w->runners[0].m)), "config");
    for (unsigned i = 1; i < w->n_runners; i++) {
        const json_t *other = json_object_get(fvlm_reader_meta(fvlm_model_reader(w->runners[i].m)), "config");
        if (!json_equal(first, other))
            return fvlm_fail(err, FVLM_MISMATCH,
                             "\"%s\" and \"%s\" are not the same model: their configurations differ", w->o->model,
                             w->o->source);
    }
    return FVLM_OK;
}

/* The source's ids; the model's own tokenizer must agree. */
static fvlm_status make_prompt(walk *w, fvlm_err *err)
{
    uint32_t *again = NULL;
    size_t n = 0, split = 0;
    fvlm_status st = fvlm_prompt_ids(w->runners[0].m, w->o->prompt, true, &w->ids, &w->n_ids, &w->split, err);
    if (st == FVLM_OK)
        st = fvlm_prompt_ids(w->runners[w->n_runners - 1].m, w->o->prompt, true, &again, &n, &split, err);
    if (st == FVLM_OK && (n != w->n_ids || split != w->split || memcmp(again, w->ids, n * sizeof *again)))
        st = fvlm_fail(err, FVLM_MISMATCH, "the two files make different token ids of the prompt");
    free(again);
    return st;
}

static fvlm_status take_recorded_prompt(walk *w, fvlm_err *err)
{
    size_t n;
    const int64_t *ids = fvlm_recorded_ids(w->o->recorded, &n);
    const uint32_t vocab = fvlm_model_config(w->runners[0].m)->llm.vocab;
    bool picture = false;
    w->ids = fvlm_alloc(n, sizeof *w->ids);
    if (!w->ids) return fvlm_fail(err, FVLM_NOMEM, "out of memory");
    for (size_t i = 0; i < n; i++) {
        if (ids[i] == -200 && !picture) {
            picture = true;
            w->split = w->n_ids;
        } else if (ids[i] >= 0 && ids[i] < (int64_t)vocab) {
            w->ids[w->n_ids++] = (uint32_t)ids[i];
        } else {
            return fvlm_fail(err, FVLM_BAD_INPUT, "the recorded input_ids hold %lld, which is no token of this model",
                             (long long)ids[i]);
        }
    }
    if (picture) return FVLM_OK;
    return fvlm_fail(err, FVLM_BAD_INPUT, "the recorded input_ids have no picture (-200)");
}

/* Every logit row recorded tokens are compared with must exist in the model. */
static fvlm_status check_greedy(const walk *w, fvlm_err *err)
{
    size_t n;
    const int64_t *greedy = fvlm_recorded_greedy(w->o->recorded, &n);
    for (size_t i = 0; i < n; i++)
        if (greedy[i] < 0 || greedy[i] >= (int64_t)fvlm_model_config(w->runners[0].m)->llm.vocab)
            return fvlm_fail(err, FVLM_BAD_INPUT, "the recorded greedy ids hold %lld, which is no token of this model",
                             (long long)greedy[i]);
    return FVLM_OK;
}

static fvlm_status walk_recorded(walk *w, fvlm_err *err)
{
    size_t n_greedy;
    fvlm_recorded_greedy(w->o->recorded, &n_greedy);
    w->pixels = *fvlm_recorded_pixels(w->o->recorded);
    w->n_tokens = n_greedy ? n_greedy - 1 : 0;
    w->total = fvlm_model_count_blocks(fvlm_model_config(w->runners[0].m)) + w->n_tokens;
    fvlm_status st = fvlm_model_check_side(w->runners[0].m, w->pixels.side, err);
    if (st == FVLM_OK) st = take_recorded_prompt(w, err);
    if (st == FVLM_OK) st = check_greedy(w, err);
    if (st == FVLM_OK) st = run_together(w, err);
    w->out->n_images = 1;
    return st;
}

static fvlm_status walk_pictures(walk *w, fvlm_err *err)
{
    const fvlm_config *c = fvlm_model_config(w->runners[0].m);
    const uint32_t side = w->o->side ? w->o->side : c->vision.image_size;
    w->n_tokens = w->o->tokens;
    w->total = w->o->n_images * (fvlm_model_count_blocks(c) + w->n_tokens);
    fvlm_status st = fvlm_model_check_side(w->runners[0].m, side, err);
    if (st == FVLM_OK) st = same_config(w, err);
    if (st == FVLM_OK) st = make_prompt(w, err);
    for (size_t i = 0; i < w->o->n_images && st == FVLM_OK; i++) {
        st = fvlm_pixels_load(&w->pixels, w->o->images[i], side, w->o->cpu, err);
        if (st == FVLM_OK) st = run_together(w, err);
        fvlm_pixels_free(&w->pixels);
        w->out->n_images++;
    }
    return st;
}

/* What was measured counts only if every file is still what it was. */
static fvlm_status settle(const walk *w, fvlm_status st, fvlm_err *err)
{
    for (unsigned i = 0; i < w->n_runners; i++)
        if (w->runners[i].m) st = fvlm_reader_check_unchanged(fvlm_model_reader(w->runners[i].m), st, err);
    return w->o->recorded ? fvlm_recorded_check_unchanged(w->o->recorded, st, err) : st;
}

fvlm_status fvlm_parity_run(fvlm_parity *out, const fvlm_parity_options *o, fvlm_err *err)
{
    walk w = {.o = o, .out = out};
    const double started = fvlm_clock_seconds();
    *out = (fvlm_parity){.n_acts = o->n_acts};
    fvlm_status st = open_models(&w, err);
    if (st == FVLM_OK) {
        const fvlm_reader *source = o->source ? fvlm_model_reader(w.runners[0].m) : NULL;
        out->grade = fvlm_grade_of(fvlm_model_reader(w.runners[w.first_candidate].m), source);
        for (unsigned a = 0; a < o->n_acts; a++) {
            out->acts[a] = o->acts[a];
            out->bounds[a] = fvlm_bounds_for(out->grade, o->acts[a]);
        }
        st = o->recorded ? walk_recorded(&w, err) : walk_pictures(&w, err);
    }
    st = settle(&w, st, err);
    free(w.ids);
    for (unsigned i = 0; i < w.n_runners; i++) fvlm_model_close(&w.runners[i].m);
    out->seconds = fvlm_clock_seconds() - started;
    if (st) fvlm_parity_free(out);
    return st;
}

void fvlm_parity_free(fvlm_parity *p)
{
    free(p->blocks);
    p->blocks = NULL;
    p->n_blocks = 0;
}
