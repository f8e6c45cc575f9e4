/* SPDX-License-Identifier: Apache-2.0 */
/* text_writer.h - JSON text that is written piece by piece. Private to vocabulary/. */
#ifndef FVLM_CONVERT_VOCABULARY_TEXT_WRITER_H
#define FVLM_CONVERT_VOCABULARY_TEXT_WRITER_H

#include "format/base/base.h"

/* Zero at first; the owner frees bytes. */
typedef struct {
    char *bytes; /* followed by space for a NUL */
    size_t n, capacity;
    bool failed; /* out of memory: what follows is not written */
} fvlm_text_writer;

void fvlm_text_writer_put(fvlm_text_writer *w, const char *text);

/* The contents of a JSON string: quotes, backslashes and control characters are escaped; the rest stays UTF-8. */
void fvlm_text_writer_escape(fvlm_text_writer *w, const char *text);
void fvlm_text_writer_quote(fvlm_text_writer *w, const char *text); /* with its quotes */

#endif
