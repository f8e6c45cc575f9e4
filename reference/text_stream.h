/* SPDX-License-Identifier: Apache-2.0 */
/* text_stream.h - bytes that come a token at a time, passed on as whole UTF-8
 * characters. Private to reference/. */
#ifndef FVLM_REFERENCE_TEXT_STREAM_H
#define FVLM_REFERENCE_TEXT_STREAM_H

#include "reference/reference.h"

typedef struct {
    fvlm_emit emit;
    void *ctx;
    unsigned char held[4]; /* the begun character */
    size_t n_held;
} fvlm_text_stream;

/* Passes on every character that is whole now; what can never become one is replaced by U+FFFD,
 * once for each maximal part, as Python's errors="replace" does. */
void fvlm_text_stream_put(fvlm_text_stream *s, const char *bytes, size_t n_bytes);

/* The end: a begun character is replaced too. */
void fvlm_text_stream_end(fvlm_text_stream *s);

#endif
