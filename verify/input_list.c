/* SPDX-License-Identifier: Apache-2.0 */
/* input_list.c - see input_list.h. */
#include <stdlib.h>
#include <string.h>

#include "verify/input_list.h"
#include "verify/inputs.h"

/* Question 0 is the user's. */
static const char *prompt_of(const fvlm_input_list *l)
{
    return l->question ? fvlm_questions[l->question - 1] : l->o->prompt;
}

/* Without a language model: every picture of the user's, and drawn ones while there are too few positions. */
static bool find_picture(fvlm_input_list *l, size_t positions)
{
    l->picture += l->question;
    l->question = 0;
    l->loaded = false;
    return l->picture < l->o->n_images || (positions < l->positions && l->picture < l->o->n_images + FVLM_N_DRAWN);
}

/* Goes on to the next input if it is needed. Every picture of the user's gets the user's prompt, and its share of the
 * positions wanted. */
static bool find_input(fvlm_input_list *l, size_t positions)
{
    const fvlm_parity_options *o = l->o;
    if (l->embedding) return find_picture(l, positions);
    for (; l->picture < o->n_images + FVLM_N_DRAWN; l->picture++, l->question = 0, l->loaded = false) {
        const bool own = l->picture < o->n_images;
        const size_t share = own ? l->positions * (l->picture + 1) / o->n_images : l->positions;
        if (own && l->question == 0) return true;
        if (l->question == 0) l->question = 1;
        if (l->question <= FVLM_N_QUESTIONS && !strcmp(prompt_of(l), o->prompt) && own) l->question++;
        if (l->question <= FVLM_N_QUESTIONS && positions < share) return true;
    }
    return false;
}

static fvlm_status load_picture(fvlm_input_list *l, const fvlm_model *m, fvlm_err *err)
{
    const size_t own = l->o->n_images;
    fvlm_tiles_free(&l->tiles);
    if (l->picture >= own) return fvlm_pixels_draw(&l->tiles.overview, (unsigned)(l->picture - own), l->side, err);
    const fvlm_image image = {
        .path = l->o->images[l->picture], .picture = l->o->picture, .side = l->side, .tiling = l->o->tiling};
    return fvlm_model_load_tiles(m, &image, &l->tiles, err);
}

/* The ids of in->prompt. */
static fvlm_status take_prompt(fvlm_input_list *l, const fvlm_model *m, fvlm_runner_input *in, fvlm_err *err)
{
    uint32_t *before = l->ids;
    const size_t n = l->split;
    const fvlm_status st = fvlm_prompt_ids(m, in->prompt, true, &l->ids, &l->n_ids, &l->split, err);
    in->ids = l->ids;
    in->n_ids = l->n_ids;
    in->split = l->split;
    in->same_start = !st && l->loaded && l->split == n && l->n_ids > n && !memcmp(l->ids, before, n * sizeof *before);
    free(before);
    return st;
}

fvlm_status fvlm_input_list_next(fvlm_input_list *l, const fvlm_model *m, size_t positions, fvlm_runner_input *in,
                                 bool *more, fvlm_err *err)
{
    *more = find_input(l, positions);
    if (!*more) return FVLM_OK;
    *in = (fvlm_runner_input){.pixels = &l->tiles.overview,
                              .tiles = &l->tiles,
                              .same_pixels = l->loaded,
                              .image = l->picture < l->o->n_images ? l->o->images[l->picture] : NULL,
                              .prompt = l->embedding ? NULL : prompt_of(l),
                              .embedding = l->embedding,
                              .n_tokens = l->o->tokens};
    fvlm_status st = l->loaded ? FVLM_OK : load_picture(l, m, err);
    if (!st && !l->embedding) st = take_prompt(l, m, in, err);
    if (st) return st;
    l->loaded = true;
    l->question++;
    return FVLM_OK;
}

void fvlm_input_list_free(fvlm_input_list *l)
{
    fvlm_tiles_free(&l->tiles);
    free(l->ids);
    l->ids = NULL;
}
