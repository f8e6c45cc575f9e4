/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_run.h - private to `fvlm run`: cmd_run.c answers questions, cmd_run_embedding.c encodes pictures, and
 * cmd_run_cost.c prints what either cost. */
#ifndef FVLM_REFERENCE_CMD_RUN_H
#define FVLM_REFERENCE_CMD_RUN_H

#include "reference/reference.h"

struct json_t; /* of <jansson.h> */

typedef struct {
    const char *model; /* as the user names it */
    fvlm_image image;
    const char *output; /* a .npy file; NULL: none */
    bool force;         /* replace it */
    bool json, quiet;
    double open_seconds;
} fvlm_run_embedding_options;

/* Encodes the picture; prints or writes its embedding. */
fvlm_status fvlm_run_embedding(fvlm_model *m, const fvlm_run_embedding_options *o, fvlm_err *err);

/* Lines on stderr: what was noticed about the picture, opening, the picture's parts; and memory and machine. */
void fvlm_run_cost_begin(unsigned picture_notes, double open_seconds);
void fvlm_run_cost_image(const fvlm_model *m, const fvlm_timing *t, const fvlm_tiling_cost *tiling, uint32_t side,
                         size_t image_tokens);
void fvlm_run_cost_end(fvlm_model *m);

/* All lines of an answer. */
void fvlm_run_cost_answer(fvlm_model *m, const fvlm_answer *a, uint32_t side, double open_seconds);

/* Tokens a second; 0 if nothing was decoded. */
double fvlm_run_cost_decode_rate(const fvlm_timing *t);

/* For --json, of a picture that was divided. */
struct json_t *fvlm_run_cost_tiles_json(const fvlm_tiling_cost *tiling);

#endif
