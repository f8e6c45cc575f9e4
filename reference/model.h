/* SPDX-License-Identifier: Apache-2.0 */
/* model.h - the open model: what the passes share. Private to reference/; callers see reference.h. */
#ifndef FVLM_REFERENCE_MODEL_H
#define FVLM_REFERENCE_MODEL_H

#include "reference/bind.h"
#include "reference/llm.h"
#include "reference/projector.h"
#include "reference/reference.h"
#include "reference/vision.h"

struct fvlm_model {
    fvlm_model_options options;
    fvlm_reader *reader;
    const fvlm_config *config; /* the reader's */
    fvlm_tokenizer *tokenizer;
    fvlm_exec *exec;
    fvlm_model_weights weights;
    fvlm_tower_memory tower_memory;
    fvlm_projector_memory projector_memory;
    fvlm_llm_memory llm_memory;
};

#endif
