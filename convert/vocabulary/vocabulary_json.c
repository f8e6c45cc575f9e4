/* SPDX-License-Identifier: Apache-2.0 */
/* vocabulary_json.c - writes a tokenizer as the container's JSON (format/SPEC.md, section 7). Not by way of a tree, as
 * there are hundreds of thousands of strings. */
#include <stdlib.h>

#include "convert/vocabulary/vocabulary_parts.h"
#include "format/header.h"

static void write_json(fvlm_text_writer *w, const fvlm_vocabulary *v)
{
    fvlm_text_writer_put(w, "{\"tokens\":[");
    for (size_t i = 0; i < v->n_tokens; i++) {
        if (i) fvlm_text_writer_put(w, ",");
        if (v->tokens[i])
            fvlm_text_writer_quote(w, v->tokens[i]);
        else
            fvlm_text_writer_put(w, "null");
    }
    fvlm_text_writer_put(w, "],\"merges\":[");
    fvlm_vocabulary_write_merges(w, v);
    fvlm_text_writer_put(w, "],\"added\":[");
    fvlm_vocabulary_write_added(w, v);
    fvlm_text_writer_put(w, "],\"pattern\":");
    fvlm_text_writer_quote(w, v->pattern);
    if (v->prefix_space) fvlm_text_writer_put(w, ",\"prefix_space\":true");
    if (v->ignore_merges) fvlm_text_writer_put(w, ",\"ignore_merges\":true");
    if (v->drops_bytes) fvlm_text_writer_put(w, ",\"drops_bytes\":true");
    fvlm_text_writer_put(w, ",\"normalizer\":");
    fvlm_text_writer_put(w, v->nfc ? "\"NFC\"}" : "null}");
}

fvlm_status fvlm_vocabulary_json(char **json, size_t *n_bytes, const fvlm_vocabulary *v, fvlm_err *err)
{
    fvlm_text_writer w = {0};
    if (v->pieces)
        fvlm_vocabulary_write_pieces(&w, v);
    else
        write_json(&w, v);
    fvlm_status st = w.failed ? fvlm_fail_nomem(err) : fvlm_stop_check(v->stop, err);
    if (!st && w.n > FVLM_MAX_TOKENIZER_BYTES)
        st = fvlm_fail(err, FVLM_LIMIT, "the tokenizer takes %zu bytes, at most %u are allowed", w.n,
                       FVLM_MAX_TOKENIZER_BYTES);
    if (st) {
        free(w.bytes);
        return st;
    }
    w.bytes[w.n] = 0; /* for which the writer leaves space */
    *json = w.bytes;
    *n_bytes = w.n;
    return FVLM_OK;
}
