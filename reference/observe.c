/* SPDX-License-Identifier: Apache-2.0 */
/* observe.c - see observe.h. Below the passes, which call it; model.c is above them. */
#include "reference/observe.h"

#include "reference/model.h"

fvlm_status fvlm_model_observe(fvlm_model *m, const char *name, const float *x, size_t rows, size_t cols, fvlm_err *err)
{
    if (m->options.observer) m->options.observer(m->options.observer_ctx, name, x, rows, cols);
    if (!fvlm_exec_ok(m->exec)) return fvlm_fail_nomem(err);
    return fvlm_stop_check(m->options.stop, err);
}
