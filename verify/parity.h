/* SPDX-License-Identifier: Apache-2.0 */
/* parity.h - runs a model beside its source, or beside recorded activations, and measures every block.
 *
 *   fvlm_parity p;  fvlm_parity_options o = {.model = "m.fvlm", .source = "f32.fvlm", ...};
 *   if (fvlm_parity_run(&p, &o, &err)) return complain(&err);
 *   ... fvlm_parity_ok(&p), or parity_report.h to print it ...
 *   fvlm_parity_free(&p);
 */
#ifndef FVLM_VERIFY_PARITY_H
#define FVLM_VERIFY_PARITY_H

#include "verify/bounds.h"
#include "verify/divergence.h"
#include "verify/recorded.h"

enum { FVLM_MAX_CANDIDATES = 2, FVLM_MAX_BLOCK_NAME = 64 };

typedef struct {
    const char *model;                       /* the file in question */
    const char *source;                      /* the .fvlm file it is held against, or NULL */
    fvlm_recorded *recorded;                 /* or these activations */
    fvlm_act_mode acts[FVLM_MAX_CANDIDATES]; /* the model runs once for each, side by side */
    unsigned n_acts;
    const char *const *images; /* with a source */
    size_t n_images;
    const char *prompt;
    uint32_t side;   /* 0 = the model's own */
    uint32_t tokens; /* greedy tokens of the source to follow */
    unsigned threads;
    const char *cpu;
    const fvlm_stop *stop;
    fvlm_progress_fn progress; /* called once a block, from any one thread at a time */
    void *progress_ctx;
} fvlm_parity_options;

/* A block's output: the worst over all images. */
typedef struct {
    char name[FVLM_MAX_BLOCK_NAME];
    size_t rows, cols;
    fvlm_distance worst[FVLM_MAX_CANDIDATES];
} fvlm_block_parity;

typedef struct {
    fvlm_block_parity *blocks;
    size_t n_blocks;
    fvlm_grade grade;
    unsigned n_acts;
    fvlm_act_mode acts[FVLM_MAX_CANDIDATES];
    fvlm_bound bounds[FVLM_MAX_CANDIDATES];
    fvlm_agreement agreement[FVLM_MAX_CANDIDATES];
    size_t n_images;
    double seconds;
} fvlm_parity;

fvlm_status fvlm_parity_run(fvlm_parity *out, const fvlm_parity_options *o, fvlm_err *err);
void fvlm_parity_free(fvlm_parity *p);

/* Where to look: the first block out of bounds (n_blocks if none), and the block that adds most to what came in,
 * |error out|^2 - |error in|^2, as relative L2. */
size_t fvlm_parity_first_bad(const fvlm_parity *p, unsigned act);
size_t fvlm_parity_largest_step(const fvlm_parity *p, unsigned act, double *step);

/* Within the bounds: of one activation mode, of all. */
bool fvlm_parity_block_ok(const fvlm_parity *p, size_t block, unsigned act);
bool fvlm_parity_logits_ok(const fvlm_parity *p, unsigned act);
bool fvlm_parity_act_ok(const fvlm_parity *p, unsigned act);
bool fvlm_parity_ok(const fvlm_parity *p);

#endif
