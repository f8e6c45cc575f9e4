/* SPDX-License-Identifier: Apache-2.0 */
/* input_list.h - private to verify/: the inputs of a witness that has none of its own, one after the other: the user's
 * pictures, each with the user's prompt, then what inputs.h adds while there are too few positions. */
#ifndef FVLM_VERIFY_INPUT_LIST_H
#define FVLM_VERIFY_INPUT_LIST_H

#include "verify/runner.h"

typedef struct {
    const fvlm_parity_options *o;
    uint32_t side;
    size_t positions;         /* that are wanted */
    const char *embedding;    /* see fvlm_parity; then there are no prompts */
    size_t picture, question; /* of the next input: the user's pictures come first, then those that are drawn */
    bool loaded;              /* the picture's pixels are there */
    fvlm_tiles tiles;         /* the picture as the model divides it; one that is drawn is not divided */
    uint32_t *ids;            /* of the prompt in hand */
    size_t n_ids, split;
} fvlm_input_list;

/* m tokenizes the prompts. *in borrows from the list. */
fvlm_status fvlm_input_list_next(fvlm_input_list *l, const fvlm_model *m, size_t positions, fvlm_runner_input *in,
                                 bool *more, fvlm_err *err);
void fvlm_input_list_free(fvlm_input_list *l);

#endif
