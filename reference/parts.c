/* SPDX-License-Identifier: Apache-2.0 */
/* parts.c - refusals of what a model without a language model or projector cannot do. */
#include "reference/model.h"

fvlm_status fvlm_model_require_llm(const fvlm_model *m, fvlm_err *err)
{
    if (fvlm_config_has_llm(m->config)) return FVLM_OK;
    return fvlm_fail(err, FVLM_UNSUPPORTED, "\"%s\" has no language model: it encodes pictures and answers no questions",
                     fvlm_reader_path(m->reader));
}

fvlm_status fvlm_model_require_projector(const fvlm_model *m, fvlm_err *err)
{
    if (fvlm_config_has_projector(m->config)) return FVLM_OK;
    return fvlm_fail(err, FVLM_UNSUPPORTED, "\"%s\" has no projector", fvlm_reader_path(m->reader));
}
