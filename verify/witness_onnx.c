/* SPDX-License-Identifier: Apache-2.0 */
/* witness_onnx.c - ONNX graphs as a witness, interpreted by the judge (judge/judge.h). For the first input both
 * networks run once to find which value of the graphs each block is (locate.h). Then, as in witness_model.c, a thread
 * runs the graphs and meets the asking one twice for each block that has a value. */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "verify/input_list.h"
#include "verify/locate.h"
#include "verify/onnx_pass.h"
#include "verify/witness.h"

enum { RUNNER, ASKER, N_MEET };

typedef struct {
    fvlm_witness base;
    const fvlm_parity_options *o;
    fvlm_reader *source; /* what convert makes of the graphs; NULL: it makes nothing of them */
    fvlm_onnx_graphs graphs;
    fvlm_pool *pool;
    fvlm_onnx_pass pass;
    fvlm_model *m; /* the model in f32, to find the values, and for its tokenizer */
    fvlm_locator vision, decoder;
    bool located;
    fvlm_input_list inputs;
    const fvlm_runner_input *input; /* of the thread */
    size_t n_image, width;          /* the picture's rows */
    float *picture, *rows, *logits, *block;
    pthread_t thread;
    bool started, in_prompt, stopped;
    fvlm_status st;
    fvlm_err err;
    fvlm_lockstep *steps;
    fvlm_lockstep_block in_hand;
    fvlm_runner_token next;
} onnx_witness;

/* ---- does the model fit ---- */

static fvlm_status refuse_model(const onnx_witness *w, const fvlm_graph *g, const char *what, uint64_t theirs,
                                uint64_t ours, fvlm_err *err)
{
    return fvlm_fail(err, FVLM_MISMATCH, "\"%s\" and \"%s\" are not the same model: %s is %" PRIu64 " and %" PRIu64,
                     fvlm_graph_path(g), w->o->model, what, theirs, ours);
}

static fvlm_status check_decoder(const onnx_witness *w, const fvlm_config *c, fvlm_err *err)
{
    const fvlm_onnx_graphs *g = &w->graphs;
    const size_t layers = g->n_caches / 2;
    if (g->n_caches && layers != c->llm.layers)
        return refuse_model(w, g->decoder, "the number of layers", layers, c->llm.layers, err);
    for (size_t i = 0; i < g->n_caches; i++) {
        const fvlm_onnx_cache *x = &g->caches[i];
        if (x->heads && x->heads != c->llm.kv_heads)
            return refuse_model(w, g->decoder, "the number of key and value heads", x->heads, c->llm.kv_heads, err);
        if (x->dim && x->dim != c->llm.head_dim)
            return refuse_model(w, g->decoder, "the width of a head", x->dim, c->llm.head_dim, err);
    }
    const fvlm_graph_value *logits = fvlm_graph_value_at(g->decoder, g->logits_id);
    const int64_t vocab = logits->has_shape && logits->rank ? logits->dims[logits->rank - 1] : -1;
    if (vocab >= 0 && vocab < (int64_t)c->llm.vocab)
        return refuse_model(w, g->decoder, "the vocabulary", (uint64_t)vocab, c->llm.vocab, err);
    return FVLM_OK;
}

static fvlm_status check_side(const onnx_witness *w, fvlm_err *err)
{
    const uint32_t made_for = w->graphs.side;
    if (!made_for || made_for == w->inputs.side) return FVLM_OK;
    return fvlm_fail(err, FVLM_USAGE,
                     "\"%s\" is made for pictures of %" PRIu32 " x %" PRIu32 " pixels; leave out --size",
                     fvlm_graph_path(w->graphs.vision), made_for, made_for);
}

/* The block that the vision graph ends with, by the width of its rows. A graph that does not declare it is taken to end
 * as the model does. */
static fvlm_status find_end(onnx_witness *w, const fvlm_config *c, bool *projected, fvlm_err *err)
{
    const fvlm_graph_value *v = fvlm_graph_value_at(w->graphs.vision, w->graphs.features_id);
    const bool has_projector = fvlm_config_has_projector(c), is_map = v->has_shape && v->rank == 4;
    const int64_t width = !v->has_shape || v->rank < 2 ? -1 : v->dims[is_map ? 1 : v->rank - 1];
    *projected = has_projector && (width < 0 || width == (int64_t)c->projector.out);
    if (*projected || width < 0 || width == (int64_t)c->vision.out_dim) return FVLM_OK;
    return refuse_model(w, w->graphs.vision, "the width of a picture's row", (uint64_t)width,
                        fvlm_config_image_width(c), err);
}

static fvlm_status accept(fvlm_witness *base, const fvlm_model *m, fvlm_err *err)
{
    onnx_witness *w = (onnx_witness *)base;
    return fvlm_model_check_side(m, w->inputs.side, err);
}

/* ---- which values the blocks are ---- */

static void observe_vision(void *ctx, const char *name, const float *x, size_t rows, size_t cols)
{
    onnx_witness *w = ctx;
    /* "llm.embed" is put together here, and logits are taken as they come out. */
    if (!strcmp(name, "llm.embed") || !strcmp(name, "logits")) return;
    fvlm_locator_add_block(!strncmp(name, "llm.", 4) ? &w->decoder : &w->vision, name, x, rows, cols);
}

static fvlm_status create_buffers(onnx_witness *w, const fvlm_runner_input *in, fvlm_err *err)
{
    const fvlm_config *c = fvlm_model_config(w->m);
    w->n_image = fvlm_model_image_tokens(c, in->pixels->side);
    const size_t n = w->n_image + in->n_ids;
    free(w->picture);
    free(w->rows);
    w->picture = fvlm_alloc(w->n_image * w->width, sizeof *w->picture);
    w->rows = fvlm_alloc(n * c->llm.hidden, sizeof *w->rows);
    if (!w->logits) w->logits = fvlm_alloc(c->llm.vocab, sizeof *w->logits);
    return w->picture && w->rows && w->logits ? FVLM_OK : fvlm_fail_nomem(err);
}

/* The prompt's rows, from position first on, with the picture's where they belong. */
static fvlm_status embed_prompt(onnx_witness *w, const fvlm_runner_input *in, bool only_after, fvlm_err *err)
{
    const size_t hidden = fvlm_model_config(w->m)->llm.hidden, n_picture = w->n_image * hidden;
    float *picture = w->rows + in->split * hidden;
    fvlm_status st = only_after ? FVLM_OK : fvlm_onnx_pass_embed(&w->pass, in->ids, in->split, w->rows, err);
    memcpy(picture, w->picture, n_picture * sizeof *picture);
    return st ? st
              : fvlm_onnx_pass_embed(&w->pass, in->ids + in->split, in->n_ids - in->split, picture + n_picture, err);
}

static fvlm_status locate_vision(onnx_witness *w, const fvlm_runner_input *in, fvlm_err *err)
{
    const fvlm_config *c = fvlm_model_config(w->m);
    const bool project = !w->base.embedding || !strcmp(w->base.embedding, "projector");
    const fvlm_judge_observer o = {.value = fvlm_locator_add_value, .ctx = &w->vision};
    float *features = fvlm_alloc(w->n_image * c->vision.out_dim, sizeof *features);
    fvlm_status st = features ? fvlm_model_tower(w->m, in->pixels, features, err) : fvlm_fail_nomem(err);
    if (!st && project) st = fvlm_model_project(w->m, features, w->n_image, w->picture, err);
    free(features);
    fvlm_locator_anchor(&w->vision, w->graphs.features_id);
    if (!st) st = fvlm_onnx_pass_encode(&w->pass, in->pixels, &o, w->n_image, w->width, w->picture, err);
    return st ? st : fvlm_locator_solve(&w->vision, err);
}

/* Both decoders get the same rows: those of the graphs. */
static fvlm_status locate_decoder(onnx_witness *w, const fvlm_runner_input *in, fvlm_err *err)
{
    const size_t n = w->n_image + in->n_ids;
    const fvlm_judge_observer o = {.value = fvlm_locator_add_value, .ctx = &w->decoder};
    fvlm_status st = embed_prompt(w, in, false, err);
    if (!st) st = fvlm_model_forward(w->m, w->rows, n, false, w->logits, err);
    if (!st) st = fvlm_onnx_pass_decode(&w->pass, w->rows, n, &o, w->logits, err);
    fvlm_onnx_pass_rewind(&w->pass, 0);
    return st ? st : fvlm_locator_solve(&w->decoder, err);
}

static fvlm_status locate(onnx_witness *w, const fvlm_runner_input *in, fvlm_err *err)
{
    fvlm_status st = locate_vision(w, in, err);
    if (!st && !w->base.embedding) st = locate_decoder(w, in, err);
    w->located = !st;
    return st;
}

/* ---- the thread ---- */

static void show(onnx_witness *w, const char *name, const float *x, size_t rows, size_t cols)
{
    for (unsigned i = 0; i < 2 && !w->stopped; i++)
        w->stopped = !fvlm_lockstep_meet(w->steps, RUNNER, name, x, rows, cols);
}

static fvlm_status show_value(onnx_witness *w, const fvlm_locator *l, uint32_t id, const fvlm_judge_tensor *t,
                              fvlm_err *err)
{
    const fvlm_located *b = fvlm_locator_find_value(l, id);
    size_t first;
    if (!b) return FVLM_OK;
    /* Another picture or prompt may have other sizes; those of the block are the asking side's to compare. */
    const size_t rows = b->rows == 1 ? 1 : (size_t)t->n_elems / b->cols;
    if (!fvlm_locate_fits(t, rows, b->cols, b->transposed, &first))
        return fvlm_fail(err, FVLM_MISMATCH, "%s has another shape than before", b->name);
    free(w->block);
    w->block = fvlm_alloc(rows * b->cols, sizeof *w->block);
    if (!w->block) return fvlm_fail_nomem(err);
    fvlm_locate_copy(w->block, t, rows, b->cols, b->transposed, first);
    show(w, b->name, w->block, rows, b->cols);
    return w->stopped ? FVLM_INTERRUPTED : FVLM_OK;
}

/* Observers of the judge. */
static fvlm_status see_vision(void *ctx, uint32_t id, const char *name, const fvlm_judge_tensor *t, fvlm_err *err)
{
    (void)name;
    return show_value(ctx, &((onnx_witness *)ctx)->vision, id, t, err);
}

static fvlm_status see_decoder(void *ctx, uint32_t id, const char *name, const fvlm_judge_tensor *t, fvlm_err *err)
{
    (void)name;
    return show_value(ctx, &((onnx_witness *)ctx)->decoder, id, t, err);
}

static fvlm_status run_prompt(onnx_witness *w, fvlm_err *err)
{
    const fvlm_runner_input *in = w->input;
    const fvlm_config *c = fvlm_model_config(w->m);
    const fvlm_judge_observer o = {.value = see_decoder, .ctx = w};
    const size_t n = w->n_image + in->n_ids, kept = in->same_start ? in->split + w->n_image : 0;
    fvlm_onnx_pass_rewind(&w->pass, kept);
    fvlm_status st = embed_prompt(w, in, in->same_start, err);
    if (!st && w->in_prompt) show(w, "llm.embed", w->rows, n, c->llm.hidden);
    if (st || w->stopped) return st;
    return fvlm_onnx_pass_decode(&w->pass, w->rows + kept * c->llm.hidden, n - kept, w->in_prompt ? &o : NULL,
                                 w->logits, err);
}

static fvlm_status run_all(onnx_witness *w, fvlm_err *err)
{
    const fvlm_runner_input *in = w->input;
    const size_t vocab = fvlm_model_config(w->m)->llm.vocab;
    const fvlm_judge_observer o = {.value = see_vision, .ctx = w};
    fvlm_status st = FVLM_OK;
    w->in_prompt = !in->same_start;
    if (!in->same_pixels) st = fvlm_onnx_pass_encode(&w->pass, in->pixels, &o, w->n_image, w->width, w->picture, err);
    if (st || w->stopped || in->embedding) return st;
    st = run_prompt(w, err);
    if (!st && !w->stopped) show(w, "logits", w->logits, 1, vocab);
    for (size_t i = 1; i < in->n_tokens && !st && !w->stopped && !w->next.ended; i++) {
        st = fvlm_onnx_pass_embed(&w->pass, &w->next.id, 1, w->rows, err);
        if (!st) st = fvlm_onnx_pass_decode(&w->pass, w->rows, 1, NULL, w->logits, err);
        if (!st) show(w, "logits", w->logits, 1, vocab);
    }
    return st;
}

static void *run_thread(void *ctx)
{
    onnx_witness *w = ctx;
    w->stopped = false;
    w->st = run_all(w, &w->err);
    if (w->stopped) w->st = FVLM_OK; /* whoever left the lockstep says why */
    fvlm_lockstep_leave(w->steps);
    return NULL;
}

static fvlm_status join(onnx_witness *w, fvlm_status st, fvlm_err *err)
{
    if (!w->started) return st;
    pthread_join(w->thread, NULL);
    w->started = false;
    if (st || !w->st) return st;
    if (err) *err = w->err;
    return w->st;
}

/* ---- the witness ---- */

/* An fvlm_lockstep_compare. */
static fvlm_status hand_over(void *ctx, const fvlm_lockstep_block *shown, fvlm_err *err)
{
    onnx_witness *w = ctx;
    w->in_hand = shown[RUNNER];
    return fvlm_lockstep_check_same(&shown[RUNNER], &shown[ASKER], err);
}

static fvlm_status begin(fvlm_witness *base, size_t positions, fvlm_runner_input *in, bool *more, fvlm_err *err)
{
    onnx_witness *w = (onnx_witness *)base;
    fvlm_status st = fvlm_input_list_next(&w->inputs, w->m, positions, in, more, err);
    if (st || !*more) return st;
    /* A decoder without caches for one number of positions predicts once. */
    if (w->graphs.n_fixed && !w->graphs.n_caches) in->n_tokens = 1;
    float *picture = in->same_pixels ? w->picture : NULL;
    if (picture) w->picture = NULL;
    st = create_buffers(w, in, err);
    if (picture) {
        free(w->picture);
        w->picture = picture;
    }
    if (!st && !w->located) st = locate(w, in, err);
    if (!st) st = fvlm_lockstep_create(&w->steps, N_MEET, hand_over, w, err);
    if (st) return st;
    w->input = in;
    w->next = (fvlm_runner_token){0};
    w->started = pthread_create(&w->thread, NULL, run_thread, w) == 0;
    return w->started ? FVLM_OK : fvlm_fail(err, FVLM_IO, "cannot start a thread");
}

static const fvlm_located *find(const onnx_witness *w, const char *name)
{
    const fvlm_located *b = fvlm_locator_find(&w->vision, name);
    return b ? b : fvlm_locator_find(&w->decoder, name);
}

static fvlm_status block(fvlm_witness *base, const char *name, size_t rows, size_t cols, const float **x, fvlm_err *err)
{
    onnx_witness *w = (onnx_witness *)base;
    const fvlm_located *b = find(w, name);
    *x = NULL;
    if (b && b->value == FVLM_GRAPH_NONE) return FVLM_OK;
    if (fvlm_lockstep_meet(w->steps, ASKER, name, NULL, rows, cols)) {
        *x = w->in_hand.x;
        return FVLM_OK;
    }
    fvlm_status st = fvlm_lockstep_status(w->steps, err);
    st = join(w, st, err);
    return st ? st : fvlm_fail(err, FVLM_MISMATCH, "the models differ in structure: the graphs have no %s", name);
}

/* "llm.embed" and "logits" are an input and an output of the decoder. */
static void describe(const fvlm_witness *base, const char *name, fvlm_block_origin *out)
{
    const onnx_witness *w = (const onnx_witness *)base;
    const fvlm_located *b = find(w, name);
    const fvlm_graph *g = !b ? NULL : fvlm_locator_find(&w->vision, name) == b ? w->graphs.vision : w->graphs.decoder;
    *out = (fvlm_block_origin){0};
    const char *value = !strcmp(name, "logits") ? w->graphs.logits : w->graphs.embeds;
    if (b) {
        const uint32_t id = b->value != FVLM_GRAPH_NONE ? b->value : b->nearest;
        out->missing = b->value == FVLM_GRAPH_NONE;
        out->nearest = b->error;
        value = id != FVLM_GRAPH_NONE ? fvlm_graph_value_at(g, id)->name : "";
    }
    const bool is_end = b && b->value == w->graphs.features_id && g == w->graphs.vision;
    out->fixed = !b || is_end;
    snprintf(out->value, sizeof out->value, "%s", value ? value : "");
}

static fvlm_runner_token next(fvlm_witness *base)
{
    onnx_witness *w = (onnx_witness *)base;
    uint32_t top[5];
    fvlm_divergence_top5(w->in_hand.x, w->in_hand.cols, top);
    w->next = (fvlm_runner_token){top[0], fvlm_config_is_eos(fvlm_model_config(w->m), top[0])};
    return w->next;
}

static void release(fvlm_witness *base)
{
    onnx_witness *w = (onnx_witness *)base;
    const fvlm_lockstep_block *b = &w->in_hand;
    if (b->name) fvlm_lockstep_meet(w->steps, ASKER, b->name, NULL, b->rows, b->cols);
    w->in_hand = (fvlm_lockstep_block){0};
}

static fvlm_status end(fvlm_witness *base, fvlm_status st, fvlm_err *err)
{
    onnx_witness *w = (onnx_witness *)base;
    if (w->steps) fvlm_lockstep_leave(w->steps);
    st = join(w, st, err);
    fvlm_lockstep_destroy(&w->steps);
    return st;
}

static fvlm_status check_unchanged(const fvlm_witness *base, fvlm_status st, fvlm_err *err)
{
    const onnx_witness *w = (const onnx_witness *)base;
    st = fvlm_onnx_graphs_check_unchanged(&w->graphs, st, err);
    return base->source ? fvlm_reader_check_unchanged(base->source, st, err) : st;
}

static void close_witness(fvlm_witness *base)
{
    onnx_witness *w = (onnx_witness *)base;
    fvlm_onnx_pass_close(&w->pass);
    fvlm_onnx_graphs_close(&w->graphs);
    fvlm_locator_free(&w->vision);
    fvlm_locator_free(&w->decoder);
    fvlm_input_list_free(&w->inputs);
    fvlm_model_close(&w->m);
    fvlm_reader_close(&w->source);
    fvlm_pool_destroy(&w->pool);
    free(w->picture);
    free(w->rows);
    free(w->logits);
    free(w->block);
    free(w);
}

static const fvlm_witness_kind kind = {accept, begin,           block,         next,    release,
                                       end,    check_unchanged, close_witness, describe};

static fvlm_status open_parts(onnx_witness *w, fvlm_err *err)
{
    const fvlm_parity_options *o = w->o;
    const fvlm_model_options model = {.threads = o->threads,
                                      .cpu = o->cpu,
                                      .act = FVLM_ACT_F32,
                                      .stop = o->stop,
                                      .observer = observe_vision,
                                      .observer_ctx = w};
    fvlm_status st = fvlm_onnx_graphs_open(&w->graphs, o->onnx, o->variant, err);
    if (!st && o->source) st = fvlm_reader_open(&w->source, o->source, err);
    if (!st) st = fvlm_model_open(&w->m, o->model, &model, err);
    if (!st) st = fvlm_pool_create(&w->pool, o->threads, err);
    const fvlm_judge_options judge = {.pool = w->pool, .stop = o->stop};
    if (!st) st = fvlm_onnx_pass_open(&w->pass, &w->graphs, fvlm_model_config(w->m), &judge, err);
    return st;
}

/* Bounds need no certain number of positions, grades and the user's limits do; and an interpreter takes its time. */
static size_t positions_wanted(const onnx_witness *w)
{
    const fvlm_parity_limits *l = &w->o->limits;
    const bool graded = w->graphs.precision >= FVLM_PRECISION_INT8 ||
                        fvlm_precision_of(fvlm_model_reader(w->m), w->source) >= FVLM_PRECISION_INT8;
    return graded || l->by_kl || l->by_top1 ? w->o->positions : 0;
}

/* What is compared: all, or the picture's rows only, if one side has nothing behind them. */
static fvlm_status choose_end(onnx_witness *w, fvlm_err *err)
{
    const fvlm_config *c = fvlm_model_config(w->m);
    bool projected;
    fvlm_status st = find_end(w, c, &projected, err);
    if (st) return st;
    const bool whole = w->graphs.decoder && fvlm_config_has_llm(c);
    if (whole && !projected)
        return fvlm_fail(err, FVLM_UNSUPPORTED,
                         "\"%s\" ends before the projector, so that its rows cannot go into \"%s\"",
                         fvlm_graph_path(w->graphs.vision), fvlm_graph_path(w->graphs.decoder));
    w->width = projected ? c->projector.out : c->vision.out_dim;
    w->base.embedding = whole ? NULL : projected ? "projector" : "vision.final";
    w->inputs.embedding = w->base.embedding;
    w->inputs.positions = positions_wanted(w);
    w->inputs.side = w->o->side ? w->o->side : w->graphs.side ? w->graphs.side : c->vision.image_size;
    st = check_side(w, err);
    return st || !whole ? st : check_decoder(w, c, err);
}

fvlm_status fvlm_witness_onnx_open(fvlm_witness **out, const fvlm_parity_options *o, fvlm_err *err)
{
    onnx_witness *w = fvlm_alloc(1, sizeof *w);
    *out = NULL;
    if (!w) return fvlm_fail_nomem(err);
    *w = (onnx_witness){.o = o, .inputs = {.o = o}};
    fvlm_status st = open_parts(w, err);
    if (!st) st = choose_end(w, err);
    if (st) {
        close_witness(&w->base);
        return st;
    }
    w->base.kind = &kind;
    w->base.source = w->source;
    w->base.precision = w->graphs.precision;
    *out = &w->base;
    return FVLM_OK;
}
