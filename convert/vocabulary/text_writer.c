/* SPDX-License-Identifier: Apache-2.0 */
/* text_writer.c - see text_writer.h. */
#include "convert/vocabulary/text_writer.h"

#include <stdio.h>
#include <string.h>

#include "format/base/grow.h"

static void put(fvlm_text_writer *w, const char *bytes, size_t n)
{
    if (w->failed || !fvlm_grow(&w->bytes, &w->capacity, w->n + n + 1, 1)) {
        w->failed = true;
        return;
    }
    memcpy(w->bytes + w->n, bytes, n);
    w->n += n;
}

void fvlm_text_writer_put(fvlm_text_writer *w, const char *text)
{
    put(w, text, strlen(text));
}

void fvlm_text_writer_escape(fvlm_text_writer *w, const char *text)
{
    const char *begin = text;
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c >= 0x20 && c != '"' && c != '\\') continue;
        put(w, begin, (size_t)(text - begin));
        char escape[8];
        snprintf(escape, sizeof escape, c < 0x20 ? "\\u%04x" : "\\%c", c);
        fvlm_text_writer_put(w, escape);
        begin = text + 1;
    }
    put(w, begin, (size_t)(text - begin));
}

void fvlm_text_writer_quote(fvlm_text_writer *w, const char *text)
{
    fvlm_text_writer_put(w, "\"");
    fvlm_text_writer_escape(w, text);
    fvlm_text_writer_put(w, "\"");
}
