/* SPDX-License-Identifier: Apache-2.0 */
/* stop.h - a flag by which a caller stops long work: set it from another thread or a signal handler, and the work
 * returns FVLM_INTERRUPTED soon. */
#ifndef FVLM_FORMAT_BASE_STOP_H
#define FVLM_FORMAT_BASE_STOP_H

#include <stdatomic.h>

#include "format/base/base.h"

typedef atomic_bool fvlm_stop;

/* FVLM_OK, or FVLM_INTERRUPTED with its message once the flag is set. NULL: never. */
static inline fvlm_status fvlm_stop_check(const fvlm_stop *stop, fvlm_err *err)
{
    const bool set = stop && atomic_load_explicit(stop, memory_order_relaxed);
    return set ? fvlm_fail(err, FVLM_INTERRUPTED, "interrupted") : FVLM_OK;
}

#endif
