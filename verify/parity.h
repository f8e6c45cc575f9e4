/* SPDX-License-Identifier: Apache-2.0 */
/* parity.h - run a model beside the model it was made from, or compare it with recorded activations, block by block.
 *
 *   fvlm_parity p;  fvlm_err err;
 *   fvlm_parity_options o = {.model = "int4.fvlm", .source = "f32.fvlm", .acts = {FVLM_ACT_F32}, .n_acts = 1,
 *                            .images = images, .n_images = 1, .prompt = "Describe the image.", .tokens = 16};
 *   if (fvlm_parity_run(&p, &o, &err)) return complain(&err);
 *   ... verdict.h judges it, report/ prints it ...
 *   fvlm_parity_free(&p);
 *
 * Model and source go through the same pictures, the same prompt and the same answer: the source's own greedy one. */
#ifndef FVLM_VERIFY_PARITY_H
#define FVLM_VERIFY_PARITY_H

#include "format/base/stop.h"
#include "reference/reference.h"
#include "verify/bounds.h"
#include "verify/divergence.h"

enum { FVLM_MAX_CANDIDATES = 2, FVLM_MAX_BLOCK_NAME = 64 };

typedef struct {
    const char *model;                       /* the file in question */
    const char *source;                      /* the .fvlm file it was made from, */
    const char *recorded;                    /* or a file of recorded activations (witness.h) */
    fvlm_act_mode acts[FVLM_MAX_CANDIDATES]; /* the model runs once for each, side by side */
    unsigned n_acts;
    /* With a source; recorded activations bring their own: */
    const char *const *images;
    size_t n_images;
    fvlm_picture picture; /* how images are read (reference/image/image.h) */
    const char *prompt;
    uint32_t side;   /* of the picture; 0 = the model's own */
    uint32_t tokens; /* greedy tokens of the source to follow, at most */

    unsigned threads;          /* of all models together; 0 = all */
    const char *cpu;           /* see fvlm_cpu_select */
    fvlm_progress_fn progress; /* called once a block, while all models wait */
    void *progress_ctx;
    const fvlm_stop *stop;
} fvlm_parity_options;

/* The output of a block, over all pictures: the largest error, the lowest cosine. */
typedef struct {
    char name[FVLM_MAX_BLOCK_NAME];
    size_t rows, cols;
    fvlm_distance worst[FVLM_MAX_CANDIDATES];
} fvlm_block_parity;

typedef struct {
    fvlm_block_parity *blocks; /* in the order of the pass */
    size_t n_blocks;
    fvlm_grade grade;
    unsigned n_acts;
    fvlm_act_mode acts[FVLM_MAX_CANDIDATES];
    fvlm_bound bounds[FVLM_MAX_CANDIDATES];
    fvlm_agreement agreement[FVLM_MAX_CANDIDATES];
    size_t n_images;
    unsigned picture_notes; /* of all images together (reference/image/image.h) */
    double seconds;
} fvlm_parity;

/* On success *out is to be freed; on failure there is nothing to free. Fails if models do not fit together
 * (FVLM_MISMATCH) or a file changed meanwhile (FVLM_CHANGED); being out of bounds is not a failure. */
fvlm_status fvlm_parity_run(fvlm_parity *out, const fvlm_parity_options *o, fvlm_err *err);
void fvlm_parity_free(fvlm_parity *p);

#endif
