/* SPDX-License-Identifier: Apache-2.0 */
/* runner.c - see runner.h. */
#include <stdlib.h>
#include <string.h>

#include "format/base/cpu.h"
#include "verify/runner.h"

/* An fvlm_observer. */
static void observe(void *ctx, const char *name, const float *x, size_t rows, size_t cols)
{
    fvlm_runner *r = ctx;
    if (!r->in_prompt && strcmp(name, "logits")) return;
    for (unsigned i = 0; i < r->n_meets && !r->stopped; i++)
        r->stopped = !fvlm_lockstep_meet(r->steps, r->index, name, x, rows, cols);
}

fvlm_status fvlm_runner_open(fvlm_runner *r, const char *path, fvlm_act_mode act, unsigned n_runners,
                             const fvlm_parity_options *o, fvlm_err *err)
{
    const unsigned threads = fvlm_threads_choose(o->threads);
    const fvlm_model_options options = {.threads = threads > n_runners ? threads / n_runners : 1,
                                        .cpu = o->cpu,
                                        .act = act,
                                        /* even if the caller has checked: path may be another file by now */
                                        .check = true,
                                        .stop = o->stop,
                                        .observer = observe,
                                        .observer_ctx = r};
    return fvlm_model_open(&r->m, path, &options, err);
}

void fvlm_runner_close(fvlm_runner *r)
{
    fvlm_model_close(&r->m);
    free(r->picture);
    r->picture = NULL;
}

/* Borrowed from the input. */
static fvlm_tiles tiles_of(const fvlm_runner_input *in)
{
    return in->tiles ? *in->tiles : (fvlm_tiles){.overview = *in->pixels};
}

typedef struct {
    float *rows, *logits;
    size_t n_positions;
} scratch;

static fvlm_status create_scratch(const fvlm_runner *r, scratch *s, fvlm_err *err)
{
    const fvlm_config *c = fvlm_model_config(r->m);
    const size_t n_steps = r->input->n_tokens ? r->input->n_tokens - 1 : 0;
    const fvlm_tiles tiles = tiles_of(r->input);
    s->n_positions = r->input->n_ids + fvlm_model_tiles_tokens(c, &tiles);
    if (s->n_positions + n_steps > fvlm_model_context(r->m))
        return fvlm_fail(err, FVLM_LIMIT, "%zu positions do not fit in the model's context of %zu",
                         s->n_positions + n_steps, fvlm_model_context(r->m));
    s->rows = fvlm_alloc(s->n_positions * c->llm.hidden, sizeof(float));
    s->logits = fvlm_alloc(c->llm.vocab, sizeof(float));
    return s->rows && s->logits ? FVLM_OK : fvlm_fail_nomem(err);
}

/* Leaves the picture's rows in r->picture. */
static fvlm_status encode_picture(fvlm_runner *r, fvlm_err *err)
{
    const fvlm_config *c = fvlm_model_config(r->m);
    const fvlm_tiles tiles = tiles_of(r->input);
    r->n_image = fvlm_model_tiles_tokens(c, &tiles);
    free(r->picture);
    const bool project = !r->input->embedding || !strcmp(r->input->embedding, "projector");
    const size_t width = project ? fvlm_config_image_width(c) : c->vision.out_dim;
    r->picture = fvlm_alloc(r->n_image * width, sizeof(float));
    if (!r->picture) return fvlm_fail_nomem(err);
    if (!project && fvlm_config_has_projector(c)) /* the rows before the projector, of an undivided picture */
        return fvlm_model_tower(r->m, r->input->pixels, r->picture, err);
    return fvlm_model_encode_tiles(r->m, &tiles, r->picture, NULL, err);
}

static fvlm_status run_prompt(fvlm_runner *r, scratch *s, fvlm_err *err)
{
    const fvlm_runner_input *in = r->input;
    const size_t hidden = fvlm_model_config(r->m)->llm.hidden, kept = in->same_start ? in->split + r->n_image : 0;
    float *picture = s->rows + in->split * hidden, *after = picture + r->n_image * hidden;
    fvlm_status st = FVLM_OK;
    fvlm_model_rewind(r->m, kept);
    if (!kept) {
        memcpy(picture, r->picture, r->n_image * hidden * sizeof *picture);
        st = fvlm_model_embed(r->m, in->ids, in->split, s->rows, err);
    }
    if (!st) st = fvlm_model_embed(r->m, in->ids + in->split, in->n_ids - in->split, after, err);
    if (!st) st = fvlm_model_forward(r->m, s->rows + kept * hidden, s->n_positions - kept, false, s->logits, err);
    return st;
}

static fvlm_status run(fvlm_runner *r, scratch *s, fvlm_err *err)
{
    r->in_prompt = !r->input->same_start;
    if (r->input->embedding) return encode_picture(r, err);
    fvlm_status st = create_scratch(r, s, err);
    if (!st && !r->input->same_pixels) st = encode_picture(r, err);
    if (!st && !r->stopped) st = run_prompt(r, s, err);
    r->in_prompt = false;
    for (size_t i = 1; i < r->input->n_tokens && !st && !r->stopped && !r->next->ended; i++) {
        st = fvlm_model_embed(r->m, &r->next->id, 1, s->rows, err);
        if (!st) st = fvlm_model_forward(r->m, s->rows, 1, false, s->logits, err);
    }
    return st;
}

static void *run_thread(void *ctx)
{
    fvlm_runner *r = ctx;
    scratch s = {0};
    r->stopped = false;
    r->st = run(r, &s, &r->err);
    free(s.rows);
    free(s.logits);
    fvlm_lockstep_leave(r->steps);
    return NULL;
}

fvlm_status fvlm_runner_start(fvlm_runner *r, fvlm_err *err)
{
    r->started = pthread_create(&r->thread, NULL, run_thread, r) == 0;
    return r->started ? FVLM_OK : fvlm_fail(err, FVLM_IO, "cannot start a thread");
}

fvlm_status fvlm_runner_join(fvlm_runner *r, fvlm_status st, fvlm_err *err)
{
    if (!r->started) return st;
    pthread_join(r->thread, NULL);
    r->started = false;
    if (st || !r->st) return st;
    if (err) *err = r->err;
    return r->st;
}
