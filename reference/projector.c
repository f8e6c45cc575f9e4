/* SPDX-License-Identifier: Apache-2.0 */
/* projector.c - two linear layers with an exact-erf GELU between them: from the tower's features to rows of the
 * language model's width. */
#include "reference/model.h"

#include <stdlib.h>

fvlm_status fvlm_model_project(fvlm_model *m, const float *features, size_t tokens, float *rows, fvlm_err *err)
{
    const fvlm_linear *first = &m->weights.projector0, *second = &m->weights.projector2;
    const size_t need = tokens * m->config->projector.hidden;
    const fvlm_status st = fvlm_model_require_projector(m, err);
    if (st) return st;
    if (need > m->n_projector_hidden) {
        free(m->projector_hidden);
        m->projector_hidden = fvlm_alloc(need, sizeof(float));
        m->n_projector_hidden = m->projector_hidden ? need : 0;
        if (!m->projector_hidden) return fvlm_fail(err, FVLM_NOMEM, "out of memory for %zu image tokens", tokens);
    }
    fvlm_op_linear(m->exec, features, tokens, &first->weight, first->bias, FVLM_GELU, NULL, m->projector_hidden);
    fvlm_op_linear(m->exec, m->projector_hidden, tokens, &second->weight, second->bias, FVLM_NONE, NULL, rows);
    return fvlm_model_observe(m, "projector", rows, tokens, m->config->projector.out, err);
}
