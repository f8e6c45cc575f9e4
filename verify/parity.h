/* SPDX-License-Identifier: Apache-2.0 */
/* parity.h - run a model beside the model it was made from, or compare it with recorded activations, block by block.
 *
 *   fvlm_parity p;  fvlm_err err;
 *   fvlm_parity_options o = {.model = "int4.fvlm", .source = "f32.fvlm", .acts = {FVLM_ACT_F32}, .n_acts = 1,
 *                            .images = images, .n_images = 1, .prompt = "Describe the image.", .tokens = 64,
 *                            .positions = FVLM_MIN_POSITIONS};
 *   if (fvlm_parity_run(&p, &o, &err)) return complain(&err);
 *   ... verdict.h judges it, report/ prints it ...
 *   fvlm_parity_free(&p);
 *
 * Model and source go through the same pictures and prompts (inputs.h), and then through the same answers: the source's
 * own greedy ones. Only positions of answers count. The models predict at image and question tokens, too, but nobody
 * samples there and no training asked for it. */
#ifndef FVLM_VERIFY_PARITY_H
#define FVLM_VERIFY_PARITY_H

#include "format/base/stop.h"
#include "reference/reference.h"
#include "verify/bounds.h"
#include "verify/divergence.h"
#include "verify/grade.h"
#include "verify/likeness.h"

enum { FVLM_MAX_CANDIDATES = 2, FVLM_MAX_BLOCK_NAME = 64, FVLM_MAX_TOKEN_TEXT = 40, FVLM_MAX_VALUE_NAME = 120 };

/* The user's own, which take the place of the grades and of the bounds on predictions. */
typedef struct {
    bool by_kl, by_top1, by_error;
    double kl;    /* mean KL divergence, at most */
    double top1;  /* share of positions where the likeliest token agrees, at least */
    double error; /* relative L2 of the pictures' rows, at most; where there are no predictions */
} fvlm_parity_limits;

typedef struct {
    const char *model;                       /* the file in question */
    const char *source;                      /* the .fvlm file it was made from, */
    const char *recorded;                    /* or a file of recorded activations (witness.h), */
    const char *onnx, *variant;              /* or ONNX files, with 'source' converted from them or NULL */
    fvlm_act_mode acts[FVLM_MAX_CANDIDATES]; /* the model runs once for each, side by side */
    unsigned n_acts;
    /* With a source; recorded activations bring their own: */
    const char *const *images;
    size_t n_images;
    fvlm_picture picture; /* how images are read (reference/image/image.h) */
    const char *prompt;
    uint32_t side;      /* of the picture, or of each tile; 0 = the model's own */
    fvlm_tiling tiling; /* of the user's pictures; drawn ones are not divided */
    uint32_t tokens;    /* of each of the source's greedy answers, at most */
    size_t positions;   /* ask general questions, and draw pictures, until there are so many; 0: the prompt only */
    fvlm_parity_limits limits;

    unsigned threads;          /* of all models together; 0 = all */
    const char *cpu;           /* see fvlm_cpu_select */
    fvlm_progress_fn progress; /* called once a block, while all models wait */
    void *progress_ctx;
    const fvlm_stop *stop;
} fvlm_parity_options;

/* What a block was compared with, where that is a value of a graph (locate.h). */
typedef struct {
    char value[FVLM_MAX_VALUE_NAME]; /* its name, cut if long */
    bool missing;                    /* there is none */
    bool fixed;                      /* by the graph's inputs and outputs; the others were found by their numbers */
    char
        nearest[FVLM_MAX_VALUE_NAME]; /* the value of the right shape that differs least, in whatever order; "": none */
    double nearest_error;             /* relative L2 in a sample */
} fvlm_block_origin;

/* The output of a block for the first prompt on each picture: the largest error, the lowest cosine. */
typedef struct {
    char name[FVLM_MAX_BLOCK_NAME];
    size_t rows, cols;
    fvlm_distance worst[FVLM_MAX_CANDIDATES]; /* zero if origin.missing */
    fvlm_block_origin origin;
} fvlm_block_parity;

/* Where the greedy answers of source and model part. Texts are those of single tokens, cut if long. */
typedef struct {
    bool parted;
    size_t position; /* from 0 */
    char source[FVLM_MAX_TOKEN_TEXT], model[FVLM_MAX_TOKEN_TEXT];
} fvlm_parting;

typedef struct {
    const char *image;  /* path, borrowed from the options; NULL: a drawn picture */
    const char *prompt; /* NULL: recorded, or none */
    size_t positions;   /* of the answer; without one, of the picture */
    fvlm_parting parting[FVLM_MAX_CANDIDATES];
} fvlm_parity_answer;

typedef struct {
    fvlm_block_parity *blocks; /* in the order of the pass */
    size_t n_blocks;
    fvlm_parity_answer *answers;
    size_t n_answers;
    bool against_graph; /* blocks have origins */
    fvlm_precision precision;
    bool graph_is_coarse; /* the ONNX graphs compute at that precision, the model more exactly */
    fvlm_parity_limits limits;
    unsigned n_acts;
    fvlm_act_mode acts[FVLM_MAX_CANDIDATES];
    fvlm_bound bounds[FVLM_MAX_CANDIDATES];
    /* The block that ends a comparison without a language model, "projector" or "vision.final", and its rows. Else
     * NULL, and predictions are compared. */
    const char *embedding;
    fvlm_likeness likeness[FVLM_MAX_CANDIDATES];
    fvlm_agreement agreement[FVLM_MAX_CANDIDATES];
    fvlm_statistics statistics[FVLM_MAX_CANDIDATES];
    fvlm_grading grading[FVLM_MAX_CANDIDATES];
    size_t n_images, n_drawn; /* pictures of the user's, and drawn ones */
    fvlm_tiling tiling;       /* the user's pictures, as the options say */
    unsigned picture_notes;   /* of all images together (reference/image/image.h) */
    double seconds;
} fvlm_parity;

/* On success *out is to be freed; on failure there is nothing to free. Fails if models do not fit together
 * (FVLM_MISMATCH) or a file changed meanwhile (FVLM_CHANGED); being out of bounds is not a failure. */
fvlm_status fvlm_parity_run(fvlm_parity *out, const fvlm_parity_options *o, fvlm_err *err);
void fvlm_parity_free(fvlm_parity *p);

#endif
