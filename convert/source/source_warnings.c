/* SPDX-License-Identifier: Apache-2.0 */
/* source_warnings.c - what the user should know about a source that is read all the same. */
#include <stdarg.h>
#include <stdio.h>

#include "convert/source/source_internal.h"

fvlm_status fvlm_source_warn(fvlm_source *src, fvlm_err *err, const char *fmt, ...)
{
    char text[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (src->n_warnings == FVLM_SOURCE_MAX_WARNINGS) return FVLM_OK;
    char *kept = fvlm_strdup(text);
    if (!kept) return fvlm_fail_nomem(err);
    src->warnings[src->n_warnings++] = kept;
    return FVLM_OK;
}

size_t fvlm_source_n_warnings(const fvlm_source *src)
{
    return src->n_warnings;
}

const char *fvlm_source_warning_at(const fvlm_source *src, size_t i)
{
    return src->warnings[i];
}
