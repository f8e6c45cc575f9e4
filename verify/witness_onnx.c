/* SPDX-License-Identifier: Apache-2.0 */
/* witness_onnx.c - ONNX graphs as a witness, interpreted by the judge (judge/judge.h). For the first input both
 * networks run once to find which value of the graphs each block is (onnx_find.c, locate.h). Then the graphs run beside
 * the candidates (onnx_thread.c). */
#include "verify/witness_onnx.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of all values at once, for graphs that nobody has checked: a picture of 4096 pixels a side needs 4 GB. */
#define MAX_BYTES ((uint64_t)16 << 30)

/* ---- does the model fit ---- */

static fvlm_status refuse_model(const fvlm_onnx_witness *w, const fvlm_graph *g, const char *what, uint64_t theirs,
                                uint64_t ours, fvlm_err *err)
{
    return fvlm_fail(err, FVLM_MISMATCH, "\"%s\" and \"%s\" are not the same model: %s is %" PRIu64 " and %" PRIu64,
                     fvlm_graph_path(g), w->o->model, what, theirs, ours);
}

static fvlm_status check_decoder(const fvlm_onnx_witness *w, const fvlm_config *c, fvlm_err *err)
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

static fvlm_status check_side(const fvlm_onnx_witness *w, fvlm_err *err)
{
    const uint32_t made_for = w->graphs.side;
    if (!made_for || made_for == w->inputs.side) return FVLM_OK;
    return fvlm_fail(err, FVLM_USAGE,
                     "\"%s\" is made for pictures of %" PRIu32 " x %" PRIu32 " pixels; leave out --size",
                     fvlm_graph_path(w->graphs.vision), made_for, made_for);
}

/* The block that the vision graph ends with, by the width of its rows. */
static fvlm_status find_end(fvlm_onnx_witness *w, const fvlm_config *c, bool *projected, fvlm_err *err)
{
    const fvlm_graph_value *v = fvlm_graph_value_at(w->graphs.vision, w->graphs.features_id);
    const bool has_projector = fvlm_config_has_projector(c), is_map = v->has_shape && v->rank == 4;
    int64_t width = !v->has_shape || v->rank < 2 ? -1 : v->dims[is_map ? 1 : v->rank - 1];
    if (width < 0) {
        uint64_t n = 0;
        const fvlm_status st = fvlm_onnx_pass_measure(&w->pass, w->inputs.side, &n, err);
        if (st) return st;
        width = (int64_t)(n / fvlm_model_image_tokens(c, w->inputs.side));
    }
    *projected = has_projector && width == (int64_t)c->projector.out;
    if (*projected || width == (int64_t)c->vision.out_dim) return FVLM_OK;
    return refuse_model(w, w->graphs.vision, "the width of a picture's row", (uint64_t)width,
                        fvlm_config_image_width(c), err);
}

static fvlm_status accept(fvlm_witness *base, const fvlm_model *m, fvlm_err *err)
{
    fvlm_onnx_witness *w = (fvlm_onnx_witness *)base;
    return fvlm_model_check_side(m, w->inputs.side, err);
}

/* ---- the witness ---- */

/* An fvlm_lockstep_compare. */
static fvlm_status hand_over(void *ctx, const fvlm_lockstep_block *shown, fvlm_err *err)
{
    fvlm_onnx_witness *w = ctx;
    w->in_hand = shown[FVLM_ONNX_RUNNER];
    return fvlm_lockstep_check_same(&shown[FVLM_ONNX_RUNNER], &shown[FVLM_ONNX_ASKER], err);
}

static fvlm_status begin(fvlm_witness *base, size_t positions, fvlm_runner_input *in, bool *more, fvlm_err *err)
{
    fvlm_onnx_witness *w = (fvlm_onnx_witness *)base;
    fvlm_status st = fvlm_input_list_next(&w->inputs, w->m, positions, in, more, err);
    if (st || !*more) return st;
    /* A decoder without caches for one number of positions predicts once. */
    if (w->graphs.n_fixed && !w->graphs.keeps) in->n_tokens = 1;
    st = fvlm_onnx_witness_reserve(w, in, err);
    if (!st && !w->located) st = fvlm_onnx_witness_locate(w, in, err);
    if (!st) st = fvlm_lockstep_create(&w->steps, FVLM_ONNX_MEETS, hand_over, w, err);
    if (st) return st;
    w->input = in;
    w->next = (fvlm_runner_token){0};
    return fvlm_onnx_witness_start(w, err);
}

static const fvlm_located *find(const fvlm_onnx_witness *w, const char *name)
{
    const fvlm_located *b = fvlm_locator_find(&w->vision, name);
    return b ? b : fvlm_locator_find(&w->decoder, name);
}

static fvlm_status block(fvlm_witness *base, const char *name, size_t rows, size_t cols, const float **x, fvlm_err *err)
{
    fvlm_onnx_witness *w = (fvlm_onnx_witness *)base;
    const fvlm_located *b = find(w, name);
    *x = NULL;
    if (b && b->value == FVLM_GRAPH_NONE) return FVLM_OK;
    if (fvlm_lockstep_meet(w->steps, FVLM_ONNX_ASKER, name, NULL, rows, cols)) {
        *x = w->in_hand.x;
        return FVLM_OK;
    }
    fvlm_status st = fvlm_lockstep_status(w->steps, err);
    st = fvlm_onnx_witness_join(w, st, err);
    return st ? st : fvlm_fail(err, FVLM_MISMATCH, "the models differ in structure: the graphs have no %s", name);
}

static void copy_name(char out[FVLM_MAX_VALUE_NAME], const char *name)
{
    snprintf(out, FVLM_MAX_VALUE_NAME, "%s", name ? name : "");
}

/* "llm.embed" and "logits" are an input and an output of the decoder. */
static void describe(const fvlm_witness *base, const char *name, fvlm_block_origin *out)
{
    const fvlm_onnx_witness *w = (const fvlm_onnx_witness *)base;
    const fvlm_located *b = find(w, name);
    const fvlm_graph *g = !b ? NULL : fvlm_locator_find(&w->vision, name) == b ? w->graphs.vision : w->graphs.decoder;
    *out = (fvlm_block_origin){.fixed = !b};
    if (!b) {
        copy_name(out->value, !strcmp(name, "logits") ? w->graphs.logits : w->graphs.embeds);
        return;
    }
    out->missing = b->value == FVLM_GRAPH_NONE;
    out->fixed = g == w->graphs.vision && b->value == w->graphs.features_id;
    out->nearest_error = b->error;
    if (!out->missing) copy_name(out->value, fvlm_graph_value_at(g, b->value)->name);
    if (b->nearest != FVLM_GRAPH_NONE) copy_name(out->nearest, fvlm_graph_value_at(g, b->nearest)->name);
}

static fvlm_runner_token next(fvlm_witness *base)
{
    fvlm_onnx_witness *w = (fvlm_onnx_witness *)base;
    uint32_t top[5];
    fvlm_divergence_top5(w->in_hand.x, w->in_hand.cols, top);
    w->next = (fvlm_runner_token){top[0], fvlm_config_is_eos(fvlm_model_config(w->m), top[0])};
    return w->next;
}

static void release(fvlm_witness *base)
{
    fvlm_onnx_witness *w = (fvlm_onnx_witness *)base;
    const fvlm_lockstep_block *b = &w->in_hand;
    if (b->name) fvlm_lockstep_meet(w->steps, FVLM_ONNX_ASKER, b->name, NULL, b->rows, b->cols);
    w->in_hand = (fvlm_lockstep_block){0};
}

static fvlm_status end(fvlm_witness *base, fvlm_status st, fvlm_err *err)
{
    fvlm_onnx_witness *w = (fvlm_onnx_witness *)base;
    if (w->steps) fvlm_lockstep_leave(w->steps);
    st = fvlm_onnx_witness_join(w, st, err);
    fvlm_lockstep_destroy(&w->steps);
    return st;
}

static fvlm_status check_unchanged(const fvlm_witness *base, fvlm_status st, fvlm_err *err)
{
    const fvlm_onnx_witness *w = (const fvlm_onnx_witness *)base;
    st = fvlm_onnx_graphs_check_unchanged(&w->graphs, st, err);
    return base->source ? fvlm_reader_check_unchanged(base->source, st, err) : st;
}

static void close_witness(fvlm_witness *base)
{
    fvlm_onnx_witness *w = (fvlm_onnx_witness *)base;
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
    free(w->waiting);
    free(w);
}

static const fvlm_witness_kind kind = {accept, begin,           block,         next,    release,
                                       end,    check_unchanged, close_witness, describe};

static fvlm_status open_parts(fvlm_onnx_witness *w, fvlm_err *err)
{
    const fvlm_parity_options *o = w->o;
    const fvlm_model_options model = {.threads = o->threads,
                                      .cpu = o->cpu,
                                      .act = FVLM_ACT_F32,
                                      .stop = o->stop,
                                      .observer = fvlm_onnx_witness_observe,
                                      .observer_ctx = w};
    fvlm_status st = fvlm_onnx_graphs_open(&w->graphs, o->onnx, o->variant, err);
    if (!st && o->source) st = fvlm_reader_open(&w->source, o->source, err);
    if (!st) st = fvlm_model_open(&w->m, o->model, &model, err);
    if (!st) st = fvlm_pool_create(&w->pool, o->threads, err);
    const fvlm_judge_options judge = {.pool = w->pool, .stop = o->stop, .max_bytes = MAX_BYTES};
    if (!st) st = fvlm_onnx_pass_open(&w->pass, &w->graphs, fvlm_model_config(w->m), &judge, err);
    return st;
}

/* Bounds need no certain number of positions, grades and the user's limits do; and an interpreter takes its time. */
static size_t positions_wanted(const fvlm_onnx_witness *w)
{
    const fvlm_parity_limits *l = &w->o->limits;
    const bool graded = w->graphs.precision >= FVLM_PRECISION_INT8 ||
                        fvlm_precision_of(fvlm_model_reader(w->m), w->source) >= FVLM_PRECISION_INT8;
    return graded || l->by_kl || l->by_top1 ? w->o->positions : 0;
}

/* What is compared: all, or the picture's rows only, if one side has nothing behind them. */
static fvlm_status choose_end(fvlm_onnx_witness *w, fvlm_err *err)
{
    const fvlm_config *c = fvlm_model_config(w->m);
    bool projected;
    if (c->tiles.n_sizes && !w->o->tiling.off)
        return fvlm_fail(err, FVLM_UNSUPPORTED,
                         "\"%s\" divides pictures into tiles; ONNX graphs are compared without: give --tiles off",
                         fvlm_reader_path(fvlm_model_reader(w->m)));
    w->inputs.side = w->o->side ? w->o->side : w->graphs.side ? w->graphs.side : c->vision.image_size;
    fvlm_status st = fvlm_model_check_side(w->m, w->inputs.side, err);
    if (!st) st = check_side(w, err);
    if (!st) st = find_end(w, c, &projected, err);
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
    return whole ? check_decoder(w, c, err) : FVLM_OK;
}

fvlm_status fvlm_witness_onnx_open(fvlm_witness **out, const fvlm_parity_options *o, fvlm_err *err)
{
    fvlm_onnx_witness *w = fvlm_alloc(1, sizeof *w);
    *out = NULL;
    if (!w) return fvlm_fail_nomem(err);
    *w = (fvlm_onnx_witness){.o = o, .inputs = {.o = o}};
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
