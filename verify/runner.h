/* SPDX-License-Identifier: Apache-2.0 */
/* runner.h - private to verify/: one model on a thread of its own, over a picture and a prompt and then along an answer
 * that is decided elsewhere. It meets its lockstep (lockstep.h) at every block of the prompt's pass, later at the
 * logits only, and leaves it at the end. */
#ifndef FVLM_VERIFY_RUNNER_H
#define FVLM_VERIFY_RUNNER_H

#include <pthread.h>

#include "reference/reference.h"
#include "verify/lockstep.h"
#include "verify/parity.h"

typedef struct {
    const fvlm_pixels *pixels; /* of the picture, or of its overview */
    const fvlm_tiles *tiles;   /* with what it is divided into; NULL: nothing */
    bool same_pixels;          /* as in the input before: the tower does not run again */
    bool same_start;     /* the ids before the picture, too: the pass begins after it and meets at its logits only */
    const char *image;   /* the file it is from; NULL if it was drawn */
    const char *prompt;  /* NULL if it was recorded */
    const uint32_t *ids; /* of the prompt; the picture's rows go in after the first 'split' of them */
    size_t n_ids, split;
    const char *embedding; /* "projector" or "vision.final": the pass ends with this block, and there are no ids */
    size_t n_tokens;       /* predictions of the answer, at most; the first is that of the prompt's pass */
} fvlm_runner_input;

/* What follows the logits that were met last. */
typedef struct {
    uint32_t id;
    bool ended; /* nothing */
} fvlm_runner_token;

typedef struct {
    fvlm_model *m;
    /* Set before fvlm_runner_start: */
    const fvlm_runner_input *input;
    fvlm_lockstep *steps;
    unsigned index;                /* among the runners of the lockstep */
    unsigned n_meets;              /* for each block: 2 keeps it in hand from the first to the second */
    const fvlm_runner_token *next; /* may change while the logits are met */
    /* Inside: */
    float *picture; /* [n_image, image width]: the rows of the picture */
    size_t n_image;
    pthread_t thread;
    bool started, in_prompt, stopped;
    fvlm_status st;
    fvlm_err err;
} fvlm_runner;

/* Opens the model, r->m, for a comparison in which n_runners share the threads. */
fvlm_status fvlm_runner_open(fvlm_runner *r, const char *path, fvlm_act_mode act, unsigned n_runners,
                             const fvlm_parity_options *o, fvlm_err *err);
void fvlm_runner_close(fvlm_runner *r);

fvlm_status fvlm_runner_start(fvlm_runner *r, fvlm_err *err);

/* Waits for the end, if it was started. Returns st, or the runner's failure if st is FVLM_OK. */
fvlm_status fvlm_runner_join(fvlm_runner *r, fvlm_status st, fvlm_err *err);

#endif
