/* SPDX-License-Identifier: Apache-2.0 */
/* source_warnings.c - what the user should know about a source that is read all the same, and what was found in it. */
#include <stdarg.h>
#include <stdio.h>

#include "convert/source/source_internal.h"

/* Drops the text if the list is full. */
static fvlm_status keep(char *list[], size_t *n, const char *fmt, va_list args, fvlm_err *err)
{
    char text[1024];
    vsnprintf(text, sizeof text, fmt, args);
    if (*n == FVLM_SOURCE_MAX_WARNINGS) return FVLM_OK;
    char *kept = fvlm_strdup(text);
    if (!kept) return fvlm_fail_nomem(err);
    list[(*n)++] = kept;
    return FVLM_OK;
}

fvlm_status fvlm_source_warn(fvlm_source *src, fvlm_err *err, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    const fvlm_status st = keep(src->warnings, &src->n_warnings, fmt, args, err);
    va_end(args);
    return st;
}

fvlm_status fvlm_source_note(fvlm_source *src, fvlm_err *err, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    const fvlm_status st = keep(src->notes, &src->n_notes, fmt, args, err);
    va_end(args);
    return st;
}

size_t fvlm_source_n_warnings(const fvlm_source *src)
{
    return src->n_warnings;
}

const char *fvlm_source_warning_at(const fvlm_source *src, size_t i)
{
    return src->warnings[i];
}

size_t fvlm_source_n_notes(const fvlm_source *src)
{
    return src->n_notes;
}

const char *fvlm_source_note_at(const fvlm_source *src, size_t i)
{
    return src->notes[i];
}
