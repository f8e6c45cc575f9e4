/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_thread.c - see witness_onnx.h: the graphs run on a thread of their own, and meet the asking one twice for each
 * block that has a value, as witness_model.c does. */
#include <stdlib.h>
#include <string.h>

#include "verify/witness_onnx.h"

static void show(fvlm_onnx_witness *w, const char *name, const float *x, size_t rows, size_t cols)
{
    for (unsigned i = 0; i < 2 && !w->stopped; i++)
        w->stopped = !fvlm_lockstep_meet(w->steps, FVLM_ONNX_RUNNER, name, x, rows, cols);
}

static void forget_waiting(fvlm_onnx_witness *w)
{
    for (size_t i = 0; w->waiting && i < w->vision.n_blocks + w->decoder.n_blocks; i++) {
        free(w->waiting[i].x);
        w->waiting[i].x = NULL;
    }
}

/* Shows what is complete, in the order of the blocks. */
static void show_waiting(fvlm_onnx_witness *w, const fvlm_locator *l)
{
    for (; w->n_shown < l->n_blocks; w->n_shown++) {
        const fvlm_located *b = &l->blocks[w->n_shown];
        fvlm_onnx_waiting *y = &w->waiting[w->n_shown];
        if (b->value == FVLM_GRAPH_NONE) continue;
        if (!y->x) return;
        show(w, b->name, y->x, y->rows, b->cols);
        free(y->x);
        y->x = NULL;
    }
}

static fvlm_status show_value(fvlm_onnx_witness *w, const fvlm_locator *l, uint32_t id, const fvlm_judge_tensor *t,
                              fvlm_err *err)
{
    const fvlm_located *b = fvlm_locator_find_value(l, id);
    size_t first;
    if (!b) return FVLM_OK;
    /* Another picture or prompt may have other sizes; the asking side compares them with its own. */
    const size_t rows = b->rows == 1 ? 1 : (size_t)t->n_elems / b->cols;
    if (!fvlm_locate_fits(t, rows, b->cols, b->transposed, &first))
        return fvlm_fail(err, FVLM_MISMATCH, "%s has another shape than before", b->name);
    float *x = fvlm_alloc(rows * b->cols, sizeof *x);
    if (!x) return fvlm_fail_nomem(err);
    fvlm_locate_copy(x, t, rows, b->cols, b->transposed, first);
    fvlm_onnx_waiting *y = &w->waiting[b - l->blocks];
    free(y->x); /* a node that puts out one value twice */
    *y = (fvlm_onnx_waiting){x, rows};
    show_waiting(w, l);
    return w->stopped ? FVLM_INTERRUPTED : FVLM_OK;
}

/* Observers of the judge. */
static fvlm_status see_vision(void *ctx, uint32_t id, const char *name, const fvlm_judge_tensor *t, fvlm_err *err)
{
    (void)name;
    return show_value(ctx, &((fvlm_onnx_witness *)ctx)->vision, id, t, err);
}

static fvlm_status see_decoder(void *ctx, uint32_t id, const char *name, const fvlm_judge_tensor *t, fvlm_err *err)
{
    (void)name;
    return show_value(ctx, &((fvlm_onnx_witness *)ctx)->decoder, id, t, err);
}

static fvlm_status run_prompt(fvlm_onnx_witness *w, fvlm_err *err)
{
    const fvlm_runner_input *in = w->input;
    const fvlm_config *c = fvlm_model_config(w->m);
    const fvlm_judge_observer o = {.value = see_decoder, .ctx = w};
    const size_t n = w->n_image + in->n_ids, kept = in->same_start ? in->split + w->n_image : 0;
    w->n_shown = 0;
    fvlm_onnx_pass_rewind(&w->pass, kept);
    fvlm_status st = fvlm_onnx_witness_embed(w, in, in->same_start, err);
    if (!st && w->in_prompt) show(w, "llm.embed", w->rows, n, c->llm.hidden);
    if (st || w->stopped) return st;
    return fvlm_onnx_pass_decode(&w->pass, w->rows + kept * c->llm.hidden, n - kept, w->in_prompt ? &o : NULL,
                                 w->logits, err);
}

static fvlm_status run_all(fvlm_onnx_witness *w, fvlm_err *err)
{
    const fvlm_runner_input *in = w->input;
    const size_t vocab = fvlm_model_config(w->m)->llm.vocab;
    const fvlm_judge_observer o = {.value = see_vision, .ctx = w};
    fvlm_status st = FVLM_OK;
    w->in_prompt = !in->same_start;
    w->n_shown = 0;
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
    fvlm_onnx_witness *w = ctx;
    w->stopped = false;
    w->st = run_all(w, &w->err);
    if (w->stopped) w->st = FVLM_OK; /* whoever left the lockstep says why */
    forget_waiting(w);
    fvlm_lockstep_leave(w->steps);
    return NULL;
}

fvlm_status fvlm_onnx_witness_join(fvlm_onnx_witness *w, fvlm_status st, fvlm_err *err)
{
    if (!w->started) return st;
    pthread_join(w->thread, NULL);
    w->started = false;
    if (st || !w->st) return st;
    if (err) *err = w->err;
    return w->st;
}

fvlm_status fvlm_onnx_witness_start(fvlm_onnx_witness *w, fvlm_err *err)
{
    w->started = pthread_create(&w->thread, NULL, run_thread, w) == 0;
    return w->started ? FVLM_OK : fvlm_fail(err, FVLM_IO, "cannot start a thread");
}
