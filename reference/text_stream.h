/* SPDX-License-Identifier: Apache-2.0 */
/* text_stream.h - passes bytes that arrive a token at a time on as whole UTF-8 characters. Private to reference/. */
#ifndef FVLM_REFERENCE_TEXT_STREAM_H
#define FVLM_REFERENCE_TEXT_STREAM_H

#include "reference/reference.h"

typedef struct {
    fvlm_emit emit;
    void *ctx;
    uint8_t held[4]; /* an incomplete character */
    size_t n_held;
    bool each_byte; /* set by the caller: fvlm_tokenizer_replaces_each_byte */
} fvlm_text_stream;

/* Emits every character that is complete. Ill-formed bytes become U+FFFD, one for each maximal subpart, as Python's
 * errors="replace" does, or one for each byte. */
void fvlm_text_stream_put(fvlm_text_stream *s, const char *bytes, size_t n_bytes);

/* Call at the end: an incomplete character becomes U+FFFD too. */
void fvlm_text_stream_end(fvlm_text_stream *s);

#endif
