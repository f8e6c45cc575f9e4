/* SPDX-License-Identifier: Apache-2.0 */
/* prompt.c - the ids of a question in the model's prompt template, after the token that begins each text, where the
 * model has one. As upstream does, the text is split at the image marker and each side is tokenized by itself: no token
 * spans the marker, and the newline after it begins the second side. */
#include <stdlib.h>
#include <string.h>

#include "format/base/grow.h"
#include "reference/model.h"

static const char IMAGE[] = "<image>", QUESTION[] = "{prompt}";

static fvlm_status append(uint32_t **ids, size_t *n, const uint32_t *more, size_t n_more, fvlm_err *err)
{
    size_t capacity = *n;
    if (!fvlm_grow(ids, &capacity, *n + n_more, sizeof *more)) return fvlm_fail_nomem(err);
    if (n_more) memcpy(*ids + *n, more, n_more * sizeof *more);
    *n += n_more;
    return FVLM_OK;
}

/* Appends the ids of text to *ids. */
static fvlm_status append_text(const fvlm_model *m, const char *text, size_t n_bytes, uint32_t **ids, size_t *n,
                               fvlm_err *err)
{
    if (n_bytes == 0) return FVLM_OK;
    uint32_t *more;
    size_t n_more;
    fvlm_status st = fvlm_tokenizer_encode(m->tokenizer, text, n_bytes, &more, &n_more, err);
    if (st) return st;
    st = append(ids, n, more, n_more, err);
    free(more);
    return st;
}

/* The template with the question in it, malloc'd; NULL if out of memory. The config's reader has checked that it has
 * both markers, once each. */
static char *fill_template(const char *template, const char *question)
{
    const char *at = strstr(template, QUESTION);
    return fvlm_asprintf("%.*s%s%s", (int)(at - template), template, question, at + strlen(QUESTION));
}

static fvlm_status check(const char *question, fvlm_err *err)
{
    if (question[strspn(question, " \t\r\n")] == '\0') return fvlm_fail(err, FVLM_USAGE, "the prompt is empty");
    if (strstr(question, IMAGE))
        return fvlm_fail(err, FVLM_USAGE, "the prompt may not contain %s: the model fixes where the image goes", IMAGE);
    return FVLM_OK;
}

fvlm_status fvlm_prompt_ids(const fvlm_model *m, const char *question, bool with_image, uint32_t **ids, size_t *n,
                            size_t *split, fvlm_err *err)
{
    *ids = NULL;
    *n = *split = 0;
    fvlm_status st = fvlm_model_require_llm(m, err);
    if (!st) st = check(question, err);
    if (st) return st;
    char *text = fill_template(m->config->prompt, question);
    if (!text) return fvlm_fail_nomem(err);
    /* LLaVA keeps the one that its tokenizer puts before the first side. */
    if (m->config->llm.has_bos) st = append(ids, n, &m->config->llm.bos, 1, err);

    char *marker = strstr(text, IMAGE), *rest = marker + strlen(IMAGE);
    if (with_image) {
        if (!st) st = append_text(m, text, (size_t)(marker - text), ids, n, err);
        *split = *n;
        if (!st) st = append_text(m, rest, strlen(rest), ids, n, err);
    } else {
        if (*rest == '\n') rest++;
        memmove(marker, rest, strlen(rest) + 1);
        if (!st) st = append_text(m, text, strlen(text), ids, n, err);
        *split = *n;
    }
    free(text);
    if (!st) return FVLM_OK;
    free(*ids);
    *ids = NULL;
    return st;
}
