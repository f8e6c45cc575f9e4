/* SPDX-License-Identifier: Apache-2.0 */
/* vocabulary_json.c - writes a tokenizer as the container's JSON (format/SPEC.md, section 7). Not by way of a tree, as
 * there are hundreds of thousands of strings. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "convert/vocabulary/vocabulary_parts.h"
#include "format/base/grow.h"
#include "format/header.h"

/* Growing text; 'failed' if out of memory. */
typedef struct {
    char *bytes;
    size_t n, capacity;
    bool failed;
} writer;

static void put(writer *w, const char *bytes, size_t n)
{
    if (w->failed || !fvlm_grow(&w->bytes, &w->capacity, w->n + n + 1, 1)) {
        w->failed = true;
        return;
    }
    memcpy(w->bytes + w->n, bytes, n);
    w->n += n;
}

static void put_text(writer *w, const char *text)
{
    put(w, text, strlen(text));
}

/* The contents of a JSON string: escapes quotes, backslashes and control characters; the rest stays UTF-8. */
static void put_escaped(writer *w, const char *text)
{
    const char *begin = text;
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c >= 0x20 && c != '"' && c != '\\') continue;
        put(w, begin, (size_t)(text - begin));
        char escape[8];
        snprintf(escape, sizeof escape, c < 0x20 ? "\\u%04x" : "\\%c", c);
        put_text(w, escape);
        begin = text + 1;
    }
    put(w, begin, (size_t)(text - begin));
}

static void put_string(writer *w, const char *text)
{
    put_text(w, "\"");
    put_escaped(w, text);
    put_text(w, "\"");
}

static void write_json(writer *w, const fvlm_vocabulary *v)
{
    put_text(w, "{\"tokens\":[");
    for (size_t i = 0; i < v->n_tokens; i++) {
        if (i) put_text(w, ",");
        if (v->tokens[i])
            put_string(w, v->tokens[i]);
        else
            put_text(w, "null");
    }
    put_text(w, "],\"merges\":[");
    for (size_t i = 0; i < v->n_merges; i++) {
        put_text(w, i ? ",\"" : "\"");
        put_escaped(w, v->merges[i].left);
        put_text(w, " ");
        put_escaped(w, v->merges[i].right);
        put_text(w, "\"");
    }
    put_text(w, "],\"added\":[");
    for (size_t i = 0; i < v->n_added; i++) {
        char head[48];
        snprintf(head, sizeof head, "%s{\"id\":%" PRIu32 ",\"text\":", i ? "," : "", v->added[i].id);
        put_text(w, head);
        put_string(w, v->added[i].text);
        put_text(w, v->added[i].flags.special ? ",\"special\":true" : ",\"special\":false");
        put_text(w, v->added[i].flags.normalized ? ",\"normalized\":true}" : "}");
    }
    put_text(w, "],\"pattern\":");
    put_string(w, v->pattern);
    if (v->prefix_space) put_text(w, ",\"prefix_space\":true");
    if (v->ignore_merges) put_text(w, ",\"ignore_merges\":true");
    if (v->drops_bytes) put_text(w, ",\"drops_bytes\":true");
    put_text(w, ",\"normalizer\":");
    put_text(w, v->nfc ? "\"NFC\"}" : "null}");
}

fvlm_status fvlm_vocabulary_json(char **json, size_t *n_bytes, const fvlm_vocabulary *v, fvlm_err *err)
{
    writer w = {0};
    write_json(&w, v);
    fvlm_status st = w.failed ? fvlm_fail_nomem(err) : fvlm_stop_check(v->stop, err);
    if (!st && w.n > FVLM_MAX_TOKENIZER_BYTES)
        st = fvlm_fail(err, FVLM_LIMIT, "the tokenizer takes %zu bytes, at most %u are allowed", w.n,
                       FVLM_MAX_TOKENIZER_BYTES);
    if (st) {
        free(w.bytes);
        return st;
    }
    w.bytes[w.n] = 0; /* put() leaves space for it */
    *json = w.bytes;
    *n_bytes = w.n;
    return FVLM_OK;
}
