/* SPDX-License-Identifier: Apache-2.0 */
/* witness_onnx.h - private to witness_onnx*.c: ONNX graphs as a witness. */
#ifndef FVLM_VERIFY_WITNESS_ONNX_H
#define FVLM_VERIFY_WITNESS_ONNX_H

#include <pthread.h>

#include "verify/input_list.h"
#include "verify/locate.h"
#include "verify/onnx_pass.h"
#include "verify/witness.h"

/* Who meets in its lockstep. */
enum { FVLM_ONNX_RUNNER, FVLM_ONNX_ASKER, FVLM_ONNX_MEETS };

/* A block's output that came before that of an earlier block: outputs of one node. */
typedef struct {
    float *x; /* [rows, cols]; NULL: none */
    size_t rows;
} fvlm_onnx_waiting;

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
    float *picture, *rows, *logits;
    size_t n_shown;             /* blocks of the running graph that were met or have no value */
    fvlm_onnx_waiting *waiting; /* [blocks of both locators] */
    pthread_t thread;
    bool started, in_prompt, stopped;
    fvlm_status st;
    fvlm_err err;
    fvlm_lockstep *steps;
    fvlm_lockstep_block in_hand;
    fvlm_runner_token next;
} fvlm_onnx_witness;

/* Allocates for an input, whose picture's rows are kept if the pixels are the same. */
fvlm_status fvlm_onnx_witness_reserve(fvlm_onnx_witness *w, const fvlm_runner_input *in, fvlm_err *err);

/* Runs both networks on an input and finds the values of the blocks. */
fvlm_status fvlm_onnx_witness_locate(fvlm_onnx_witness *w, const fvlm_runner_input *in, fvlm_err *err);

/* An fvlm_observer; ctx is the witness. */
void fvlm_onnx_witness_observe(void *ctx, const char *name, const float *x, size_t rows, size_t cols);

/* The prompt's rows in w->rows, with the picture's where they belong; or only those after it. */
fvlm_status fvlm_onnx_witness_embed(fvlm_onnx_witness *w, const fvlm_runner_input *in, bool only_after, fvlm_err *err);

/* Runs w->input on a thread; waits for its end. Join returns st, or the thread's failure if st is FVLM_OK. */
fvlm_status fvlm_onnx_witness_start(fvlm_onnx_witness *w, fvlm_err *err);
fvlm_status fvlm_onnx_witness_join(fvlm_onnx_witness *w, fvlm_status st, fvlm_err *err);

#endif
