/* SPDX-License-Identifier: Apache-2.0 */
/* names.h - the grammar of a FastVLM checkpoint: tensor names and shapes in, recipes out.
 *
 *   tower  = stem stage+ final [head.proj]
 *   stage  = [downsample] [position] block+          the first has no downsample, the others do
 *   block  = RepMixer | attention, then a ConvFFN
 *
 * The number of stages and blocks, widths, kernel sizes and train-time branches are read off the names and shapes. A
 * source tensor is used, dropped by a named rule, or left over; left-over and missing tensors are refused by name. */
#ifndef FVLM_CONVERT_NAMES_NAMES_H
#define FVLM_CONVERT_NAMES_NAMES_H

#include "convert/checkpoint.h"
#include "convert/conversion_report.h"
#include "convert/names/naming.h"
#include "convert/recipe.h"

#define FVLM_MAX_DROP_RULES 5 /* of one dialect */

typedef struct {
    fvlm_recipes recipes;
    fvlm_config config;                                   /* the checkpoint's, with the tower added */
    fvlm_conversion_dropped dropped[FVLM_MAX_DROP_RULES]; /* those with n_tensors > 0 */
    unsigned n_dropped;
    uint64_t rows_dropped; /* rows of the embedding that no token id reaches */
    bool head_stored;      /* as a tensor of its own */
    bool head_as_graph;    /* config.json ties it, but an ONNX file's own head differs, and is used */
    bool head_chosen;      /* the checkpoint contradicts itself about the head, and 'head' decided */
} fvlm_names;

/* The keys of src are Apple's names (naming.h); naming, which may be NULL, gives messages the names of the file. head,
 * "own" or "tied", decides where config.json and the stored tensors disagree about the head; NULL refuses. On
 * failure *out is empty. On success it points into src, which must outlive it. */
fvlm_status fvlm_names_resolve(fvlm_names *out, const fvlm_source *src, const fvlm_checkpoint *checkpoint,
                               const fvlm_naming *naming, const char *head, fvlm_err *err);
void fvlm_names_free(fvlm_names *n);

#endif
