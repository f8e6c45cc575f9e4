/* SPDX-License-Identifier: Apache-2.0 */
/* projector.c - two linear layers with an exact-erf GELU between them: the tower's
 * features to rows of the language model's width. */
#include <stdlib.h>

#include "reference/model.h"

fvlm_status fvlm_model_project(fvlm_model *m, const float *features, size_t tokens, float *rows, fvlm_err *err)
{
    if (tokens > m->projector_rows) {
        free(m->projector_hidden);
        m->projector_rows = 0;
        m->projector_hidden = fvlm_alloc(tokens * m->config->projector.hidden, sizeof(float));
        if (!m->projector_hidden) return fvlm_fail(err, FVLM_NOMEM, "out of memory for %zu image tokens", tokens);
        m->projector_rows = tokens;
    }
    fvlm_op_linear(m->exec, features, tokens, &m->projector0.weight, m->projector0.bias, FVLM_GELU, NULL,
                   m->projector_hidden);
    fvlm_op_linear(m->exec, m->projector_hidden, tokens, &m->projector2.weight, m->projector2.bias, FVLM_NONE, NULL,
                   rows);
    return fvlm_model_observe(m, "projector", rows, tokens, m->config->projector.out, err);
}
