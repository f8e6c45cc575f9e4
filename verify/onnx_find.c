/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_find.c - see witness_onnx.h: which values of the graphs the blocks are. The executor and the judge run on the
 * same input, one after the other, and the locator compares. */
#include <stdlib.h>
#include <string.h>

#include "verify/witness_onnx.h"

void fvlm_onnx_witness_observe(void *ctx, const char *name, const float *x, size_t rows, size_t cols)
{
    fvlm_onnx_witness *w = ctx;
    /* "llm.embed" is put together here, and logits are taken as they come out. */
    if (!strcmp(name, "llm.embed") || !strcmp(name, "logits")) return;
    fvlm_locator_add_block(!strncmp(name, "llm.", 4) ? &w->decoder : &w->vision, name, x, rows, cols);
}

fvlm_status fvlm_onnx_witness_reserve(fvlm_onnx_witness *w, const fvlm_runner_input *in, fvlm_err *err)
{
    const fvlm_config *c = fvlm_model_config(w->m);
    w->n_image = fvlm_model_image_tokens(c, in->pixels->side);
    const size_t n = w->n_image + in->n_ids;
    if (!in->same_pixels) {
        free(w->picture);
        w->picture = fvlm_alloc(w->n_image * w->width, sizeof *w->picture);
    }
    free(w->rows);
    w->rows = fvlm_alloc(n * c->llm.hidden, sizeof *w->rows);
    if (!w->logits) w->logits = fvlm_alloc(c->llm.vocab, sizeof *w->logits);
    return w->picture && w->rows && w->logits ? FVLM_OK : fvlm_fail_nomem(err);
}

fvlm_status fvlm_onnx_witness_embed(fvlm_onnx_witness *w, const fvlm_runner_input *in, bool only_after, fvlm_err *err)
{
    const size_t hidden = fvlm_model_config(w->m)->llm.hidden, n_picture = w->n_image * hidden;
    float *picture = w->rows + in->split * hidden;
    fvlm_status st = only_after ? FVLM_OK : fvlm_onnx_pass_embed(&w->pass, in->ids, in->split, w->rows, err);
    memcpy(picture, w->picture, n_picture * sizeof *picture);
    return st ? st
              : fvlm_onnx_pass_embed(&w->pass, in->ids + in->split, in->n_ids - in->split, picture + n_picture, err);
}

/* Observers of the judge; nobody else tells of progress meanwhile. */
static fvlm_status add_vision(void *ctx, uint32_t id, const char *name, const fvlm_judge_tensor *t, fvlm_err *err)
{
    (void)name;
    return fvlm_locator_add_value(&((fvlm_onnx_witness *)ctx)->vision, id, t, err);
}

static fvlm_status add_decoder(void *ctx, uint32_t id, const char *name, const fvlm_judge_tensor *t, fvlm_err *err)
{
    (void)name;
    return fvlm_locator_add_value(&((fvlm_onnx_witness *)ctx)->decoder, id, t, err);
}

static void show_nodes(void *ctx, size_t done, size_t n_nodes)
{
    const fvlm_parity_options *o = ((fvlm_onnx_witness *)ctx)->o;
    if (o->progress) o->progress(o->progress_ctx, done, n_nodes);
}

static fvlm_status locate_vision(fvlm_onnx_witness *w, const fvlm_runner_input *in, fvlm_err *err)
{
    const fvlm_config *c = fvlm_model_config(w->m);
    const bool project = !w->base.embedding || !strcmp(w->base.embedding, "projector");
    const fvlm_judge_observer o = {.value = add_vision, .progress = show_nodes, .ctx = w};
    float *features = fvlm_alloc(w->n_image * c->vision.out_dim, sizeof *features);
    fvlm_status st = features ? fvlm_model_tower(w->m, in->pixels, features, err) : fvlm_fail_nomem(err);
    if (!st && project) st = fvlm_model_project(w->m, features, w->n_image, w->picture, err);
    free(features);
    fvlm_locator_anchor(&w->vision, w->graphs.features_id);
    if (!st) st = fvlm_onnx_pass_encode(&w->pass, in->pixels, &o, w->n_image, w->width, w->picture, err);
    return st ? st : fvlm_locator_solve(&w->vision, w->graphs.vision, err);
}

/* Both decoders get the same rows: those of the graphs. */
static fvlm_status locate_decoder(fvlm_onnx_witness *w, const fvlm_runner_input *in, fvlm_err *err)
{
    const size_t n = w->n_image + in->n_ids;
    const fvlm_judge_observer o = {.value = add_decoder, .progress = show_nodes, .ctx = w};
    fvlm_status st = fvlm_onnx_witness_embed(w, in, false, err);
    if (!st) st = fvlm_model_forward(w->m, w->rows, n, false, w->logits, err);
    if (!st) st = fvlm_onnx_pass_decode(&w->pass, w->rows, n, &o, w->logits, err);
    fvlm_onnx_pass_rewind(&w->pass, 0);
    return st ? st : fvlm_locator_solve(&w->decoder, w->graphs.decoder, err);
}

fvlm_status fvlm_onnx_witness_locate(fvlm_onnx_witness *w, const fvlm_runner_input *in, fvlm_err *err)
{
    fvlm_status st = locate_vision(w, in, err);
    if (!st && !w->base.embedding) st = locate_decoder(w, in, err);
    if (!st && !(w->waiting = fvlm_alloc(w->vision.n_blocks + w->decoder.n_blocks, sizeof *w->waiting)))
        st = fvlm_fail_nomem(err);
    w->located = !st;
    return st;
}
