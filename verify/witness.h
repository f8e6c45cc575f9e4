/* SPDX-License-Identifier: Apache-2.0 */
/* witness.h - private to verify/: what a model is compared with. A witness brings its inputs (pictures and prompts) and
 * knows, for each block of a pass over them, what the output should be. parity.c asks it in the order in which the
 * model puts out its blocks:
 *
 *   accept                          once for every model
 *   begin                           for every input, until there is none
 *     block, release                for every block of the prompt's pass, unless it has the same start
 *     block, next, release          for every step's logits; not if the comparison ends with the picture's rows
 *   end
 *   check_unchanged, close
 */
#ifndef FVLM_VERIFY_WITNESS_H
#define FVLM_VERIFY_WITNESS_H

#include "verify/runner.h"

typedef struct fvlm_witness fvlm_witness;

typedef struct {
    /* Refuses a model that cannot be compared. */
    fvlm_status (*accept)(fvlm_witness *w, const fvlm_model *m, fvlm_err *err);

    /* Fills in *in with the next input, or *more is false. positions: compared so far. The witness owns what *in points
     * to, until the next begin; *in itself must live until 'end'. */
    fvlm_status (*begin)(fvlm_witness *w, size_t positions, fvlm_runner_input *in, bool *more, fvlm_err *err);

    /* The output [rows, cols] of a block, valid until 'release'; *x is NULL if only the next token is known. Refuses a
     * block of another name or shape than its own. */
    fvlm_status (*block)(fvlm_witness *w, const char *name, size_t rows, size_t cols, const float **x, fvlm_err *err);

    /* The token that follows the logits in hand. */
    fvlm_runner_token (*next)(fvlm_witness *w);
    void (*release)(fvlm_witness *w); /* may be NULL */

    /* Also after a failure of begin or block. Returns st, or the witness's own failure if st is FVLM_OK. May be NULL.
     */
    fvlm_status (*end)(fvlm_witness *w, fvlm_status st, fvlm_err *err);

    /* See fvlm_reader_check_unchanged. */
    fvlm_status (*check_unchanged)(const fvlm_witness *w, fvlm_status st, fvlm_err *err);
    void (*close)(fvlm_witness *w); /* frees it */

    /* What a block of the prompt's pass is compared with. NULL: the block of the same name. */
    void (*describe)(const fvlm_witness *w, const char *name, fvlm_block_origin *out);
} fvlm_witness_kind;

/* Head of each kind's own struct. */
struct fvlm_witness {
    const fvlm_witness_kind *kind;
    const fvlm_reader *source; /* the .fvlm file that the model was made from; NULL if there is none */
    unsigned n_models;         /* that run beside the candidates and share their threads */
    fvlm_precision precision;  /* how exactly the witness itself computes */
    const char *embedding;     /* the block that ends it, see fvlm_parity; NULL: "logits" */
};

/* The model o->source, run beside the candidates in f32 over the inputs of inputs.h, following its own greedy answers.
 * Options are borrowed until close. On failure *out is NULL. */
fvlm_status fvlm_witness_model_open(fvlm_witness **out, const fvlm_parity_options *o, fvlm_err *err);

/* The ONNX files o->onnx, run by the judge in f32 beside the candidates, over the same inputs and following their own
 * greedy answers. o->source, if given, is what convert makes of them: it only tells what was rounded. */
fvlm_status fvlm_witness_onnx_open(fvlm_witness **out, const fvlm_parity_options *o, fvlm_err *err);

/* The file o->recorded of activations that other code put out (tests/oracle/dump_activations.py, PyTorch). It is a
 * safetensors file with the observer's names, "pixels" [side*side, 3], "input_ids" (-200 stands for the picture),
 * "greedy" (the answer's ids), and "llm.norm" and "logits" of the prompt's last position. */
fvlm_status fvlm_witness_recorded_open(fvlm_witness **out, const fvlm_parity_options *o, fvlm_err *err);

#endif
