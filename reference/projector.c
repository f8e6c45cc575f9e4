/* SPDX-License-Identifier: Apache-2.0 */
/* projector.c - two linear layers with an exact-erf GELU between them: from the tower's features to rows of the
 * language model's width. */
#include "reference/projector.h"

#include <stdlib.h>

#include "reference/model.h"
#include "reference/observe.h"

size_t fvlm_projector_memory_bytes(const fvlm_projector_memory *p)
{
    return p->n_hidden * sizeof(float);
}

void fvlm_projector_memory_free(fvlm_projector_memory *p)
{
    free(p->hidden);
    *p = (fvlm_projector_memory){0};
}

fvlm_status fvlm_model_project(fvlm_model *m, const float *features, size_t tokens, float *rows, fvlm_err *err)
{
    fvlm_projector_memory *p = &m->projector_memory;
    const fvlm_linear *first = &m->weights.projector0, *second = &m->weights.projector2;
    const size_t need = tokens * m->config->projector.hidden;
    if (need > p->n_hidden) {
        fvlm_projector_memory_free(p);
        p->hidden = fvlm_alloc(need, sizeof(float));
        if (!p->hidden) return fvlm_fail(err, FVLM_NOMEM, "out of memory for %zu image tokens", tokens);
        p->n_hidden = need;
    }
    fvlm_op_linear(m->exec, features, tokens, &first->weight, first->bias, FVLM_GELU, NULL, p->hidden);
    fvlm_op_linear(m->exec, p->hidden, tokens, &second->weight, second->bias, FVLM_NONE, NULL, rows);
    return fvlm_model_observe(m, "projector", rows, tokens, m->config->projector.out, err);
}
