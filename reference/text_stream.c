/* SPDX-License-Identifier: Apache-2.0 */
/* text_stream.c - see text_stream.h. A byte-level token may end in the middle of a character, of which a terminal or
 * a JSON writer must not see one half. */
#include "reference/text_stream.h"

#include <string.h>

#include "format/base/utf8.h"

/* Whether some next byte continues the character that is held. If any does, 0x80 or 0xbf does. */
static bool is_incomplete(const fvlm_text_stream *s)
{
    uint8_t more[sizeof s->held + 1];
    int32_t c;
    memcpy(more, s->held, s->n_held);
    more[s->n_held] = 0x80;
    if (fvlm_utf8_next(more, s->n_held + 1, &c) > s->n_held) return true;
    more[s->n_held] = 0xbf;
    return fvlm_utf8_next(more, s->n_held + 1, &c) > s->n_held;
}

static void emit_held(fvlm_text_stream *s, bool end)
{
    while (s->n_held) {
        int32_t c;
        size_t n = fvlm_utf8_next(s->held, s->n_held, &c);
        if (c < 0 && n == s->n_held && !end && is_incomplete(s)) return;
        if (c < 0 && s->each_byte) n = 1;
        if (c < 0)
            s->emit(s->ctx, "\xef\xbf\xbd", 3);
        else
            s->emit(s->ctx, (const char *)s->held, n);
        s->n_held -= n;
        memmove(s->held, s->held + n, s->n_held);
    }
}

void fvlm_text_stream_put(fvlm_text_stream *s, const char *bytes, size_t n_bytes)
{
    for (size_t i = 0; i < n_bytes;) {
        size_t ascii = i; /* the common case is emitted in one chunk */
        while (s->n_held == 0 && ascii < n_bytes && (uint8_t)bytes[ascii] < 0x80) ascii++;
        if (ascii > i) {
            s->emit(s->ctx, bytes + i, ascii - i);
            i = ascii;
        } else {
            s->held[s->n_held++] = (uint8_t)bytes[i++];
            emit_held(s, false);
        }
    }
}

void fvlm_text_stream_end(fvlm_text_stream *s)
{
    emit_held(s, true);
}
