/* SPDX-License-Identifier: Apache-2.0 */
/* text_stream.c - see text_stream.h. A byte-level token may end in the middle of a
 * character; a terminal, or a JSON writer, must not see the half. */
#include <string.h>

#include "reference/text_stream.h"

/* Length of the character that begins with this byte; 0 if none does. */
static size_t length_of(unsigned char lead)
{
    if (lead < 0x80) return 1;
    if (lead >= 0xc2 && lead <= 0xdf) return 2;
    if (lead >= 0xe0 && lead <= 0xef) return 3;
    if (lead >= 0xf0 && lead <= 0xf4) return 4;
    return 0;
}

/* May byte number i >= 1 of a character follow this lead? The second byte also rules out
 * overlong forms, surrogates and what lies above U+10FFFF. */
static bool follows(unsigned char lead, size_t i, unsigned char byte)
{
    unsigned char low = 0x80, high = 0xbf;
    if (i == 1 && lead == 0xe0) low = 0xa0;
    if (i == 1 && lead == 0xed) high = 0x9f;
    if (i == 1 && lead == 0xf0) low = 0x90;
    if (i == 1 && lead == 0xf4) high = 0x8f;
    return byte >= low && byte <= high;
}

static void replace(fvlm_text_stream *s)
{
    s->emit(s->ctx, "\xef\xbf\xbd", 3);
    s->n_held = 0;
}

static void put_byte(fvlm_text_stream *s, unsigned char byte)
{
    if (s->n_held && !follows(s->held[0], s->n_held, byte)) replace(s);
    if (s->n_held == 0 && length_of(byte) == 0) {
        replace(s);
        return;
    }
    s->held[s->n_held++] = byte;
    if (s->n_held < length_of(s->held[0])) return;
    s->emit(s->ctx, (const char *)s->held, s->n_held);
    s->n_held = 0;
}

void fvlm_text_stream_put(fvlm_text_stream *s, const char *bytes, size_t n_bytes)
{
    size_t i = 0;
    while (i < n_bytes) {
        size_t ascii = i; /* the common case goes on in one piece */
        while (s->n_held == 0 && ascii < n_bytes && (unsigned char)bytes[ascii] < 0x80) ascii++;
        if (ascii > i)
            s->emit(s->ctx, bytes + i, ascii - i);
        else
            put_byte(s, (unsigned char)bytes[ascii++]);
        i = ascii;
    }
}

void fvlm_text_stream_end(fvlm_text_stream *s)
{
    if (s->n_held) replace(s);
}
